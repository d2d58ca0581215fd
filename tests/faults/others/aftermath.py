"""What must hold after somebody else acted in the middle of a run: read from outside, as after a fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ChangeKind, Incident
from local.cluster.kube import ApiError
from tests.faults.holding import Invariants, require
from tests.faults.others.acts import Deed, variables_of
from tests.faults.world import World
from tests.faults.worlds import RUNNING, STUCK
from tests.integration.support.lab import Ended
from tests.support.waiting import eventually

# The watchdog's schedule, and the most looks that it may need.
_LOOK_SECONDS, _LOOKS = 300.0, 6
_PARTS = ("cidrs", "subnets", "eni_configs", "cni", "addon", "ledger", "lock")
_TEMPORARY = (ChangeKind.CORDON, ChangeKind.WARM_TARGETS)
_OF_NODES = ("node-deleted", "node-group-deleted", "node-group-emptied", "node-cordoned", "cluster-deleted")


@dataclass
class Aftermath:
    """`undisturbed`: how the execution ends without the act, as `how_ended` says it. `early`: before the plan was made.
    `last`: the act took effect after the last look of a remediation. `is_new`: whether the act has not led to the same
    standing before: only then it is tried what follows.
    """

    world: World
    act: str
    deed: Deed
    undisturbed: str
    early: bool = False
    last: bool = False
    is_new: Callable[[], bool] = lambda: True

    def judge(self, ended: Ended, incident: Incident | None) -> str:
        """What came of it, in a word. Raises Violation."""
        require(ended.status != "TIMED_OUT", f"the execution did not end: {ended}")
        if incident is None:
            self._require_as_before()
            return "refused before anything was opened"
        incident = self._settled(incident.id)
        self._require_invariants(incident)
        text = self._slack_text(incident) + self._timeline(incident)
        planned = self.early and bool(self.deed.about) and self.deed.about in text
        # An update of the add-on makes aws-node again, perhaps before anybody looks.
        kept = self.deed.stands() or planned or self.act == "cni-deleted"
        require(kept or self.deed.who in text, f"what {self.deed.who} set is gone: {text}")
        if how_ended(ended) != self.undisturbed and ended.status != "SUCCEEDED":
            require(self.deed.who in text, f"{ended.error}: {self.deed.who} is not named: {text}")
        if incident.outcome is Outcome.HEALED and incident.rollback is None and self.act not in _OF_NODES:
            running = self.world.sick.addresses()
            require(len(running) == RUNNING + STUCK, f"healed, but only {len(running)} pods run: {text}")
        if incident.outcome is Outcome.HEALED and incident.rollback is None and not self.last:
            self._require_in_force(incident, text)
        came = self._came(incident)
        if not self._stands(incident):
            return came
        return f"{came}{self._follow(incident)}" if self.is_new() else f"{came}, then as after another step"

    def _require_in_force(self, incident: Incident, text: str) -> None:
        """Where Slack says healed, the next ENI comes from the plan's subnets, or Slack names who prevents it."""
        if self.act == "cluster-deleted" or incident.plan is None:
            return
        env, configs = variables_of(self.world.sick), self.world.sick.eni_configs() or {}
        lacking = {name for name, value in incident.plan.settings.items() if env.get(name) != value}
        wanted = incident.pointed_eni_configs
        lacking |= {name for name, subnet in wanted.items() if configs.get(name, {}).get("subnet") != subnet}
        require(not lacking or self.deed.who in text, f"healed, but {lacking} is not as planned: {text}")

    def _came(self, incident: Incident) -> str:
        if incident.outcome is Outcome.HEALED and incident.rollback is None:
            return "healed"
        if not self._stands(incident):
            self._require_as_before()
            return "restored"
        return "stopped"

    def _stands(self, incident: Incident) -> list[str]:
        return [change for change in self.world.lab.changes(incident.id) if "#leaked_eni#" not in change]

    def _follow(self, incident: Incident) -> str:
        """What stands is rolled back: at once, or when the others have put back what is in the way."""
        ended = self.world._end_of_rollback(incident.id, evict=True)
        incident = self._settled(incident.id)
        if ended.status == "SUCCEEDED":
            self._require_invariants(incident)
            self._require_as_before()
            return ", then rolled back"
        text = self._slack_text(incident) + self._timeline(incident)
        require(self.deed.who in text, f"the rollback, {ended.error}: {self.deed.who} is not named: {text}")
        self._require_invariants(incident)
        require(self.deed.undo, f"nothing leads on from here: {text}")
        assert self.deed.undo is not None
        self.deed.undo()
        time.sleep(60)
        again = self.world._end_of_rollback(incident.id, evict=True)
        require(again.status == "SUCCEEDED", f"put back, the rollback still fails: {again}")
        self.deed.changed = {}
        self._settled(incident.id)
        self._require_as_before()
        return ", rolled back once they put it back"

    def _slack_text(self, incident: Incident) -> str:
        """What Slack says."""
        [message] = self._messages(incident.id)
        return str(message["text"])

    def _timeline(self, incident: Incident) -> str:
        return "; ".join(str(event["detail"]) for event in self.world.lab.incidents.timeline(incident.id))

    def _messages(self, incident: str) -> list[dict[str, Any]]:
        messages = eventually("Slack is told", lambda: self.world.lab.messages(incident), seconds=60)
        require(len(messages) == 1, f"{len(messages)} messages in Slack")
        return messages

    def _settled(self, incident: str) -> Incident:
        """Once the watchdog has looked as often as it must. It goes on asking CloudTrail for twenty minutes, which is
        not waited for: here CloudTrail answers at once."""
        for _ in range(_LOOKS):
            self.world._sweep()
            record = self.world.lab.incidents.get(incident)
            owed = [change for change in self.world.lab.changes(incident) if change.split("#")[1] in _TEMPORARY]
            if incident not in list(self.world.lab.incidents.worked_on()) or not (record.open or owed):
                time.sleep(10)  # people are told of what it wrote
                return self.world.lab.incidents.get(incident)
            time.sleep(_LOOK_SECONDS)
        require(False, f"the watchdog never ends with it: {self.world.lab.incidents.get(incident).steps}")
        raise AssertionError

    def _require_invariants(self, incident: Incident) -> None:
        holds, lab, sick = self.world.holds, self.world.lab, self.world.sick
        require(not incident.open, f"open for ever: {incident.steps}")
        require(lab.incidents.open_incident(sick.name) is None, "the cluster's marker is open")
        require(lab.lock_holder(sick.vpc_id) is None, "the VPC's lock is held")
        holds._require_apart()
        self._require_recorded_subnets(holds, incident)
        if self.act == "cluster-deleted":
            return
        if self.act != "node-cordoned":
            holds._require_no_cordon()
        if self.act != "subnet-deleted":
            holds._require_nothing_points_at_what_is_gone()
        self._require_foreign_settings()
        if self.act not in _OF_NODES:
            running = sick.addresses()
            require(len(running) >= RUNNING, f"pods are worse off: {running}")

    def _require_recorded_subnets(self, holds: Invariants, incident: Incident) -> None:
        if self.act not in ("subnet-untagged", "subnet-added"):
            holds._require_recorded_subnets(incident)

    def _is_wholly_changed(self, part: str) -> bool:
        """Whether the others changed the whole part, as `Deed.changed` says it."""
        return self.deed.changed.get(part) == frozenset()

    def _require_foreign_settings(self) -> None:
        """Variables of aws-node that are neither the plan's nor changed by the act, and subnets that were there."""
        ours = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENI_CONFIG_LABEL_DEF", *self.deed.changed.get("cni", ())}
        now, before = variables_of(self.world.sick), self.world.before
        theirs = {} if self._is_wholly_changed("cni") else before["cni"]
        changed = {name for name, value in theirs.items() if name not in ours and now.get(name) != value}
        require(not changed, f"variables of others were changed: {changed}")
        gone = before["subnets"].keys() - self.world.sick.subnets().keys()
        require(not gone, f"subnets of others are gone: {gone}")

    def _require_as_before(self) -> None:
        """Everything but what the others changed."""
        for part in _PARTS:
            names = self.deed.changed.get(part, frozenset())
            if not self._is_wholly_changed(part):
                now = _without(_read(self.world, part), names)
                before = _without(self.world.before[part], names)
                require(now == before, f"{part} not as before: {before} is {now}")
        require(self.deed.stands() or self.deed.fleeting or not self.deed.changed, f"what {self.deed.who} set is gone")


def how_ended(ended: Ended) -> str:
    return f"{ended.status} {ended.error or ''}".strip()


def _without(part: Any, names: frozenset[str]) -> Any:
    if isinstance(part, dict):
        return {name: value for name, value in part.items() if name not in names}
    return [value for value in part if value not in names] if isinstance(part, list) else part


def _read(world: World, part: str) -> Any:
    """A part of `Patient.world`; None where others deleted it."""
    sick = world.sick
    reads: dict[str, Callable[[], Any]] = {
        "cidrs": sick.cidrs,
        "subnets": sick.subnets,
        "eni_configs": sick.eni_configs,
        "cni": sick.cni_environment,
        "addon": sick.addon_configuration,
        "ledger": world.lab.ledger_items,
        "lock": lambda: world.lab.lock_holder(sick.vpc_id),
    }
    try:
        return reads[part]()
    except (ApiError, ClientError) as error:
        return str(error)
