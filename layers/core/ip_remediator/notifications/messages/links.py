"""The links of a message: to the AWS console and the project's documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.text import link

# A console per partition. China: https://docs.amazonaws.cn/en_us/aws/latest/userguide/console.html; GovCloud:
# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/getting-started-console.html
_CONSOLES = {
    "cn-": "console.amazonaws.cn",
    "us-gov-": "console.amazonaws-us-gov.com",
}
_CONSOLE = "console.aws.amazon.com"
# Partitions without a console on the internet, by the beginnings of their regions' names.
_NO_CONSOLE = ("us-iso", "eu-iso", "eusc-")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


@dataclass(frozen=True)
class Site:
    """What a stack's messages need besides the record.

    `docs` is the base URL of the documentation; anything else ("none") where there is none to link to.
    `cool_down_minutes`: how long after an incident its cluster's signals open no other one, None where that is not
    known. `clickable`: clicks reach the stack; without an endpoint a message has commands instead of buttons.
    """

    docs: str = ""
    cool_down_minutes: int | None = None
    clickable: bool = True

    @property
    def linked(self) -> bool:
        """Whether there is documentation to link to."""
        return self.docs.startswith(("https://", "http://"))

    def page(self, path: str, label: str = "") -> str:
        """A link to `docs/` + `path`, or its name where there is no site."""
        base = self.docs if self.docs.endswith("/") else f"{self.docs}/"
        if self.linked:
            return link(label or path, f"{base}{path}")
        return f"{label} (docs/{path})" if label else f"docs/{path}"


def console_links(incident: Incident) -> list[str]:
    """Links to the cluster, its VPC and the execution, as far as they are known."""
    host = _host(incident.region)
    if host is None:
        return []
    region = quote(incident.region)
    base = f"https://{region}.{host}"
    links = [link("Cluster", f"{base}/eks/clusters/{quote(incident.cluster, safe='')}?region={region}")]
    if incident.plan:
        vpc = quote(incident.plan.vpc_id, safe="")
        links.append(link("VPC", f"{base}/vpcconsole/home?region={region}#VpcDetails:VpcId={vpc}"))
    execution = incident.change_execution or incident.execution
    if execution and execution.startswith("arn:"):
        arn = quote(execution, safe=":")
        links.append(link("Execution", f"{base}/states/home?region={region}#/v2/executions/details/{arn}"))
    return links


def _host(region: str) -> str | None:
    if not _REGION.fullmatch(region) or region.startswith(_NO_CONSOLE):
        return None
    return next((host for start, host in _CONSOLES.items() if region.startswith(start)), _CONSOLE)
