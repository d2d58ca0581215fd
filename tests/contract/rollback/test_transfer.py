"""Changes that pass to a later incident, on DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ip_remediator.clients.aws.dynamodb import ConditionFailed
from ip_remediator.incidents.record import ChangeKind, ChangeMade
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.rollback.successor import Succession
from ip_remediator.rollback.transfer import transfer_to
from tests.contract.conftest import Clock, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


def test_given_changes_that_passed_and_were_undone_when_a_late_call_passes_them_again_then_they_stay_undone(
    table: Table, clock: Clock
) -> None:
    # given a CRD that passed to a later incident, which then undid it
    log = ChangeLog(table, clock, unique("first"))
    later = log.of(unique("second"))
    log.intend(ChangeMade(kind=ChangeKind.CRD, target="eniconfigs"))
    given = tuple(log.made())
    succession = Succession(successor=later.incident, given=given, received=given)
    transfer_to(log, succession, ())
    [received] = later.made()
    later.undone(received)

    # when a call that was late does it again
    with pytest.raises(ConditionFailed):
        transfer_to(log, succession, ())

    # then no record has it
    assert (log.made(), later.made()) == ([], [])
