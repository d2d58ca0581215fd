"""What the libraries compute anew for each client and each call, though it is always the same, is computed once."""

from __future__ import annotations

from functools import lru_cache


def install() -> None:
    """Before the first client, and after moto was imported."""
    import botocore.session  # noqa: PLC0415 - only once threads are installed
    from moto.core import responses, utils  # noqa: PLC0415

    # Every session reads botocore's JSON models again.
    botocore.session.create_loader = lru_cache(botocore.session.create_loader)  # type: ignore[attr-defined]
    for module in (responses, utils):
        module.method_names_from_class = lru_cache(utils.method_names_from_class)  # type: ignore[attr-defined]
