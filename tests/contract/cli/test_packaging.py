"""What `pip install .` and pipx install: the whole command line, its files, completion, and a plugin of kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ip_remediator_cli.parser import build_parser
from tests.support.patience import within
from tests.unit.support.commands import ROOT

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
COMMANDS = tuple(build_parser()._subparsers._group_actions[0].choices)


def run(*words: str | Path, cwd: Path | None = None, **environment: str) -> str:
    ran = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=within(180),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone, not editable: what it needs of others is found beside the tests' own."""
    folder, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source")
    # A build leaves a folder behind, from which the next one takes what is no longer there.
    for name in ("cli", "layers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    run(BIN / "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder, source, VIRTUAL_ENV=str(BIN.parent))
    return folder


def test_given_an_installed_package_when_each_command_is_asked_for_help_then_it_has_examples(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, importlib\n"
        "from ip_remediator_cli.parser import build_parser\n"
        "assert build_parser.__module__ and sys.modules['ip_remediator_cli'].__file__.startswith(sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    choice = build_parser()._subparsers._group_actions[0].choices[name]\n"
        "    assert 'examples:' in choice.format_help(), name\n"
        "    assert hasattr(importlib.import_module(choice.get_default('module')), 'run'), name\n"
    )
    run(sys.executable, "-c", code, str(installed), *COMMANDS, cwd=tmp_path, PYTHONPATH=str(installed))


def test_given_an_installed_package_then_the_files_that_commands_read_are_in_it(installed: Path) -> None:
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert "ip_remediator_cli/rbac.yaml" in files
    assert [name for name in files if name.endswith("report.html.j2")]
    assert (installed / "ip_remediator_cli" / "rbac.yaml").read_text() == (
        ROOT / "onboarding" / "rbac.yaml"
    ).read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_given_a_shell_then_its_completion_knows_every_command(shell: str) -> None:
    script = run(BIN / "ip-remediator", "completion", shell)
    assert [command for command in COMMANDS if command not in script] == []


def test_given_bash_when_a_word_is_begun_then_it_is_completed(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(run(BIN / "ip-remediator", "completion", "bash"))
    begun = "COMP_WORDS=(ip-remediator inc); COMP_CWORD=1; _shtab_ip_remediator; echo ${COMPREPLY[@]}"
    assert run("bash", "-c", f"source {script}; {begun}").split() == ["incidents"]


def test_given_kubectl_then_it_finds_the_plugin() -> None:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    assert run("kubectl", "ip-remediator", "--version", PATH=path) == run(BIN / "ip-remediator", "--version")


@pytest.mark.parametrize("module", ["local.demo", "local.stack"])
def test_given_a_mode_that_there_is_not_then_it_is_refused_before_any_server_starts(module: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env={**os.environ, "MODE": "foo"},
        capture_output=True,
        text=True,
        check=False,
        timeout=within(60),
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: MODE: 'foo' is no mode; use observe, approve, auto\n"
