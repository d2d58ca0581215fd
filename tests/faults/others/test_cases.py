"""The ids of acts lead back to their cases; how a world is compared without what others changed."""

from __future__ import annotations

import pytest

from tests.faults.others.acts import ACTS
from tests.faults.others.aftermath import _without
from tests.faults.others.cases import WORLDS, Case, case_of
from tests.faults.worlds import SETTINGS

ID = "new-cidr:rollback:network.undo:0:subnet-deleted"


def test_given_cases_then_their_ids_lead_back_to_them() -> None:
    cases = [Case(world, "rollback", "cluster.undo", 1, act) for world in WORLDS for act in ACTS]
    assert [case_of(case.id) for case in cases] == cases


@pytest.mark.parametrize(
    "wrong", ["", "x", ID.replace("deleted", "painted"), ID.replace("new-cidr", "other"), f"{ID}:1", ID[9:]]
)
def test_given_what_is_no_id_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no id of a case, such as"):
        case_of(wrong)


def test_every_set_up_is_played() -> None:
    assert {*WORLDS} == {*SETTINGS}


@pytest.mark.parametrize(
    ("part", "rest"), [({"a": 1, "b": 2}, {"b": 2}), (["a", "b"], ["b"]), ("a", "a"), (None, None)]
)
def test_given_a_part_of_the_world_then_only_what_others_changed_does_not_count(part: object, rest: object) -> None:
    assert _without(part, frozenset({"a"})) == rest
