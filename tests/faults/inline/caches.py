"""What the libraries compute anew for each client and each call, though it is always the same, is computed once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def install() -> None:
    """Before the first client, and after moto was imported."""
    import botocore  # noqa: PLC0415 - only once threads are installed
    import botocore.session  # noqa: PLC0415
    from botocore import useragent  # noqa: PLC0415
    from ministack.core import iam_evaluator  # noqa: PLC0415
    from moto.core import responses, utils  # noqa: PLC0415

    from local.aws.ec2 import gateway  # noqa: PLC0415

    # Every session reads botocore's JSON models again.
    botocore.session.create_loader = lru_cache(botocore.session.create_loader)  # type: ignore[attr-defined]
    for module in (responses, utils):
        module.method_names_from_class = lru_cache(utils.method_names_from_class)  # type: ignore[attr-defined]
    useragent.sanitize_user_agent_string_component = lru_cache(useragent.sanitize_user_agent_string_component)
    _parse_policies_once(iam_evaluator)
    _describe_once(gateway)
    # Powertools has every session add words to the user agent: once for each function that is loaded here.
    botocore.register_initializer = lambda _callback: None


def _parse_policies_once(iam: Any) -> None:
    """Nobody changes a parsed policy."""
    parse = iam.parse_policy_document
    parsed = lru_cache(1000)(parse)
    iam.parse_policy_document = lambda text: parsed(text) if isinstance(text, str) else parse(text)


def _describe_once(gateway: Any) -> None:
    """moto's answer to the same question is the same until a change was asked for and not refused. While a CIDR is
    between two states, time alone changes it."""
    call = gateway.MotoService._call
    answers: dict[tuple[str, bytes], Any] = {}

    def answered(service: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        asks = body.startswith(b"Action=Describe") and not gateway._backend().transitions
        question = (service._service, body)
        if asks and question in answers:
            return answers[question]
        answer = call(service, method, path, headers, body)
        if asks:
            answers[question] = answer
        elif answer[0] < 400:
            answers.clear()
        return answer

    gateway.MotoService._call = answered
