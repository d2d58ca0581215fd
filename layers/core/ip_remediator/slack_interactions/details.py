"""Shows the details of a plan to the person who clicked. Runs after Slack got its answer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ip_remediator.clients.aws import session
from ip_remediator.clients.slack.client import SlackUnavailable, fill_view, web_client
from ip_remediator.common.clock import utc_now
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.message import details, details_view
from ip_remediator.observability import logger
from ip_remediator.slack_interactions.clicks import reply_privately

if TYPE_CHECKING:
    from slack_sdk.web.client import WebClient

    from ip_remediator.clients.aws.secrets import SlackSecret
    from ip_remediator.incidents.record import Incident
    from ip_remediator.settings import SlackSettings
    from ip_remediator.slack_interactions.requests import Click


class Details:
    """What the modal "Details" shows, read for one person."""

    def __init__(self, incidents: Incidents, client: WebClient, site: Site) -> None:
        self._incidents = incidents
        self._client = client
        self._site = site

    def act(self, click: Click) -> str | None:
        """Fills the modal that was opened for the click; where it is not open (Slack was slow, a proxy was in the
        way), shows the details in a message that only this person sees.

        Raises:
            The errors of `common.errors`: the click can be tried again.
        """
        try:
            incident = self._incidents.get(click.subject)
        except IncidentNotFound as error:
            return f"There are no details: {error}."
        before = self._settings_before(incident)
        try:
            if fill_view(self._client, click.view, details_view(incident, self._site, before)):
                return None
            reason = "the modal is not open"
        except SlackUnavailable as error:
            reason = str(error)
        logger.warning("details told privately", extra={"incident": incident.id, "reason": reason})
        message = details(incident, self._site, before)
        if message is None:
            return f"{incident.id} has no plan yet."
        reply_privately(click, message.text, message.blocks)
        return None

    def _settings_before(self, incident: Incident) -> dict[str, str] | None:
        """aws-node's variables when the incident was diagnosed, before anything was changed; None where no facts are
        stored."""
        try:
            return snapshot_of(self._incidents, incident.id).cni.env
        except IncidentNotFound:
            return None


@lru_cache(maxsize=1)
def details_of(settings: SlackSettings, secret: SlackSecret) -> Details:
    """What works on the deployed table and Slack; one per container and secret."""
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    return Details(incidents, web_client(secret.bot_token, settings.slack_api_url), Site(docs=settings.docs_url))
