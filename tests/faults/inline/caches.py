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

    # Every session reads botocore's JSON models again.
    botocore.session.create_loader = lru_cache(botocore.session.create_loader)  # type: ignore[attr-defined]
    for module in (responses, utils):
        module.method_names_from_class = lru_cache(utils.method_names_from_class)  # type: ignore[attr-defined]
    useragent.sanitize_user_agent_string_component = lru_cache(useragent.sanitize_user_agent_string_component)
    _parse_policies_once(iam_evaluator)
    # Powertools has every session add words to the user agent: once for each function that is loaded here.
    botocore.register_initializer = lambda _callback: None


def _parse_policies_once(iam: Any) -> None:
    """Nobody changes a parsed policy."""
    parse = iam.parse_policy_document
    parsed = lru_cache(1000)(parse)
    iam.parse_policy_document = lambda text: parsed(text) if isinstance(text, str) else parse(text)
