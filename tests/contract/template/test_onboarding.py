"""onboarding/cluster.yaml on the embedded AWS: what it makes, and that what it makes is heard.

Its CloudFormation refuses alarms on metric math, so NodeCapacityAlarm stays off here; cfn-lint alone has seen it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from ip_remediator.signals.events import Signal, Source, parse_eventbridge
from ip_remediator.signals.logs import parse_logs
from local.aws.client import LocalAws
from tests.stack.aws.conftest import Inbox, Maker, Network, eventually, unique

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "signals"
TEMPLATE = (ROOT / "onboarding" / "cluster.yaml").read_text()
OIDC = "oidc.eks.ap-northeast-2.amazonaws.com/id/0123456789ABCDEF"


class _ShortForms(yaml.SafeLoader):
    """CloudFormation's YAML; what the short forms would give is of no interest here."""


_ShortForms.add_multi_constructor("!", lambda _loader, suffix, node: f"{suffix} {node.value}")


@pytest.fixture
def cluster(aws: LocalAws, make: Maker, network: Network) -> str:
    name = unique("shop")
    subnets = {"subnetIds": [network.subnet("10.0.0.0/24")]}
    aws.client("eks").create_cluster(name=name, roleArn=make.role(), resourcesVpcConfig=subnets)
    return name


@pytest.fixture
def onboard(aws: LocalAws, cluster: str) -> Callable[..., dict[str, str]]:
    """Deploys the template for the cluster; the physical ids of what it made."""

    def deploy(**parameters: str) -> dict[str, str]:
        cloudformation, stack = aws.client("cloudformation"), unique("onboarding")
        given = {"ClusterName": cluster, "AccessEntries": "no", **parameters}
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=TEMPLATE,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        )

        def settled() -> Any:
            result = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            return result if not result["StackStatus"].endswith("_IN_PROGRESS") else None

        result = eventually(settled)
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        failed = [event.get("ResourceStatusReason") for event in events if event["ResourceStatus"].endswith("FAILED")]
        assert result["StackStatus"] == "CREATE_COMPLETE", failed
        made = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}

    return deploy


@pytest.fixture
def dataplane(aws: LocalAws, cluster: str) -> str:
    group = f"/aws/containerinsights/{cluster}/dataplane"
    aws.client("logs").create_log_group(logGroupName=group)
    return group


@pytest.fixture
def signals(aws: LocalAws) -> Inbox:
    """A queue behind the very patterns of the deployed rules, those of Kubernetes events on the default bus."""
    inbox, events = Inbox(aws), aws.client("events")
    resources = yaml.load((ROOT / "template.yaml").read_text(), _ShortForms)["Resources"]
    for rule in ("AlarmsRule", "KubernetesEventsRule"):
        name = unique(rule)
        events.put_rule(Name=name, EventPattern=json.dumps(resources[rule]["Properties"]["EventPattern"]))
        events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": inbox.arn}])
    return inbox


def test_given_every_option_off_when_deployed_then_nothing_is_made(onboard: Callable[..., dict[str, str]]):
    assert onboard() == {}


def test_given_every_option_on_when_deployed_then_all_of_it_is_made(
    aws: LocalAws, make: Maker, cluster: str, dataplane: str, onboard: Callable[..., dict[str, str]]
):
    # given
    bus, group = unique("bus"), unique("/shop/events")
    aws.client("events").create_event_bus(Name=bus)
    controllers = f"/aws/containerinsights/{cluster}/application"
    for created in (group, controllers):
        aws.client("logs").create_log_group(logGroupName=created)
    function = f"arn:aws:lambda:{aws.region}:000000000000:function:{make.function('def handler(*_): pass')}"
    roles = {f"{name}RoleArn": make.role() for name in ("Diagnose", "Verify", "Sweep", "Cluster")}
    # when
    made = onboard(
        AccessEntries="yes",
        **roles,
        PendingPodsAlarm="yes",
        EventExporterOidcProvider=OIDC,
        EventBusName=bus,
        ForwardEventsTo=f"arn:aws:events:{aws.region}:000000000000:event-bus/default",
        DataplaneAlarm="yes",
        DataplaneSubscription="yes",
        ApplicationLogGroup=controllers,
        EventsLogGroup=group,
        IngestFunctionArn=function,
    )
    # then
    resources = yaml.load(TEMPLATE, _ShortForms)["Resources"]
    assert set(resources) - set(made) == {"NodesNearPodCapacity"}
    assert set(aws.client("eks").list_access_entries(clusterName=cluster)["accessEntries"]) >= set(roles.values())
    logs = aws.client("logs")
    for watched in (dataplane, controllers, group):
        (subscription,) = logs.describe_subscription_filters(logGroupName=watched)["subscriptionFilters"]
        assert subscription["destinationArn"] == function
    (metric_filter,) = logs.describe_metric_filters(logGroupName=dataplane)["metricFilters"]
    assert metric_filter["metricTransformations"][0]["metricName"] == f"PodsWithoutAddress-{cluster}"


@pytest.mark.parametrize(
    "parameters",
    [
        {"DataplaneSubscription": "yes"},
        {"ApplicationLogGroup": "/shop/pods"},
        {"EventsLogGroup": "/shop/events"},
        {"AccessEntries": "yes"},
    ],
)
def test_given_an_option_without_what_it_needs_when_deployed_then_it_is_refused(
    onboard: Callable[..., dict[str, str]], parameters: dict[str, str]
):
    with pytest.raises((ClientError, AssertionError), match="give the output of the eks-ip-remediator stack"):
        onboard(**parameters)


def signal_in(inbox: Inbox) -> Signal:
    result = parse_eventbridge(inbox.next(), received_at=datetime.now(UTC))
    assert isinstance(result, Signal), result
    return result


def test_given_the_alarm_on_pending_pods_when_pods_wait_then_a_signal_of_the_cluster_is_queued(
    aws: LocalAws, cluster: str, onboard: Callable[..., dict[str, str]], signals: Inbox
):
    # given
    made = onboard(PendingPodsAlarm="yes", AlarmMinutes="1")
    # when
    datum = {
        "MetricName": "pod_status_pending",
        "Dimensions": [{"Name": "ClusterName", "Value": cluster}],
        "Value": 2,
    }
    aws.client("cloudwatch").put_metric_data(Namespace="ContainerInsights", MetricData=[datum])
    # then
    result = signal_in(signals)
    assert (result.source, result.cluster) == (Source.ALARM, cluster)
    assert result.excerpt.startswith(made["PendingPodsAboveLimit"])


def test_given_the_alarm_on_kubelet_lines_when_pods_get_no_address_for_minutes_then_a_signal_is_queued(
    aws: LocalAws, cluster: str, dataplane: str, onboard: Callable[..., dict[str, str]], signals: Inbox
):
    # given
    logs, made = aws.client("logs"), onboard(DataplaneAlarm="yes")
    logs.create_log_stream(logGroupName=dataplane, logStreamName="node")
    recorded = json.loads((SAMPLES / "logs_dataplane.json").read_text())["logEvents"][0]["message"]
    now = int(datetime.now(UTC).timestamp() * 1000)

    def write(seconds_ago: int, *lines: str) -> None:
        events = [{"timestamp": now - seconds_ago * 1000, "message": line} for line in lines]
        logs.put_log_events(logGroupName=dataplane, logStreamName="node", logEvents=events)

    def state() -> str:
        alarm = aws.client("cloudwatch").describe_alarms(AlarmNames=[made["PodsWithoutAddressAlarm"]])
        return str(alarm["MetricAlarms"][0]["StateValue"])

    # when one minute is bad, then no alarm
    write(130, "Started container nginx")
    write(65, recorded, recorded)
    eventually(lambda: state() == "OK")
    # when the next is bad too
    write(1, "Started container nginx", recorded)
    # then
    result = signal_in(signals)
    assert (result.source, result.cluster) == (Source.ALARM, cluster)
    assert result.excerpt.startswith(made["PodsWithoutAddressAlarm"])


@pytest.mark.parametrize(("sample", "naming"), [("event_sandbox", "clusterName"), ("event_layout", "cluster")])
def test_given_forwarding_when_the_exporter_writes_to_its_own_bus_then_only_this_clusters_events_are_queued(
    aws: LocalAws, cluster: str, onboard: Callable[..., dict[str, str]], signals: Inbox, sample: str, naming: str
):
    # given
    events, bus = aws.client("events"), unique("bus")
    events.create_event_bus(Name=bus)
    onboard(EventBusName=bus, ForwardEventsTo=f"arn:aws:events:{aws.region}:000000000000:event-bus/default")
    detail = json.loads((SAMPLES / f"{sample}.json").read_text())["detail"]

    def put(**changes: str) -> None:
        entry = {"Source": "shop", "DetailType": "Kubernetes Event", "Detail": json.dumps({**detail, **changes})}
        events.put_events(Entries=[{**entry, "EventBusName": bus}])

    # when
    put(**{naming: "another"})
    put(**{naming: cluster}, reason="Started")
    put(**{naming: cluster})
    # then
    result = signal_in(signals)
    assert (result.cluster, result.pod) == (cluster, "default/nginx-7c5ddbdf54-x2x8k")


# Puts what it gets into a queue, for the test to see.
_RELAY = """
import json, os, boto3
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["INBOX"], MessageBody=json.dumps(event))
"""


def test_given_log_subscriptions_when_lines_are_written_then_those_about_addresses_reach_the_function(
    aws: LocalAws, make: Maker, cluster: str, dataplane: str, onboard: Callable[..., dict[str, str]]
):
    # given
    inbox, logs = Inbox(aws), aws.client("logs")
    role = make.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"})
    relay = make.function(_RELAY, role=role, Environment={"Variables": {"INBOX": inbox.url}}, Timeout=30)
    exported, controllers = unique("/shop/events"), f"/aws/containerinsights/{cluster}/application"
    for created in (exported, controllers):
        logs.create_log_group(logGroupName=created)
    arn = f"arn:aws:lambda:{aws.region}:000000000000:function:{relay}"
    groups = {"ApplicationLogGroup": controllers, "EventsLogGroup": exported}
    onboard(DataplaneSubscription="yes", IngestFunctionArn=arn, **groups)

    def write(group: str, sample: str) -> list[str]:
        """The lines of a recorded batch, and something ordinary; when they were written, and what arrived."""
        batch = json.loads((SAMPLES / f"{sample}.json").read_text())
        lines = [event["message"] for event in batch["logEvents"]]
        now = int(datetime.now(UTC).timestamp() * 1000)
        logs.create_log_stream(logGroupName=group, logStreamName=batch["logStream"])
        events = [{"timestamp": now, "message": line} for line in ["Started container nginx", *lines]]
        logs.put_log_events(logGroupName=group, logStreamName=batch["logStream"], logEvents=events)
        result = list(parse_logs(inbox.next(), received_at=datetime.now(UTC)))
        return [f"{one.cluster} {one.cause}" if isinstance(one, Signal) else one.reason.value for one in result]

    # when and then
    assert write(dataplane, "logs_dataplane") == [f"{cluster} no_address", f"{cluster} other"]
    assert write(dataplane, "logs_dataplane_aws_node") == [f"{cluster} subnet_full"]
    assert write(controllers, "logs_application") == [f"{cluster} subnet_full"]
    # the exporter's own name for the cluster counts in groups that name none
    assert write(exported, "logs_exported_events") == ["shop-prod no_address"]
