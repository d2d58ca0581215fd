"""What functions answer in the situations that decide a Choice. Everything else is made from the definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# {"returns": payload}, {"raises": error, "message": text}, or {"silent": True}: nobody answers the question.
Answer = dict[str, Any]
Answers = dict[str, list[Answer]]

# In a document, the name of the execution itself.
OWN_NAME = "the name of this execution"
BOOM = "Boom"
SECONDS = 600


@dataclass(frozen=True)
class World:
    """An input, and answers by state ("Plan") or by state and zone ("Plan a"); the last answer is given again."""

    document: dict[str, Any]
    answers: Answers = field(default_factory=dict)


def returning(*payloads: dict[str, Any]) -> list[Answer]:
    return [{"returns": payload} for payload in payloads]


def raising(error: str, message: str = "no") -> list[Answer]:
    return [{"raises": error, "message": message}]


SILENCE: list[Answer] = [{"silent": True}]

# ---------------------------------------------------------------------------------------------------- remediate
PLAN = {
    "decision": "go",
    "why": "mode auto",
    "reason": "mode auto",
    "hash": "h",
    "block": "100.64.0.0/22",
    "strategy": "custom-networking",
    "prepares_only": False,
    "zones": ["a", "b"],
    "approval_minutes": 10,
    "ask_seconds": SECONDS,
    "remind_seconds": SECONDS,
}
ASKING = {**PLAN, "decision": "ask"}
UNANSWERED = {**ASKING, "ask_seconds": 1, "remind_seconds": 1}
APPROVED = {"approved": True, "plan_hash": "h", "by": "ada"}
HEALED = {"incident": "i", "cluster": "prod", "outcome": "healed", "failure": None}
FAILED = {**HEALED, "outcome": "failed", "failure": {"error": "E", "message": "m"}}


def subnet(zone: str) -> dict[str, Any]:
    return {"zone": zone, "subnet": f"subnet-{zone}", "cidr": "100.64.0.0/24"}


_SUBNETS: Answers = {f"Create the zone's subnet {zone}": returning(subnet(zone)) for zone in ("a", "b")}
_REMEDIATION: Answers = {
    "Open an incident": returning({"incident": "i", "cluster": "prod"}),
    "Diagnose": returning({"verdict": "subnet_exhausted", "curable": True, "needed": True}),
    "Plan": returning(PLAN),
    "Ask people": returning(APPROVED),
    "Remind people": returning(APPROVED),
    "Was the CNI switched?": returning({"switched": False}),
    "Verify": returning({"outcome": "healed"}),
    "Judge what is there": returning({"outcome": "partly"}),
    "Close the incident": returning(HEALED),
    **_SUBNETS,
}
_BY_HAND = {"cluster": "prod"}


def _remediation(document: dict[str, Any] | None = None, **answers: list[Answer]) -> World:
    """Keywords are states, with underscores for blanks."""
    return World(document or _BY_HAND, {**_REMEDIATION, **_named(answers)})


def _named(answers: Answers) -> Answers:
    return {name.replace("_", " "): given for name, given in answers.items()}


def _planned(**fields: Any) -> list[Answer]:
    return returning({**PLAN, **fields})


NO_CNI = raising(BOOM, "the add-on is degraded")
REMEDIATIONS = {
    "healed": _remediation(),
    "opened by signals": _remediation({"incident": OWN_NAME}),
    "opened by signals for another execution": _remediation({"incident": "another"}),
    "not needed": _remediation(Diagnose=returning({"verdict": "healthy", "curable": False, "needed": False})),
    "not curable": _remediation(Diagnose=returning({"verdict": "other", "curable": False, "needed": True})),
    "warm targets": _remediation(Plan=_planned(strategy="reclaim-warm")),
    "leaked ENIs": _remediation(Plan=_planned(strategy="delete-leaked-enis")),
    "observed": _remediation(Plan=_planned(decision="observe")),
    "asked and approved": _remediation(Plan=returning(ASKING, PLAN)),
    "asked and rejected": _remediation(Plan=returning(ASKING), Ask_people=returning({**APPROVED, "approved": False})),
    "asked twice": _remediation(Plan=returning(ASKING, {**ASKING, "hash": "h2"}, PLAN)),
    "reminded and approved": _remediation(Plan=returning({**ASKING, "ask_seconds": 1}, PLAN), Ask_people=SILENCE),
    "silence": _remediation(Plan=returning(UNANSWERED), Ask_people=SILENCE, Remind_people=SILENCE),
    "locked for a while": _remediation(Plan=raising("VpcLocked") * 2 + returning(PLAN)),
    "locked for ever": _remediation(Plan=raising("VpcLocked")),
    "a zone without a subnet": _remediation(**{"Create the zone's subnet a": raising(BOOM)}),
    "the kill switch in a zone": _remediation(
        **{"Create the zone's subnet a": raising(BOOM), "Create the zone's subnet b": raising("KillSwitchOn")}
    ),
    "zones that are no list": _remediation(Plan=_planned(zones="a")),
    "prepared": _remediation(Plan=_planned(prepares_only=True)),
    "subnet discovery": _remediation(Plan=_planned(strategy="subnet-discovery")),
    "subnets for nodes": _remediation(Plan=_planned(strategy="node-group")),
    "subnets for nodes, refused": _remediation(
        Plan=_planned(strategy="node-group"), Give_the_subnets_away=raising("RequestRefused")
    ),
    "subnets for nodes, stopped": _remediation(
        Plan=_planned(strategy="node-group"), Give_the_subnets_away=raising("KillSwitchOn")
    ),
    "subnets for the cluster": _remediation(Plan=_planned(strategy="cluster-subnets")),
    "reclaimed warm addresses": _remediation(Plan=_planned(strategy="reclaim-warm")),
    "warm targets that do not roll out": _remediation(
        Plan=_planned(strategy="reclaim-warm"), **{"Watch the rollout of aws-node": raising(BOOM)}
    ),
    "not switched": _remediation(Configure_the_CNI=NO_CNI),
    "switched all the same": _remediation(
        Configure_the_CNI=NO_CNI, **{"Was the CNI switched?": returning({"switched": True})}
    ),
    "pods that stay": _remediation(
        Verify=raising("PodsStillPending"),
        Judge_what_is_there=returning({"outcome": "failed"}),
        Close_the_incident=returning({**FAILED, "failure": None}),
    ),
    "failed": _remediation(Verify=raising(BOOM), Close_the_incident=returning(FAILED)),
}

# ---------------------------------------------------------------------------------------------------- rollback
_BEGUN = {"incident": "i", "requested_by": "ada", "confirmed": True, "evict": False, "confirmation_seconds": SECONDS}
_TO_CONFIRM = {**_BEGUN, "confirmed": False}
_PAUSED = {"error": "PodsInTheWay", "cause": "2 pods"}
_ROLLBACK: Answers = {
    "Begin": returning(_BEGUN),
    "Ask people": returning({"approved": True, "evict": True, "by": "ada"}),
    "Note the confirmation": returning({"evict": True}),
    "Close the incident": returning({"incident": "i", "outcome": "rolled_back"}),
    "Cancel the rollback": returning({"incident": "i"}),
    "Pause the rollback": returning(_PAUSED),
}
_INCIDENT = {"incident": "i"}


def _rollback(document: dict[str, Any] | None = None, **answers: list[Answer]) -> World:
    return World(_INCIDENT if document is None else document, {**_ROLLBACK, **_named(answers)})


ROLLBACKS = {
    "confirmed": _rollback(),
    "asked and confirmed": _rollback(Begin=returning(_TO_CONFIRM)),
    "asked and cancelled": _rollback(
        Begin=returning(_TO_CONFIRM), Ask_people=returning({"approved": False, "by": "ada"})
    ),
    "silence": _rollback(Begin=returning({**_TO_CONFIRM, "confirmation_seconds": 1}), Ask_people=SILENCE),
    "pods in the way": _rollback(Move_the_pods_off=raising("PodsInTheWay")),
    "no incident": _rollback({}, Begin=raising(BOOM)),
}

# ---------------------------------------------------------------------------------------------------- replace
_REPLACING = {**_BEGUN, "nodes": ["n1"], "continued": False, "zones": []}
_REPLACING_UNCONFIRMED = {**_REPLACING, "confirmed": False}
FRESH = "Wait for the fresh node"


def _fresh(zone: str, *remaining: int) -> list[Answer]:
    return returning(*({"zone": zone, "left": number} for number in remaining))


_REPLACEMENT: Answers = {
    "Begin": returning(_REPLACING),
    "Assess the nodes": returning({"zones": ["a", "b"], "nodes": 2, "pods": 4}),
    "Ask people": returning({"approved": True, "by": "ada"}),
    f"{FRESH} a": _fresh("a", 0),
    f"{FRESH} b": _fresh("b", 1, 0),
    "Look at the pods again": returning({"outcome": "healed"}),
    "Judge what runs": returning({"outcome": "partly"}),
    "Close the replacement": returning({"incident": "i", "outcome": "healed", "failure": None}),
    "Cancel the replacement": returning({"incident": "i"}),
    "Stop the replacement": returning({"error": "EvictionRefused", "cause": "a budget"}),
}


def _replacement(document: dict[str, Any] | None = None, **answers: list[Answer]) -> World:
    return World(_INCIDENT if document is None else document, {**_REPLACEMENT, **_named(answers)})


REPLACEMENTS = {
    "confirmed": _replacement(),
    "continued": _replacement(Begin=returning({**_REPLACING, "continued": True, "zones": ["a"]})),
    "asked and confirmed": _replacement(Begin=returning(_REPLACING_UNCONFIRMED)),
    "asked and cancelled": _replacement(
        Begin=returning(_REPLACING_UNCONFIRMED), Ask_people=returning({"approved": False, "by": "ada"})
    ),
    "silence": _replacement(Begin=returning({**_REPLACING_UNCONFIRMED, "confirmation_seconds": 1}), Ask_people=SILENCE),
    "more nodes than one execution takes": _replacement(**{f"{FRESH} a": _fresh("a", 7, 6, 5, 4, 3, 2, 1, 0)}),
    "a zone that fails": _replacement(
        **{"Drain the node a": raising(BOOM)},
        Close_the_replacement=returning({"outcome": "partly", "failure": {"error": "E", "cause": "c"}}),
    ),
    "no zone": _replacement(Assess_the_nodes=returning({"zones": [], "nodes": 0, "pods": 0})),
    "zones that are no list": _replacement(Assess_the_nodes=returning({"zones": "a", "nodes": 1, "pods": 0})),
    "pods that stay": _replacement(Look_at_the_pods_again=raising("PodsStillPending")),
    "no incident": _replacement({}, Begin=raising(BOOM)),
}

WORLDS: dict[str, dict[str, World]] = {
    "remediate": REMEDIATIONS,
    "rollback": ROLLBACKS,
    "replace": REPLACEMENTS,
}
