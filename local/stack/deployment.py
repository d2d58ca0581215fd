"""The real template on the local AWS, by the real `sam build` and `sam deploy`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from local.stack.servers import BOT_TOKEN, Servers

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".local" / "sam"
STACK_NAME = "eks-ip-remediator"
SECRET_PARAMETER = "/eks-ip-remediator/slack"  # noqa: S105 - its name, not its value
_BUCKET = "sam-artifacts"
_BUILT = SHARED / "build"
# What the build was made of; written when it is complete.
_STAMP = SHARED / "build.inputs"
_INPUTS = ("template.yaml", "samconfig.toml", "layers", "functions", "statemachine")


class DeploymentFailed(Exception):
    """`sam` failed; the message is the end of its output."""


def build() -> None:
    """`sam build` for the interpreter that runs the stack: the emulator runs functions on it.

    Every stack shares the result, so only one builds at a time, and none while another deploys. What is built already
    of the same files is kept: sam itself takes seconds to notice.

    Raises:
        DeploymentFailed
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with _locked(fcntl.LOCK_EX):
        inputs = f"{version} {_digest(ROOT / name for name in _INPUTS)}"
        if _STAMP.exists() and _STAMP.read_text() == inputs:
            return
        _STAMP.unlink(missing_ok=True)
        _sam(
            [
                *("build", "--build-in-source", "--cached", "--parallel", "--build-dir", str(_BUILT)),
                *("--cache-dir", str(SHARED / "build-cache"), "--parameter-overrides", f"Runtime=python{version}"),
            ],
            {"LAMBDA_PYTHON": version, "LAMBDA_PLATFORM": "host"},
        )
        _make_quick_to_deploy()
        _STAMP.write_text(inputs)


def _make_quick_to_deploy() -> None:
    """sam reads a template seven times to deploy it, YAML far more slowly than JSON, and compresses layers anew."""
    template = yaml.safe_load((_BUILT / "template.yaml").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            folder = _BUILT / resource["Properties"]["ContentUri"]
            resource["Properties"]["ContentUri"] = shutil.make_archive(str(folder), "zip", folder)
    (_BUILT / "template.json").write_text(json.dumps(template))


def _digest(paths: Iterable[Path]) -> str:
    """Of the names and contents of files and of all files in folders."""
    digest = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                digest.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def deploy(servers: Servers, parameters: Mapping[str, str]) -> dict[str, str]:
    """`sam deploy` of what `build` made; returns the stack's outputs.

    Raises:
        DeploymentFailed
    """
    secret = json.dumps({"bot_token": BOT_TOKEN, "signing_secret": servers.signing_secret})
    ssm: Any = servers.client("ssm")
    ssm.put_parameter(Name=SECRET_PARAMETER, Type="SecureString", Value=secret, Overwrite=True)
    s3: Any = servers.client("s3")
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": servers.session.region_name})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    overrides = {
        "Runtime": f"python{version}",
        "SlackApiUrl": f"{servers.slack_url}/api/",
        "SweepMinutes": "0",  # nothing happens that nobody started
        **parameters,
    }
    with _locked(fcntl.LOCK_SH):
        _sam(
            [
                *("deploy", "--template-file", str(_BUILT / "template.json"), "--use-json"),
                *("--stack-name", STACK_NAME, "--s3-bucket", _BUCKET, "--capabilities", "CAPABILITY_IAM"),
                *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
                *("--parameter-overrides", *(f'{name}="{value}"' for name, value in overrides.items())),
            ],
            servers.environment,
        )
    cloudformation: Any = servers.client("cloudformation")
    described = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


@contextmanager
def _locked(how: int) -> Iterator[None]:
    """The build folder, for one writer (`LOCK_EX`) or many readers (`LOCK_SH`)."""
    SHARED.mkdir(parents=True, exist_ok=True)
    with (SHARED / "build.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield


def _sam(arguments: list[str], env: Mapping[str, str]) -> None:
    command = [str(Path(sys.executable).parent / "sam"), *arguments]
    own = {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(SHARED / "app")}
    # sam leaves the folders behind in which it packs the functions.
    with TemporaryDirectory(dir=SHARED) as temporary:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **own, "TMPDIR": temporary, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-40:])
        raise DeploymentFailed(f"sam {arguments[0]} failed:\n{end}")
