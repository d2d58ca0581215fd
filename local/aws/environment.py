"""The environment variables for MiniStack and moto, which read them when they are imported."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.loaders import JSONFileLoader

from local.aws.settings import ACCOUNT_ID, ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.settings import Settings

# Lambda workers inherit this process's environment, and real functions see nothing of the machine that
# deployed them: only what a POSIX process needs to start is kept.
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


def prepare(settings: Settings) -> None:
    """Replace ``os.environ`` by the one the emulators need, and empty the run's temporary folder."""
    state = settings.state_dir.resolve()
    temporary, home = state / "tmp", state / "home"
    shutil.rmtree(temporary, ignore_errors=True)
    for folder in (temporary, home):
        folder.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(
        kept,
        HOME=str(home),
        TMPDIR=str(temporary),
        TZ="UTC",
        AUTH="true",
        AWS_ACCESS_KEY_ID=ROOT_ACCESS_KEY_ID,
        AWS_SECRET_ACCESS_KEY=ROOT_SECRET_ACCESS_KEY,
        AWS_EC2_METADATA_DISABLED="true",
        BIND_HOST="127.0.0.1",
        # A Docker daemon on the machine must change nothing: no k3s, no containers reaped.
        DOCKER_HOST=f"unix://{state}/no-docker.sock",
        EKS_BASE_PORT=str(settings.eks_endpoint_port),
        GATEWAY_PORT=str(settings.port),
        IOT_MTLS_ENABLED="0",
        LAMBDA_CODE_DIR=str((settings.code_dir or temporary / "lambda-code").resolve()),
        LAMBDA_EXECUTOR="local",
        LOG_LEVEL="INFO",
        MINISTACK_ACCOUNT_ID=ACCOUNT_ID,
        MINISTACK_HOST="localhost",
        MINISTACK_REGION=settings.region,
        MOTO_ACCOUNT_ID=ACCOUNT_ID,
        MOTO_EC2_LOAD_DEFAULT_AMIS="false",
        S3_DATA_DIR=str(state / "s3"),
        SFN_WAIT_SCALE=str(settings.wait_scale),
        SFTP_ENABLED="0",
        STATE_DIR=str(state / "state"),
    )
    tempfile.tempdir = None


@contextmanager
def models_read_once() -> Iterator[None]:
    """For the import of moto: its modules make sessions of their own, and each would read botocore's models anew."""
    read, models = JSONFileLoader.load_file, dict[str, Any]()

    def load_file(loader: JSONFileLoader, path: str) -> Any:
        if path not in models:
            models[path] = read(loader, path)
        return models[path]

    JSONFileLoader.load_file = load_file  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        JSONFileLoader.load_file = read  # type: ignore[method-assign]
