"""Subnets taken back from those that have them: what others did in between stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.incidents.change_record import ChangeKind, ChangeMade
from ip_remediator.provisioning.recipients import without

_IDS = st.lists(st.sampled_from([f"subnet-{n}" for n in range(5)]), unique=True, min_size=1, max_size=5)


def change(before: list[str], after: list[str]) -> ChangeMade:
    """`after`: what the incident made of it."""
    return ChangeMade(
        kind=ChangeKind.AUTO_SCALING_GROUP, target="workers", before={"subnets": before}, after={"subnets": after}
    )


@given(_IDS, _IDS)
def test_where_nobody_changed_it_since_it_becomes_what_it_was_in_the_same_order(
    before: list[str], replaced: list[str]
) -> None:
    after = [*(id_ for id_ in before if id_ not in replaced), "subnet-new"]
    assert without(tuple(after), change(before, after)) == tuple(before)


def test_what_others_added_or_took_away_in_between_stays_so() -> None:
    made = change(["subnet-0", "subnet-1"], ["subnet-0", "subnet-1", "subnet-new"])
    assert without(("subnet-1", "subnet-new", "subnet-9"), made) == ("subnet-1", "subnet-9")


def test_where_others_took_ours_away_already_nothing_changes() -> None:
    made = change(["subnet-0", "subnet-1"], ["subnet-1", "subnet-new"])
    assert without(("subnet-1", "subnet-9"), made) == ("subnet-1", "subnet-9")


def test_what_a_new_subnet_took_the_place_of_comes_back() -> None:
    made = change(["subnet-0", "subnet-1"], ["subnet-1", "subnet-new"])
    assert without(("subnet-1", "subnet-new", "subnet-9"), made) == ("subnet-1", "subnet-9", "subnet-0")


@given(_IDS, _IDS, _IDS)
def test_it_never_holds_ours_afterwards_and_nothing_twice(
    before: list[str], replaced: list[str], present: list[str]
) -> None:
    after = [*(id_ for id_ in before if id_ not in replaced), "subnet-new"]
    wanted = without(("subnet-new", *present), change(before, after))
    assert "subnet-new" not in wanted
    assert len(set(wanted)) == len(wanted)
