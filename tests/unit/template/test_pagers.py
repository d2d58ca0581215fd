"""The templates for PagerDuty and Microsoft Teams: which events call people, and what is sent.

The requests of `tests/data/requests` have the shapes that both services document:
https://developer.pagerduty.com/docs/send-alert-event and
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.events.models import EventPattern

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.timeline import AUTOMATIC, EVENT_SOURCE, Stage, StageEvent, State

ROOT = Path(__file__).parents[3]
REQUESTS = ROOT / "tests" / "data" / "requests"
INCIDENT = "shop-20260301-100000-1a2b3c"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"


class _Loader(yaml.SafeLoader):
    """CloudFormation's short functions are left as what they are about."""


_LOADER_TAGS = ("!Ref", "!GetAtt", "!Sub")
for _tag in _LOADER_TAGS:
    _Loader.add_constructor(_tag, lambda loader, node: str(loader.construct_scalar(node)))


def template(name: str) -> dict[str, Any]:
    resources: dict[str, Any] = yaml.load((ROOT / "onboarding" / f"{name}.yaml").read_text(), _Loader)["Resources"]
    return resources


def event(stage: Stage, state: State, **facts: Any) -> dict[str, Any]:
    """As `announce` puts it on the bus, with a detail that would break JSON."""
    detail = StageEvent(
        id="1", at=datetime(2026, 3, 1, 10, 4, 12, tzinfo=UTC), by=AUTOMATIC, stage=stage, state=state,
        detail='somebody wrote "quoted" \\ text', incident=INCIDENT, cluster="shop", **facts,
    )  # fmt: skip
    return {
        "source": EVENT_SOURCE,
        "detail-type": detail.detail_type,
        "time": "2026-03-01T10:04:12Z",
        "region": "ap-northeast-2",
        "detail": detail.model_dump(mode="json", exclude_none=True),
    }


def sent(name: str, happened: dict[str, Any]) -> dict[str, Any]:
    """The bodies that EventBridge sends for the event, by rule."""
    rules = {
        id_: resource["Properties"]
        for id_, resource in template(name).items()
        if resource["Type"] == "AWS::Events::Rule"
    }
    return {id_: _body(rule, happened) for id_, rule in rules.items() if _matches(rule, happened)}


def _matches(rule: dict[str, Any], happened: dict[str, Any]) -> bool:
    return bool(EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(happened))


def _body(rule: dict[str, Any], happened: dict[str, Any]) -> dict[str, Any]:
    """An input transformer: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    [target] = rule["Targets"]
    values = {name: _at(happened, path) for name, path in target["InputTransformer"]["InputPathsMap"].items()}
    text = re.sub(r"<([a-z]+)>", lambda match: values[match[1]], target["InputTransformer"]["InputTemplate"])
    body: dict[str, Any] = json.loads(text)
    return body


def _at(document: Any, path: str) -> str:
    for key in path.removeprefix("$.").split("."):
        document = document[key]
    return str(document)


def recorded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((REQUESTS / f"{name}.json").read_text())
    return document


CLOSED = (Stage.INCIDENT, State.CLOSED)


@pytest.mark.parametrize("name", ["pagerduty", "teams"])
@pytest.mark.parametrize(
    ("happened", "rule"),
    [
        (event(Stage.APPROVAL, State.PENDING), "DecisionWanted"),
        (event(Stage.ROLLBACK_APPROVAL, State.PENDING), "DecisionWanted"),
        (event(Stage.REPLACEMENT_APPROVAL, State.PENDING), "DecisionWanted"),
        (event(Stage.APPROVAL, State.EXPIRED), "NotCured"),
        (event(Stage.ROLLBACK, State.FAILED, error="StillInUse"), "NotCured"),
        (event(Stage.REPLACE_NODES, State.FAILED), "NotCured"),
        (event(*CLOSED, outcome=Outcome.FAILED), "NotCured"),
        (event(*CLOSED, outcome=Outcome.PARTLY), "NotCured"),
        (event(*CLOSED, outcome=Outcome.UNDONE), "NotCured"),
        (event(*CLOSED, outcome=Outcome.NOT_CURABLE), "NotCured"),
        (event(*CLOSED, outcome=Outcome.HEALED), None),
        (event(*CLOSED, outcome=Outcome.OBSERVED), None),
        (event(*CLOSED, outcome=Outcome.REJECTED), None),
        (event(Stage.INCIDENT, State.OPENED), None),
        (event(Stage.CREATE_SUBNETS, State.FAILED, error="QuotaReached"), None),
        (event(Stage.APPROVAL, State.REMINDED), None),
    ],
    ids=lambda value: value["detail-type"] + value["detail"].get("outcome", "") if isinstance(value, dict) else None,
)
def test_people_are_called_at_two_moments_and_at_no_other(
    name: str, happened: dict[str, Any], rule: str | None
) -> None:
    calling = set(sent(name, happened)) & {"DecisionWanted", "NotCured"}

    assert calling == ({rule} if rule else set())


def test_pagerduty_gets_an_event_of_its_api_with_the_key_from_the_connection() -> None:
    resources = template("pagerduty")
    parameters = resources["Connection"]["Properties"]["AuthParameters"]["InvocationHttpParameters"]["BodyParameters"]
    assert [(parameter["Key"], parameter["IsValueSecret"]) for parameter in parameters] == [("routing_key", True)]

    body = sent("pagerduty", event(Stage.APPROVAL, State.PENDING))["DecisionWanted"]

    assert {"routing_key": ROUTING_KEY, **body} == recorded("pagerduty-trigger")


@pytest.mark.parametrize(
    ("wanted", "settling", "rule"),
    [
        (event(Stage.APPROVAL, State.PENDING), event(Stage.APPROVAL, State.APPROVED), "DecisionMade"),
        (event(Stage.APPROVAL, State.PENDING), event(Stage.APPROVAL, State.EXPIRED), "DecisionMade"),
        (event(*CLOSED, outcome=Outcome.PARTLY), event(*CLOSED, outcome=Outcome.HEALED), "Cured"),
        (event(*CLOSED, outcome=Outcome.FAILED), event(*CLOSED, outcome=Outcome.ROLLED_BACK), "Cured"),
    ],
    ids=["approved", "expired", "nodes replaced", "rolled back"],
)
def test_what_is_settled_resolves_its_alert_in_pagerduty(
    wanted: dict[str, Any], settling: dict[str, Any], rule: str
) -> None:
    [alert] = sent("pagerduty", wanted).values()

    resolved = sent("pagerduty", settling)[rule]

    assert resolved == {"event_action": "resolve", "dedup_key": alert["dedup_key"]}


def test_teams_gets_an_adaptive_card_and_the_signature_stays_in_the_connection() -> None:
    resources = template("teams")
    query = resources["Connection"]["Properties"]["AuthParameters"]["InvocationHttpParameters"]["QueryStringParameters"]
    assert [item["Key"] for item in query if item.get("IsValueSecret")] == ["sig"]

    body = sent("teams", event(*CLOSED, outcome=Outcome.FAILED))["NotCured"]

    assert body == recorded("teams-card")
