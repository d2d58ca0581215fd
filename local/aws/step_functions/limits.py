"""Limits: payloads of at most 256 KiB, boolean conditions, and errors that States.ALL does not catch.

Sources: "Quotas related to task executions" (service-quotas.html), "Error names" (concepts-error-handling.html) and
"Choice state fields (JSONata)" (state-choice.html) of the AWS Step Functions Developer Guide.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import stepfunctions

from local.aws.corrections.guard import original, replace
from local.aws.step_functions.errors import failure

LARGEST_PAYLOAD = 256 * 1024
DATA_LIMIT, RUNTIME = "States.DataLimitExceeded", "States.Runtime"
# "States.ALL … can't catch the States.DataLimitExceeded terminal error or Runtime error types."
ONLY_BY_NAME = frozenset({DATA_LIMIT, RUNTIME})


def install() -> None:
    """Refuse what Step Functions refuses."""
    payloads()
    boolean_conditions()
    terminal_errors()


def check_size(payload: Any, subject: str) -> None:
    """Raise States.DataLimitExceeded when ``payload`` is larger than 256 KiB as JSON in UTF-8."""
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_PAYLOAD:
        raise failure(
            DATA_LIMIT,
            f"The state/task '{subject}' returned a result with a size exceeding the maximum number of bytes service "
            "limit.",
        )


def payloads() -> None:
    """Limit task results and the input and output of states to 256 KiB; MiniStack accepts any size."""
    for name in ("_invoke_resource", "_invoke_with_callback"):
        replace(stepfunctions, name, _measured_task(original(stepfunctions, name)))
    for name in ("_apply_jsonata_arguments", "_apply_jsonata_output"):
        replace(stepfunctions, name, _measured_field(original(stepfunctions, name)))


def _measured_task(invoke: Any) -> Any:
    def measured(resource: str, *arguments: Any) -> Any:
        result = invoke(resource, *arguments)
        check_size(result, resource)
        return result

    return measured


def _measured_field(evaluate: Any) -> Any:
    def measured(state: Any, *arguments: Any, **keywords: Any) -> Any:
        value = evaluate(state, *arguments, **keywords)
        check_size(value, state.get("Resource") or state.get("Type", ""))
        return value

    return measured


def boolean_conditions() -> None:
    """Require conditions to be true or false; MiniStack accepts every value that JSONata treats as true."""
    original(stepfunctions, "_evaluate_jsonata_choice_rule")
    evaluate = original(stepfunctions, "_apply_jsonata_template")
    name_of_type = original(stepfunctions, "_json_type")

    def holds(rule: dict[str, Any], data: Any, context: Any) -> bool:
        value = evaluate(rule.get("Condition"), data, context)
        if isinstance(value, bool):
            return value
        raise failure(
            "States.QueryEvaluationError",
            f"The JSONata expression '{rule.get('Condition')}' specified for the field 'Condition' returned an "
            f"unexpected result type. Expected 'boolean', but was '{name_of_type(value)}' for value: "
            f"{json.dumps(value)}",
        )

    replace(stepfunctions, "_evaluate_jsonata_choice_rule", holds)


def terminal_errors() -> None:
    """Retry and catch terminal errors only by their own names."""
    unpatched = original(stepfunctions, "_error_matches")

    def matches(names: list[str], error: str) -> bool:
        return error in names if error in ONLY_BY_NAME else bool(unpatched(names, error))

    replace(stepfunctions, "_error_matches", matches)
