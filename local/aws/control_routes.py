"""The control endpoints under /_local: what they answer to a method, a query and a document."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local.aws.faults import BadFaultError, parse_fault
from local.aws.functions.conditions import BadConditionError
from local.aws.functions.worker import crash
from local.aws.switches import BadSettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.faults import Faults
    from local.aws.functions.conditions import FunctionConditions
    from local.aws.switches import Switches

PREFIX = "/_local/"
Answer = tuple[int, Any]


class ControlRoutes:
    """Faults, recorded calls, settings and conditions of functions of one server."""

    def __init__(self, faults: Faults, switches: Switches, conditions: FunctionConditions) -> None:
        self._faults = faults
        self._switches = switches
        self._conditions = conditions
        self._routes: dict[tuple[str, str], Callable[[dict[str, str], bytes], Answer]] = {
            ("GET", "faults"): lambda _query, _body: (200, self._pending()),
            ("POST", "faults"): self._inject,
            ("DELETE", "faults"): lambda _query, _body: self._forget(self._faults.pending),
            ("GET", "calls"): lambda query, _body: (200, self._faults.recorded(query)),
            ("DELETE", "calls"): lambda _query, _body: self._forget(self._faults.calls),
            ("GET", "settings"): lambda _query, _body: (200, self._switches.document()),
            ("PUT", "settings"): self._change,
            ("DELETE", "settings"): self._reset,
            ("GET", "functions"): lambda _query, _body: (200, self._conditions.document()),
            ("POST", "functions"): self._add_condition,
            ("DELETE", "functions"): lambda _query, _body: self._forget(self._conditions),
            ("POST", "crash"): lambda query, _body: self._crash(query),
        }

    def answer(self, method: str, path: str, query: bytes, body: bytes) -> Answer:
        """(status, document) of a request under /_local."""
        route = self._routes.get((method, path.removeprefix(PREFIX)))
        if route is None:
            return 405, {"error": f"{method} {path} is not offered; offered are {', '.join(self._offered())}"}
        try:
            return route(dict(parse_qsl(query.decode())), body)
        except (BadFaultError, BadSettingError, BadConditionError) as error:
            return 400, {"error": str(error)}
        except json.JSONDecodeError as error:
            return 400, {"error": f"the body must be JSON: {error}"}

    def _offered(self) -> list[str]:
        return sorted(f"{method} {PREFIX}{name}" for method, name in self._routes)

    def _add_condition(self, _query: dict[str, str], body: bytes) -> Answer:
        self._conditions.add(json.loads(body))
        return 200, self._conditions.document()

    def _crash(self, query: dict[str, str]) -> Answer:
        """Ends the processes of the function that the query names."""
        crash(query.get("function", ""))
        return 200, []

    def _pending(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self._faults.pending]

    def _inject(self, _query: dict[str, str], body: bytes) -> Answer:
        self._faults.pending.append(parse_fault(json.loads(body)))
        return 200, self._pending()

    def _forget(self, records: Any) -> Answer:
        records.clear()
        return 200, []

    def _change(self, _query: dict[str, str], body: bytes) -> Answer:
        self._switches.change(json.loads(body))
        return 200, self._switches.document()

    def _reset(self, _query: dict[str, str], _body: bytes) -> Answer:
        self._switches.reset()
        return 200, self._switches.document()
