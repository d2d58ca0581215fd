"""Dispatches a click to the code that handles it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ip_remediator.common.slack_actions import SlackAction
from ip_remediator.slack_interactions.clicks import clicks_of, perform
from ip_remediator.slack_interactions.details import details_of

if TYPE_CHECKING:
    from ip_remediator.clients.aws.secrets import SlackSecret
    from ip_remediator.settings import SlackSettings
    from ip_remediator.slack_interactions.requests import Click


def work_on(click: Click, settings: SlackSettings, secret: SlackSecret) -> None:
    """Raises what the work raises, so that Lambda tries again."""
    worker = details_of if click.action == SlackAction.DETAILS else clicks_of
    perform(worker(settings, secret), click)
