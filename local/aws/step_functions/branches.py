"""Runs the branches of Parallel and the iterations of an inline Map. The first failure stops the others.

Sources: state-parallel.html, and the recorded history of a Map that fails (MapIterationFailed, MapIterationAborted,
MapStateFailed). MiniStack lets all others run to their end first.
"""

from __future__ import annotations

import contextvars
import copy
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ministack.services import stepfunctions

from local.aws.corrections.guard import original, replace, require
from local.aws.step_functions import scopes
from local.aws.step_functions.scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.step_functions.executions import Runner

JSONATA = "JSONata"


@dataclass(frozen=True)
class Branch:
    """A branch or iteration: what it is called in the history, and what it runs."""

    name: str
    index: int
    run: Callable[[], Any]


class Race:
    """The state of branches that run concurrently: the first failure, and the Map iterations that still run."""

    def __init__(self, made: list[Scope]) -> None:
        self.scopes = made
        self.failure: Exception | None = None
        self.running: set[int] = set()
        self._lock = threading.Lock()

    @contextmanager
    def run(self, index: int) -> Iterator[None]:
        """Run one branch. When it fails, stop all others before another one can start."""
        try:
            yield
        except Exception as error:
            self.running.discard(index)
            with self._lock:
                self.failure = self.failure or error
            for scope in self.scopes:
                scope.stop()
            raise


def install(runner: Runner) -> None:
    """Run branches and iterations as AWS does."""
    require(stepfunctions, "_resolve_path_or_ctx", "_jsonata_state_field", "_apply_jsonata_template")
    require(stepfunctions, "_resolve_params_obj", "_apply_jsonata_output", "_apply_state_assign", "_next_or_end")
    require(stepfunctions, "_apply_jsonata_arguments", "_apply_parameters", "_apply_result_selector")
    require(stepfunctions, "_apply_result_path", "_state_query_language", "_ExecutionError")
    branches = Branches(runner, original(stepfunctions, "_run_map_items"))
    replace(stepfunctions, "_run_map_items", branches.run_map)
    replace(stepfunctions, "_run_parallel_branches", branches.run_parallel)


class Branches:
    """Runs Map and Parallel states; ``distributed`` is MiniStack's own Map, which knows the distributed mode."""

    def __init__(self, runner: Runner, distributed: Callable[..., Any]) -> None:
        self._runner = runner
        self._distributed = distributed

    def run_parallel(self, state: Any, data: Any, execution: Any, context: Any) -> tuple[Any, str | None]:
        """One attempt of a Parallel state: (output, next state)."""
        given = _given(state, data, context)

        def branch(index: int, one: Any) -> Branch:
            own = copy.deepcopy(context)

            def run() -> Any:
                return self._runner.walk(one["States"], one["StartAt"], copy.deepcopy(given), execution, own)

            return Branch("", index, run)

        branches = [branch(index, one) for index, one in enumerate(state["Branches"])]
        self._runner.add_event(execution, "ParallelStateStarted")
        results = self._together(execution, "Parallel", branches, len(branches))
        return _finish(state, data, context, results)

    def run_map(self, state: Any, data: Any, execution: Any, context: Any) -> tuple[Any, str | None]:
        """One attempt of a Map state: (output, next state)."""
        processor = state.get("ItemProcessor") or state.get("Iterator") or {}
        if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
            answer: tuple[Any, str | None] = self._distributed(state, data, execution, context)
            return answer
        items = _items(state, data, context)

        def iteration(index: int, item: Any) -> Branch:
            own = copy.deepcopy(context)
            own["Map"] = {"Item": {"Index": index, "Value": item}}

            def run() -> Any:
                given = _item_input(state, data, item, own)
                return self._runner.walk(processor["States"], processor["StartAt"], given, execution, own)

            return Branch(context["State"]["Name"], index, run)

        started = {"mapStateStartedEventDetails": {"length": len(items)}}
        self._runner.add_event(execution, "MapStateStarted", started)
        iterations = [iteration(index, item) for index, item in enumerate(items)]
        results = self._together(execution, "Map", iterations, _at_once(state, data, context) or len(items))
        return _finish(state, data, context, results)

    def _together(self, execution: Any, kind: str, branches: list[Branch], at_once: int) -> list[Any]:
        """Run the branches and return their results in order. Raises the first failure.

        Functions that stopped branches have called keep running; nobody reads their answers.
        """
        race = Race([Scope(execution, scopes.current.get()) for _ in branches])
        pool = ThreadPoolExecutor(max_workers=max(at_once, 1))
        futures: list[Future[Any]] = [
            pool.submit(contextvars.copy_context().run, self._run_one, kind, branch, race) for branch in branches
        ]
        wait(futures, return_when=FIRST_EXCEPTION)
        pool.shutdown(wait=False, cancel_futures=True)
        if race.failure is not None:
            for index in sorted(race.running):
                self._note(execution, "Aborted", branches[index])
            self._runner.add_event(execution, f"{kind}StateFailed")
            raise race.failure
        results = [one.result() for one in futures]
        self._runner.add_event(execution, f"{kind}StateSucceeded")
        return results

    def _run_one(self, kind: str, branch: Branch, race: Race) -> Any:
        scope = race.scopes[branch.index]
        scopes.current.set(scope)
        if kind != "Map":
            with race.run(branch.index):
                return branch.run()
        self._note(scope.execution, "Started", branch)
        with race.run(branch.index):
            race.running.add(branch.index)
            try:
                result = branch.run()
            except Exception:
                self._note(scope.execution, "Failed", branch)
                raise
            self._note(scope.execution, "Succeeded", branch)
            race.running.discard(branch.index)
            return result

    def _note(self, execution: Any, event: str, branch: Branch) -> None:
        details = {f"mapIteration{event}EventDetails": {"name": branch.name, "index": branch.index}}
        self._runner.add_event(execution, f"MapIteration{event}", details)


def _is_jsonata(state: Any, context: Any) -> bool:
    return bool(original(stepfunctions, "_state_query_language")(state, context) == JSONATA)


def _given(state: Any, data: Any, context: Any) -> Any:
    """Input of the branches of a Parallel state."""
    if _is_jsonata(state, context):
        return original(stepfunctions, "_apply_jsonata_arguments")(state, data, context)
    effective = original(stepfunctions, "_apply_input_path")(state, data, context)
    return original(stepfunctions, "_apply_parameters")(state, effective, context)


def _items(state: Any, data: Any, context: Any) -> list[Any]:
    if _is_jsonata(state, context) and "Items" in state:
        items = original(stepfunctions, "_jsonata_state_field")(state, "Items", "array", data, context)
    else:
        effective = original(stepfunctions, "_apply_input_path")(state, data, context)
        items = original(stepfunctions, "_resolve_path_or_ctx")(state.get("ItemsPath", "$"), effective, context)
    return items if isinstance(items, list) else [items]


def _item_input(state: Any, data: Any, item: Any, context: Any) -> Any:
    selector = state.get("ItemSelector") or state.get("Parameters")
    if not selector:
        return copy.deepcopy(item)
    if _is_jsonata(state, context):
        return original(stepfunctions, "_apply_jsonata_template")(selector, data, context)
    effective = original(stepfunctions, "_apply_input_path")(state, data, context)
    return original(stepfunctions, "_resolve_params_obj")(selector, effective, context)


def _at_once(state: Any, data: Any, context: Any) -> int:
    """MaxConcurrency; 0 sets no limit."""
    if _is_jsonata(state, context) and "MaxConcurrency" in state:
        return int(original(stepfunctions, "_jsonata_state_field")(state, "MaxConcurrency", "number", data, context))
    return int(state.get("MaxConcurrency", 0))


def _finish(state: Any, data: Any, context: Any, results: list[Any]) -> tuple[Any, str | None]:
    following = original(stepfunctions, "_next_or_end")(state)
    if _is_jsonata(state, context):
        apply = original(stepfunctions, "_apply_jsonata_output")
        output = apply(state, data, context, result=results, default=results)
        original(stepfunctions, "_apply_state_assign")(state, data, context, result=results)
        return output, following
    selected = original(stepfunctions, "_apply_result_selector")(state, results)
    output = original(stepfunctions, "_apply_result_path")(state, data, selected)
    return original(stepfunctions, "_apply_output_path")(state, output, context), following
