"""Lambda functions within the process: each environment has a copy of the product's modules and variables of its own.

What is simulated of an environment that is killed: no further line of its code runs, also no `finally`, and what it
held in memory is gone.
"""

from __future__ import annotations

import importlib.util
import io
import json
import queue
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from local.aws.corrections import lambda_functions
from local.aws.functions import bootstrap, worker
from tests.faults.inline.threads import Process, run_in

ROOT = Path(__file__).resolve().parents[3]
# These hold state by function: clients with the credentials of its role, loggers, metrics. So does each module that has
# anything of one of these. All others are the same for all functions.
_WITH_STATE = ("app", "aws_lambda_powertools", "ip_remediator.clients.aws.session", "ip_remediator.observability")


# Called with name and event of a function that begins, with its answer too when it ends, and whether no other runs:
# those that tell of changes do not count.
Watcher = Callable[[str, Any, bool], None]
_BESIDE = ("notify", "announce")
_OF_MACHINES = ("incident", "diagnose", "plan", "network", "cluster", "verify", "notify")
_begins: list[Watcher] = []
_ends: list[Watcher] = []
# Called with event and answer of the function that tells people.
_tells: list[Callable[[Any, Any], None]] = []
_running: list[_Running] = []


def watch(begins: Watcher, ends: Watcher, tells: Callable[[Any, Any], None]) -> None:
    _begins[:], _ends[:], _tells[:] = [begins], [ends], [tells]


def unwatch() -> None:
    for watchers in (_begins, _ends, _tells):
        watchers.clear()


def install() -> None:
    lambda_functions.PythonWorker = Environment  # type: ignore[misc]


class Environment(worker.PythonWorker):
    """An execution environment whose process is a simulated one."""

    def _spawn(self) -> dict[str, Any] | None:
        self._answers, self._log = queue.Queue(), queue.Queue()
        variables = {name.encode(): value.encode() for name, value in self._environment(ROOT).items()}
        self._proc = _Running(self.func_name, variables, self._answers)  # type: ignore[assignment]
        self._send(self._start_document(ROOT))
        answer = self._receive(worker.INIT_SECONDS)
        self._cold = False
        if answer is None or "error" in answer:
            self.kill()
            return {"errorMessage": str(answer), "errorType": "Runtime.ExitError"}
        return None

    def _layers(self) -> list[str]:
        return []

    def _drain(self) -> str:
        return ""


class _Running:
    """What `PythonWorker` uses of a `Popen`."""

    def __init__(self, name: str, variables: dict[bytes, bytes], answers: queue.Queue[str]) -> None:
        self._answers, self._asked = answers, queue.Queue[str]()
        self.process = Process(name, variables)
        self.stdin = self
        run_in(self.process, name, self._serve)

    def write(self, line: str) -> None:
        if not self.process.alive:
            raise BrokenPipeError
        self._asked.put(line)

    def flush(self) -> None: ...

    def poll(self) -> int | None:
        return None if self.process.alive else -9

    def wait(self, timeout: float | None = None) -> int:
        if self.process.alive:
            raise subprocess.TimeoutExpired("function", timeout or 0)
        return -9

    def kill(self) -> None:
        if self.process.alive:
            self.process.alive = False
            self._answers.put("")

    def _serve(self) -> None:
        start = json.loads(self._asked.get())
        folder, name = start["function_name"].rpartition("-")[2], start["handler"].rpartition(".")[2]
        _LOADED.setdefault(folder, (name, self.process))
        try:
            handler = _SPARES[folder].pop() if _SPARES[folder] else load(folder, name)
        except BaseException as error:
            self._answers.put(json.dumps({"error": bootstrap.describe(error)}))
            return
        self._answers.put("{}")
        while True:
            call = json.loads(self._asked.get())
            steps = self.process.name.rpartition("-")[2] not in _BESIDE
            if steps:
                for begins in _begins:
                    begins(self.process.name, call["event"], _none_runs())
                _running.append(self)
            answer = bootstrap.invoke(handler, start, call)
            # Where in the code an error was raised is of no use to anybody but people.
            answer.get("error", {}).pop("stackTrace", None)
            if steps:
                _running.remove(self)
                for ends in _ends:
                    ends(self.process.name, [call["event"], answer], _none_runs())
            elif self.process.name.endswith("-notify"):
                for tells in _tells:
                    tells(call["event"], answer)
            self._answers.put(json.dumps(answer))


def _none_runs() -> bool:
    return not any(one.process.alive for one in _running)


# Handlers that nobody has used yet, by folder: a function that was killed starts again from one, at no cost.
_SPARES: dict[str, list[Any]] = defaultdict(list)
_LOADED: dict[str, tuple[str, Process]] = {}


def keep_spares(count: int) -> None:
    """So many of each function of the state machines that has started so far."""
    for folder, (name, process) in _LOADED.items():
        if folder in _OF_MACHINES:
            spares = run_in(process, "spares", _keep, folder, name, count)
            spares.join()


def _keep(folder: str, name: str, count: int) -> None:
    _SPARES[folder] += [load(folder, name) for _ in range(count)]


def load(folder: str, name: str) -> Any:
    """A function's handler, from modules that nobody else has."""
    others = _taken()
    try:
        spec = importlib.util.spec_from_file_location("app", ROOT / "functions" / folder / "app.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["app"] = module
        shown, sys.stdout = sys.stdout, io.StringIO()
        try:
            spec.loader.exec_module(module)
        finally:
            sys.stdout = shown
        return getattr(module, name)
    finally:
        _taken()
        sys.modules.update(others)


def _taken() -> dict[str, Any]:
    """The modules that hold state by function; whoever imports them next gets new ones."""
    own = _own_modules()
    for name in own:
        package, _, child = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(child, None)
    return {name: sys.modules.pop(name) for name in own}


def _own_modules() -> list[str]:
    own = {name for name in sys.modules if _is_of(name, _WITH_STATE)}
    library = {name: module for name, module in sys.modules.items() if name.startswith("ip_remediator.")}
    plain = [name for name, module in library.items() if not hasattr(module, "__path__")]
    more = own
    while more:
        more = {name for name in plain if name not in own and _has_any_of(library[name], own)}
        own |= more
    return sorted(own)


def _has_any_of(module: Any, own: set[str]) -> bool:
    return any(
        _is_of(str(getattr(value, "__module__", "")), _WITH_STATE)
        or getattr(value, "__module__", "") in own
        or (isinstance(value, ModuleType) and value.__name__ in own)
        for value in vars(module).values()
    )


def _is_of(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
