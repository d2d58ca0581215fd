"""Incident ids: they become execution names, tag values and label values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ip_remediator.common.document import typed_by_people
from ip_remediator.common.enums import Mode, Outcome, incident_id
from ip_remediator.incidents.record import Incident

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
# Kubernetes: label values. Every one of them is a legal execution name (80 characters) and tag value as well.
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
CLUSTER_NAMES = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", fullmatch=True)
NONCES = st.text("0123456789abcdef", min_size=6, max_size=6)


def test_an_id_names_the_cluster_and_the_time() -> None:
    assert incident_id("prod", NOON, "a1b2c3d4") == "prod-20260301-120005-a1b2c3"


@given(cluster=CLUSTER_NAMES, nonce=NONCES)
def test_whatever_the_clusters_name_the_id_is_a_label_value(cluster: str, nonce: str) -> None:
    assert LABEL_VALUE.fullmatch(incident_id(cluster, NOON, nonce))


@given(cluster=CLUSTER_NAMES, earlier=NONCES, later=NONCES, seconds=st.integers(1, 10**8))
def test_ids_of_one_cluster_sort_by_time(cluster: str, earlier: str, later: str, seconds: int) -> None:
    after = NOON + timedelta(seconds=seconds)
    assert incident_id(cluster, NOON, earlier) < incident_id(cluster, after, later)


def test_an_incident_is_open_until_it_has_an_outcome() -> None:
    incident = Incident(id="i", cluster="prod", region="eu-west-1", mode=Mode.AUTO, opened_at=NOON)
    assert incident.open
    assert not incident.model_copy(update={"outcome": Outcome.HEALED}).open


@given(field=st.from_regex(r"[a-z]{3,12}_later", fullmatch=True), value=st.integers() | st.lists(st.text(max_size=3)))
def test_a_field_that_only_a_newer_release_knows_is_ignored_unless_people_typed_it(field: str, value: object) -> None:
    # given a document with an unknown field, at the top and further down
    approval = {"id": "a", "state": "pending", "plan_hash": "h", "asked_at": NOON, "expires_at": NOON}
    document = {"id": "i", "cluster": "prod", "region": "eu-west-1", "mode": "auto", "opened_at": NOON}
    newer = {**document, field: value}
    deeper = {**document, "approval": {**approval, field: value}}

    # then it is read as if the field were not there, and named where a person wrote it
    assert Incident.model_validate(newer) == Incident.model_validate(document)
    assert Incident.model_validate(deeper) == Incident.model_validate({**document, "approval": approval})
    for typed in (newer, deeper):
        with pytest.raises(ValidationError, match=field):
            typed_by_people(Incident, typed)
