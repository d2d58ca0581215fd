"""Records of other releases are read: recorded ones of the first release, and what a newer one may have added.

tests/data/records holds what the first release stored in the Incidents table, as DynamoDB's JSON, item by item: an
incident that waits for approval, healed, with a paused rollback, rolled back, partly healed, with its nodes replaced,
and one that was undone.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.provisioning.change_log import ChangeLog
from tests.contract.conftest import unique
from tests.unit.docs.documents import ROOT

RECORDS = ROOT / "tests" / "data" / "records"
NAMES = sorted(path.stem for path in RECORDS.glob("*.json"))
Item = dict[str, Any]


def recorded(name: str) -> list[Item]:
    """The items, with an incident's id of their own: several recordings are of one incident."""
    text = (RECORDS / f"{name}.json").read_text()
    [incident] = set(re.findall(r'"INCIDENT#([\w-]+)"', text))
    items: list[Item] = json.loads(text.replace(incident, unique("recorded")))
    for item in items:
        for value in item.values():
            if "B" in value:
                value["B"] = base64.b64decode(value["B"])
    return items


def stored(table: Any, items: list[Item]) -> str:
    """Puts the items into the table; the incident's id."""
    read = TypeDeserializer().deserialize
    for item in items:
        table.put_item(Item={name: read(value) for name, value in item.items()})
    [incident] = {item["pk"]["S"] for item in items if item["sk"]["S"] == "META"}
    return str(incident).removeprefix("INCIDENT#")


def newer(item: Item) -> Item:
    """The item as a release would write it that has more fields and a higher schema number."""
    changed = {name: {"S": _with_more(value["S"])} if "S" in value else value for name, value in item.items()}
    return {**changed, "schema": {"N": "99"}, "added_later": {"M": {"deep": {"L": [{"N": "1"}]}}}}


def _with_more(text: str) -> str:
    if not text.startswith("{"):
        return text
    return json.dumps(_more(json.loads(text)))


def _more(document: Any) -> Any:
    """Another field in the document itself and in each of its lists' documents."""
    lists = {
        key: [_more(item) if isinstance(item, dict) else item for item in value]
        for key, value in document.items()
        if isinstance(value, list)
    }
    return {**document, **lists, "added_later": [1]}


def as_read(table: Any, incident: str) -> tuple[Incident, Any, Any, Any]:
    incidents = Incidents(table, utc_now)
    changes = ChangeLog(table, utc_now, incident).made()
    return incidents.get(incident), snapshot_of(incidents, incident), changes, incidents.timeline(incident)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_of_the_first_release_is_read_whole(table: Any, name: str) -> None:
    # given what the first release stored
    items = recorded(name)
    incident = stored(table, items)

    # when it is read
    record, snapshot, changes, timeline = as_read(table, incident)

    # then each of its documents is there, and each change and entry
    [meta] = [item for item in items if item["sk"]["S"] == "META"]
    assert record.schema_number == 1
    documents = {key for key, value in meta.items() if str(value.get("S", "")).startswith("{")}
    assert {"diagnosis", "plan"} <= documents
    assert {key for key in documents if getattr(record, key, None) is None} == set()
    assert record.change_execution == meta.get("rollback_execution", {}).get("S")
    assert (record.outcome or "open") == meta.get("outcome", {}).get("S", "open")
    assert snapshot.cluster.name == record.cluster
    assert len(changes) == sum(item["sk"]["S"].startswith("CHANGE#") for item in items)
    assert len(timeline) == sum(item["sk"]["S"].startswith("EVENT#") for item in items)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_newer_release_added_is_ignored(table: Any, name: str) -> None:
    # given a record, and the same one as a newer release would have written it
    items = recorded(name)
    incident = stored(table, items)
    read_first = as_read(table, incident)

    # when the newer one is read
    stored(table, [newer(item) for item in items])
    record, *others = as_read(table, incident)

    # then it says the same
    assert record.schema_number == 99
    assert (record.model_copy(update={"schema_number": 1}), *others) == read_first


def test_an_execution_takes_over_what_one_of_the_first_release_began(table: Any) -> None:
    # given an incident that an execution of the first release rolled back
    incidents, incident = Incidents(table, utc_now), stored(table, recorded("rollback_paused"))
    before = incidents.get(incident)
    assert before.outcome is Outcome.HEALED
    assert before.change_execution

    # when two executions claim it
    claimed = [incidents.claim(before, execution) for execution in ("mine", "later")]

    # then the first one has it
    assert claimed == [True, False]
    assert incidents.get(incident).change_execution == "mine"
