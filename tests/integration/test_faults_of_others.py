"""A slice of `make faults OTHERS=1` on the whole stack: somebody acts between a heal and its rollback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.others.acts import ARGO, Others
from tests.faults.world import World
from tests.integration.support.lab import Lab
from tests.integration.support.rollbacks import roll_back


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    with World.made(lab, "new-cidr") as made:
        yield made


def test_given_a_controller_repoints_an_eniconfig_after_the_heal_when_rolled_back_then_slack_names_it(
    world: World,
) -> None:
    incident = world._remediate().id
    deed = Others(world).do("eniconfig-repointed")

    stopped = roll_back(world.lab, incident, confirmed=True, evict=True)

    assert (stopped.status, deed.stands()) == ("FAILED", True), stopped
    world.lab.message_saying(incident, ARGO)

    assert deed.undo is not None
    deed.undo()
    ended = roll_back(world.lab, incident, confirmed=True, evict=True)

    assert ended.status == "SUCCEEDED", ended
    world.holds.require_as_before()
