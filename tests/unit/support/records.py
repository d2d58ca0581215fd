"""Incident records as the functions write them: the reference scenario at every stage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ip_remediator.common.enums import Mode, Outcome, Verdict
from ip_remediator.diagnosis.model import Diagnosis, NodeDiagnosis, ZoneDiagnosis
from ip_remediator.incidents.record import (
    Approval,
    ApprovalState,
    Failure,
    HealedPod,
    Incident,
    Step,
    StepResult,
    StepState,
    SubnetBalance,
    Verification,
)
from ip_remediator.planning.model import Change, Plan, PlannedSubnet
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.signals.correlation import SignalSummary

OPENED = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
DONE, FAILED, SKIPPED, RUNNING = StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.RUNNING
PODS = ("default/nginx-7c5ddbdf54-8x2kq", "default/nginx-7c5ddbdf54-tq9zl")

DIAGNOSIS = Diagnosis(
    verdict=Verdict.SUBNET_EXHAUSTED,
    summary="ap-northeast-2a: 0 free addresses in subnet-0aa for 1 stuck pods; "
    "ap-northeast-2b: 0 free addresses in subnet-0bb for 1 stuck pods",
    zones=tuple(
        ZoneDiagnosis(zone=zone, verdict=Verdict.SUBNET_EXHAUSTED, reason="full", free=0, nodes=1, stuck_pods=1)
        for zone in ("ap-northeast-2a", "ap-northeast-2b")
    ),
    nodes=(
        NodeDiagnosis(name="ip-10-0-0-4", zone="ap-northeast-2a", relieved_now=True, reason="1 of 3 ENIs attached"),
    ),
    evidence=(
        "subnet subnet-0aa (10.0.0.0/28, ap-northeast-2a) has 0 free addresses",
        "subnet subnet-0bb (10.0.1.0/28, ap-northeast-2b) has 0 free addresses",
        "the VPC CNI v1.19.0 runs with custom networking off",
    ),
)
SUBNETS = tuple(
    PlannedSubnet(
        zone=zone, cidr=cidr, route_table="rtb-0a", network_acl="acl-0a", reserve_prefixes=False, eni_configs=(zone,)
    )
    for zone, cidr in (("ap-northeast-2a", "100.64.0.0/24"), ("ap-northeast-2b", "100.64.1.0/24"))
)
PLAN = Plan(
    strategy="custom-networking",
    vpc_id="vpc-0123456789",
    block="100.64.0.0/22",
    source="new-cidr",
    subnets=SUBNETS,
    changes=(
        Change(action="associate_cidr", target="vpc-0123456789", description="add 100.64.0.0/22 to vpc-0123456789"),
        Change(action="create_subnet", target="ap-northeast-2a", description="create 100.64.0.0/24 in ap-northeast-2a"),
        Change(action="create_subnet", target="ap-northeast-2b", description="create 100.64.1.0/24 in ap-northeast-2b"),
        Change(
            action="configure_cni",
            target="aws-node",
            description="set AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true through DaemonSet aws-node, and watch the rollout",
            manifest={"env": {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}},
        ),
    ),
    options=(),
    risks=(
        Risk(id="control-plane-delay", severity=Severity.LOW, found="a new CIDR", breaks="kubectl exec", remedy="wait"),
        Risk(id="external-snat", severity=Severity.HIGH, found="EXTERNALSNAT=true", breaks="egress", remedy="route it"),
    ),
    expectation="heals 2 of 2 pods now",
    hash="8d1f0c2b4a6e8d1f0c2b4a6e",
)
VERIFICATION = Verification(
    healed=tuple(
        HealedPod(namespace="default", name=name, node="ip-10-0-0-4", zone=zone, address=address, subnet=subnet)
        for name, zone, address, subnet in (
            ("nginx-7c5ddbdf54-8x2kq", "ap-northeast-2a", "100.64.0.17", "subnet-0cc"),
            ("nginx-7c5ddbdf54-tq9zl", "ap-northeast-2b", "100.64.1.23", "subnet-0dd"),
        )
    ),
    subnets=(
        SubnetBalance(id="subnet-0aa", zone="ap-northeast-2a", cidr="10.0.0.0/28", before=0, after=0),
        SubnetBalance(id="subnet-0cc", zone="ap-northeast-2a", cidr="100.64.0.0/24", before=None, after=245),
    ),
)
FAILURE = Failure(
    step=Step.CREATE_SUBNETS,
    error="QuotaReached",
    message="CreateSubnet: SubnetLimitExceeded: The maximum number of subnets has been reached.",
    outstanding="nothing: the CIDR was disassociated and the block released",
)
MADE = (Step.DIAGNOSE, Step.PLAN, Step.ASSOCIATE_CIDR, Step.CREATE_SUBNETS, Step.APPLY_ENICONFIGS, Step.CONFIGURE_CNI)


def incident(**fields: Any) -> Incident:
    """An incident that was just opened, but for `fields`."""
    signals = SignalSummary(count=7, causes=("no_address",), pods=PODS, excerpt="failed to assign an IP address")
    defaults: dict[str, Any] = {
        "id": "prod-20260301-100000-a1b2c3",
        "cluster": "prod",
        "region": "ap-northeast-2",
        "mode": Mode.AUTO,
        "opened_at": OPENED,
        "signals": signals,
    }
    return Incident(**(defaults | fields))


def steps(*done: Step, **others: StepState) -> dict[Step, StepResult]:
    """Results a second apart; `others` by the step's value."""
    states = {**dict.fromkeys(done, DONE), **{Step(name): state for name, state in others.items()}}
    return {
        step: StepResult(state=state, at=OPENED + timedelta(seconds=index))
        for index, (step, state) in enumerate(states.items())
    }


def approval(state: ApprovalState = ApprovalState.PENDING, **fields: Any) -> Approval:
    return Approval(
        id="Zk3-x_9",
        state=state,
        plan_hash=PLAN.hash,
        asked_at=OPENED,
        expires_at=OPENED + timedelta(hours=1),
        **fields,
    )


def asked() -> Incident:
    return incident(
        mode=Mode.APPROVE, diagnosis=DIAGNOSIS, plan=PLAN, approval=approval(), steps=steps(Step.DIAGNOSE, Step.PLAN)
    )


def healed(**fields: Any) -> Incident:
    defaults: dict[str, Any] = {
        "diagnosis": DIAGNOSIS,
        "plan": PLAN,
        "steps": steps(*MADE, Step.VERIFY),
        "verification": VERIFICATION,
        "outcome": Outcome.HEALED,
        "closed_at": OPENED + timedelta(minutes=1),
    }
    return incident(**(defaults | fields))


def undone() -> Incident:
    return incident(
        diagnosis=DIAGNOSIS,
        plan=PLAN,
        steps=steps(
            Step.DIAGNOSE, Step.PLAN, Step.ASSOCIATE_CIDR, create_subnets=StepState.FAILED, undo=StepState.DONE
        ),
        failure=FAILURE,
        outcome=Outcome.UNDONE,
        closed_at=OPENED + timedelta(minutes=1),
    )
