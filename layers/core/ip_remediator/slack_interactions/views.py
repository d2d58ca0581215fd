"""Opening a modal before Slack is answered: the click's trigger lives 3 seconds, too short for a second invocation.

The modal says "Loading"; the second invocation fills it. Only urllib3 is imported, which is there already (botocore's).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import urllib3

from ip_remediator.observability import logger

if TYPE_CHECKING:
    from ip_remediator.slack_interactions.requests import Click

# Slack waits 3 seconds for the answer to the click, a cold start included.
_TIMEOUT_SECONDS = 1.2
_VIEW = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Details of the plan"},
    "close": {"type": "plain_text", "text": "Close"},
}


def open_loading_view(api_url: str, bot_token: str, click: Click) -> None:
    """Opens the loading view. On failure it only logs: the code that fills the view notices and replies in a
    message."""
    loading = {"type": "section", "text": {"type": "plain_text", "text": f"Loading {click.subject}…"}}
    view = {**_VIEW, "blocks": [loading], "external_id": click.view}
    body = {"trigger_id": click.trigger, "view": view}
    headers = {"Authorization": f"Bearer {bot_token}", "Content-Type": "application/json; charset=utf-8"}
    try:
        answer = urllib3.request(
            "POST",
            f"{api_url}views.open",
            body=json.dumps(body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(total=_TIMEOUT_SECONDS),
            retries=False,
        )
        document = answer.json()
        reason = None if document.get("ok") else document.get("error")
    except (urllib3.exceptions.HTTPError, ValueError, AttributeError) as error:
        reason = type(error).__name__
    if reason:
        logger.warning("modal not opened", extra={"reason": str(reason)[:100]})
