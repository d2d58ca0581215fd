"""Start-up of every function: a fresh interpreter that imports the handler out of the layers `sam build` made."""

from __future__ import annotations

import compileall
import fcntl
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from local.aws.functions.packages import runtime_folder
from local.stack.deployment import SHARED, build

BUILD = SHARED / "build"
LAYERS = ("CoreLayer", "KubeLayer")
_IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)")
_SLOWEST = 6


@dataclass(frozen=True)
class Start:
    """Seconds, medians. bare: the interpreter alone. compiled: the layers carry bytecode; plain: they do not, as
    after `sam build`, and as it stays on Lambda, where /opt cannot be written to.

    slowest: the packages that take longest, with their milliseconds, bytecode at hand.
    """

    function: str
    bare: float
    plain: float
    compiled: float
    slowest: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class LayerSize:
    """Bytes. compiled: unzipped with bytecode for this interpreter."""

    name: str
    unzipped: int
    zipped: int
    compiled: int


@dataclass(frozen=True)
class Copies:
    """The built layers as they are, and with bytecode; the template that names who uses which."""

    plain: Path
    compiled: Path
    template: dict[str, Any]

    def layer_sizes(self) -> list[LayerSize]:
        return [
            LayerSize(layer, _total(self.plain / layer), _zipped(self.plain / layer), _total(self.compiled / layer))
            for layer in LAYERS
        ]

    def starts(self, rounds: int) -> Iterator[Start]:
        """One function's result after the other."""
        default = self.template["Globals"]["Function"]["Layers"]
        for name, resource in sorted(self.template["Resources"].items()):
            if resource["Type"] == "AWS::Serverless::Function":
                own = resource["Properties"].get("Layers", [])
                # SAM joins lists of Globals with the function's own.
                layers = list(dict.fromkeys(layer["Ref"] for layer in [*default, *own]))
                code = (BUILD / resource["Properties"]["CodeUri"]).resolve()
                yield _start(name.removesuffix("Function").lower(), code, layers, self.plain, self.compiled, rounds)


@contextmanager
def copies() -> Iterator[Copies]:
    """What `sam build` makes of the working tree now. Raises DeploymentFailed."""
    build()
    with tempfile.TemporaryDirectory() as folder:
        plain, compiled = Path(folder, "plain"), Path(folder, "compiled")
        # As `build` itself: another stack may be building into the same folder.
        with (SHARED / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            template = yaml.safe_load((BUILD / "template.yaml").read_text())
            for layer in LAYERS:
                shutil.copytree(BUILD / layer, plain / layer, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(plain, compiled)
        _compile(compiled)
        yield Copies(plain, compiled, template)


def _start(function: str, code: Path, layers: Sequence[str], plain: Path, compiled: Path, rounds: int) -> Start:
    def paths(root: Path) -> list[Path]:
        copied = root / function
        if not copied.exists():
            shutil.copytree(code, copied, ignore=shutil.ignore_patterns("__pycache__"))
        return [copied, *(root / layer / "python" for layer in layers)]

    _compile(paths(compiled)[0])
    measured: dict[str, list[float]] = {"bare": [], "plain": [], "compiled": []}
    for _ in range(rounds):
        measured["bare"].append(_seconds([], "pass"))
        measured["plain"].append(_seconds(paths(plain), "import app"))
        measured["compiled"].append(_seconds(paths(compiled), "import app"))
    return Start(
        function, **{name: median(times) for name, times in measured.items()}, slowest=_slowest(paths(compiled))
    )


def _compile(folder: Path) -> None:
    """Bytecode beside the sources, as a layer would carry it, and not where this project's processes keep theirs."""
    prefix, sys.pycache_prefix = sys.pycache_prefix, None
    try:
        compileall.compile_dir(folder, quiet=1)
    finally:
        sys.pycache_prefix = prefix


def _seconds(paths: Sequence[Path], statement: str) -> float:
    begun = time.perf_counter()
    _run(paths, statement)
    return time.perf_counter() - begun


def _run(paths: Sequence[Path], statement: str, *options: str) -> str:
    """The interpreter as the execution environment starts it: nothing in sight but function, layers and AWS SDK."""
    code = f"import sys; sys.path[:0] = {[str(path) for path in paths]}; {statement}"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-B", *options, "-c", code],
        env={"PYTHONPATH": str(runtime_folder()), "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def _slowest(paths: Sequence[Path]) -> tuple[tuple[str, float], ...]:
    """Milliseconds of importing each top-level package, what it alone brings in included, counted once."""
    totals: dict[str, float] = {}
    own = [
        (match[4].partition(".")[0], int(match[1]) / 1000)
        for match in _lines(_run(paths, "import app", "-X", "importtime"))
    ]
    for package, milliseconds in own:
        totals[package] = totals.get(package, 0.0) + milliseconds
    return tuple(sorted(totals.items(), key=lambda item: -item[1])[:_SLOWEST])


def _lines(trace: str) -> Iterator[re.Match[str]]:
    return (match for line in trace.splitlines() if (match := _IMPORT_LINE.match(line)))


def _zipped(layer: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "layer.zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in layer.rglob("*"):
                zipped.write(path, path.relative_to(layer))
        return archive.stat().st_size


def _total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
