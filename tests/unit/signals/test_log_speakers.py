# ruff: noqa: E501 - one case in a row
"""Lines of logs: whose words they are decides what they prove; node and pod are those of the words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.log_groups import LogGroups
from ip_remediator.signals.logs import parse_batch
from ip_remediator.signals.model import Affected, Dropped, DropReason, ParsedRecord, Signal

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE, OTHER_NODE = "ip-10-1-2-3.eu-west-1.compute.internal", "ip-10-9-9-9.eu-west-1.compute.internal"
POD = "billing/api-6f7d9c8b5-k2m4p"
INSIGHTS = "/aws/containerinsights/shop-prod"
HASH = "7f" * 32


def batch(message: str, group: str, stream: str) -> dict[str, Any]:
    events = [{"id": "1", "timestamp": 1772439271000, "message": message}]
    return {"messageType": "DATA_MESSAGE", "logGroup": group, "logStream": stream, "logEvents": events}


def read(message: str, group: str = f"{INSIGHTS}/dataplane", stream: str = "x", **options: Any) -> ParsedRecord:
    (outcome,) = parse_batch(batch(message, group, stream), received_at=NOW, **options)
    return outcome


def aws_node(log: str) -> ParsedRecord:
    """As Container Insights ships what aws-node writes."""
    stream = f"{NODE}-dataplane.tail.var.log.containers.aws-node-x7k2p_kube-system_aws-node-{HASH}.log"
    return read(json.dumps({"time": "t", "stream": "stdout", "_p": "F", "log": log, "az": "eu-west-1b"}), stream=stream)


def ipamd(message: str, level: str = "error") -> str:
    return json.dumps(
        {"level": level, "ts": "2026-03-02T08:14:31.046Z", "caller": "ipamd/ipamd.go:934", "msg": message}
    )


def program(container: str, log: str) -> ParsedRecord:
    """As Container Insights ships what a pod writes."""
    kubernetes = {
        "pod_name": f"{container}-5c9f",
        "namespace_name": "kube-system",
        "host": OTHER_NODE,
        "container_name": container,
    }
    stream = f"{OTHER_NODE}-application.var.log.containers.{container}-5c9f_kube-system_{container}-{HASH}.log"
    return read(json.dumps({"log": log, "kubernetes": kubernetes}), f"{INSIGHTS}/application", stream)


def kubelet(message: str) -> ParsedRecord:
    return read(
        json.dumps({"message": message, "hostname": NODE, "systemd_unit": "kubelet.service", "az": "eu-west-1b"})
    )


# ------------------------------------------------------------------------------------------------ what ipamd says
SAID_BY_AWS_NODE = [
    # the old text format, v1.5 to v1.6
    ("2020-06-25T18:24:43.293Z [ERROR]\tFailed to get pod ENI config", Cause.ENICONFIG_MISSING),
    ("2019-06-25T18:24:43.293Z [ERROR] Initialization failure: ipamd: can not initialize with AWS SDK interface", Cause.CNI_DOWN),
    ("2019-06-25T18:24:43.293Z [ERROR] Failed to retrieve region data from instance metadata EC2MetadataError", Cause.CNI_DOWN),
    ("timed out waiting for IPAM daemon to start.", Cause.CNI_DOWN),
    # JSON, v1.7 and later
    (ipamd("Failed to get pod ENI config"), Cause.ENICONFIG_MISSING),
    (ipamd("No ENIConfig could be found for this node"), Cause.ENICONFIG_MISSING),
    (ipamd("eniconfig: eniconfig is not available"), Cause.ENICONFIG_MISSING),
    (ipamd('error while retrieving eniconfig: ENIConfig.crd.k8s.amazonaws.com "eu-west-1a" not found'), Cause.ENICONFIG_MISSING),
    (ipamd("Failed to attach any ENIs for custom networking"), Cause.ENICONFIG_MISSING),
    ('{"level":"error","ts":"x","caller":"entrypoint.sh","msg":"Timed out waiting for IPAM daemon to start:"}', Cause.CNI_DOWN),
    ('{"level":"error","ts":"x","caller":"entrypoint.sh","msg":"Required aws-k8s-agent executable not found."}', Cause.CNI_DOWN),
    ('{"level":"error","ts":"x","caller":"entrypoint.sh","msg":"failed (process terminated)"}', Cause.CNI_DOWN),
    ('time="2023-06-14T22:57:39Z" level=error msg="Failed to wait for IPAM daemon to complete" error="exit status 1"', Cause.CNI_DOWN),
    ('time="2023-06-14T22:57:39Z" level=error msg="Timed out waiting for IPAM daemon to start"', Cause.CNI_DOWN),
    ('time="2023-06-14T22:57:39Z" level=error msg="Failed to install CNI binaries" error="read-only file system"', Cause.CNI_DOWN),
    (ipamd("Unable to reach API Server: Get https://10.100.0.1:443/version: dial tcp: i/o timeout"), Cause.CNI_DOWN),
    (ipamd("Failed to set up gRPC handler: ipamd: failed to start server on Unix socket"), Cause.CNI_DOWN),
    # credentials, SDK v1 and v2
    (ipamd("Initialization failure: NoCredentialProviders: no valid providers in chain. Deprecated."), Cause.CNI_IAM),
    (ipamd("Failed to call ec2:DescribeNetworkInterfaces for [eni-1]: get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found"), Cause.CNI_IAM),
    (ipamd("WebIdentityErr: failed to retrieve credentials caused by: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"), Cause.CNI_IAM),
    (ipamd("Failed to allocate a private IP/Prefix addresses on ENI eni-1: InsufficientCidrBlocks: The specified subnet"), Cause.PREFIX_FRAGMENTED),
    (ipamd("Failed to attach ENI eni-1: AttachmentLimitExceeded: Interface count 4 exceeds the limit for t3.medium"), Cause.NODE_LIMIT),
    (ipamd("Failed to CreateNetworkInterface operation error EC2: api error RequestLimitExceeded: x for subnet subnet-1"), Cause.CNI_THROTTLED),
]  # fmt: skip


@pytest.mark.parametrize(("log", "cause"), SAID_BY_AWS_NODE, ids=lambda value: str(value)[:50])
def test_words_of_aws_node_count_in_every_format_of_its_versions(log: str, cause: Cause) -> None:
    signal = aws_node(log)
    assert isinstance(signal, Signal), signal
    assert (signal.cause, signal.strength, signal.node, signal.zone) == (cause, Strength.STRONG, NODE, "eu-west-1b")


HARMLESS = [
    ipamd("Skipping ENI allocation as the max ENI limit is already reached", "debug"),
    ipamd("Skipping ENI allocation as the max ENI limit is already reached for the instance", "debug"),
    "2020-01-01T00:00:00.000Z [DEBUG] Skipping ENI allocation as the max ENI limit of 3 is already reached",
    ipamd("AssignPrivateIpAddresses returned PrivateIpAddressLimitExceeded. This can happen if the data store is out of sync.", "debug"),
    "2019-01-01T00:00:00.000Z [DEBUG] AssignPrivateIpAddresses returned PrivateIpAddressLimitExceeded",
    ipamd("containsPrivateIPAddressLimitExceededError encountered api error PrivateIpAddressLimitExceeded: x", "debug"),
]  # fmt: skip


@pytest.mark.parametrize("log", HARMLESS)
def test_lines_that_healthy_nodes_write_all_the_time_count_towards_nothing(log: str) -> None:
    assert aws_node(log) == Dropped(reason=DropReason.HARMLESS)


@pytest.mark.parametrize(
    "record",
    [
        {"level": "debug", "caller": "ipamd/ipamd.go:853", "msg": "api error AttachmentLimitExceeded: x"},
        {
            "level": "debug",
            "message": "api error AttachmentLimitExceeded: x",
            "kubernetes": {"container_name": "aws-node"},
        },
    ],
)
def test_the_level_counts_where_a_shipper_has_put_it_beside_the_words(record: dict[str, Any]) -> None:
    assert read(json.dumps(record)) == Dropped(reason=DropReason.HARMLESS)
    assert isinstance(read(json.dumps({**record, "level": "error"})), Signal)


def test_the_pod_is_read_where_a_program_wrote_the_record_itself() -> None:
    name = {"name": "api-6f7d9c8b5-k2m4p", "namespace": "billing"}
    line = {"ts": 1.5, "caller": "kubelet/pod_workers.go:1", "msg": "Error syncing pod", "pod": name, "err": ADD}
    signal = read(json.dumps({**line, "systemd_unit": "kubelet.service", "hostname": NODE}))
    assert isinstance(signal, Signal)
    assert (signal.pod, signal.node) == (POD, NODE)


@pytest.mark.parametrize(
    "log",
    [
        ipamd("IP pool stats: Total IPs/Prefixes = 15/0, AssignedIPs/CooldownIPs: 3/0", "debug"),
        ipamd("Starting L-IPAMD v1.19.2  ...", "info"),
        ipamd("Unable to get IP address from CIDR: no free IP available in the prefix - 10.0.1.16/28", "debug"),
        "Retrying waiting for IPAM-D",
        'time="2026-03-02T08:14:31Z" level=info msg="Checking for IPAM connectivity... "',
    ],
)
def test_ordinary_lines_of_aws_node_are_dropped(log: str) -> None:
    assert aws_node(log) == Dropped(reason=DropReason.UNRELATED_LINE)


# ------------------------------------------------------------------------------------------------ other programs
OTHERS = [
    ("ebs-plugin", "api error AttachmentLimitExceeded: You may attach up to 27 devices"),
    ("aws-load-balancer-controller", '{"level":"error","msg":"Reconciler error","error":"ThrottlingException: Rate exceeded"}'),
    ("aws-load-balancer-controller", '{"error":"UnauthorizedOperation: You are not authorized to perform this operation"}'),
    ("external-dns", "Throttling: Rate exceeded"),
    ("flux", '{"caller":"rate_limiter.go:71","info":"reducing rate limit"}'),
    ("karpenter", '{"error":"RequestLimitExceeded: Request limit exceeded."}'),
    ("cluster-autoscaler", "NetworkInterfaceLimitExceeded: Maximum number of network interfaces exceeded"),
    ("efs-plugin", "NoCredentialProviders: no valid providers in chain"),
    ("aws-eks-nodeagent", "operation error CloudWatch Logs: PutLogEvents, api error ThrottlingException: Rate exceeded"),
    ("aws-node-termination-handler", 'ERR There was a problem monitoring for events error="Throttling: Rate exceeded"'),
    ("aws-node-termination-handler", "UnauthorizedOperation: You are not authorized to perform this operation."),
    ("eks-pod-identity-agent", "operation error EKS Auth: AssumeRoleForPodIdentity, failed to get rate limit token"),
    ("my-app", "Initialization failure: database is down"),
    ("my-app", "WebIdentityErr: failed to retrieve credentials"),
    ("terraform", "error communicating with apiserver: eniconfig: eniconfig is not available"),
    ("crossplane", "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ec2:CreateVpc"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "log"), OTHERS)
def test_words_about_limits_and_rights_of_other_programs_are_dropped(container: str, log: str) -> None:
    assert program(container, log) == Dropped(reason=DropReason.OTHER_PROGRAM)


ANYONES = [
    ("cluster-autoscaler", "  StatusMessage: \"There are not enough free addresses in subnet 'subnet-0783288fba3453a60' to satisfy", Cause.SUBNET_FULL, Affected.PODS),
    ("cluster-autoscaler", "There are not enough free addresses in subnet 'subnet-0783288fba3453a60' to satisfy the requested number of instances.", Cause.SUBNET_FULL, Affected.NODES),
    ("karpenter", 'creating instance, insufficient capacity for NodeClaim, InsufficientFreeAddressesInSubnet: x', Cause.SUBNET_FULL, Affected.NODES),
    ("aws-load-balancer-controller", '{"error":"InsufficientFreeAddressesInSubnet: Not enough IP space available"}', Cause.SUBNET_FULL, Affected.PODS),
    ("anything", "api error InsufficientCidrBlocks: There are not sufficient free cidr blocks", Cause.PREFIX_FRAGMENTED, Affected.PODS),
]  # fmt: skip


@pytest.mark.parametrize(("container", "log", "cause", "affected"), ANYONES)
def test_ec2s_codes_for_a_full_subnet_count_whoever_says_them_and_name_no_node(
    container: str, log: str, cause: Cause, affected: Affected
) -> None:
    signal = program(container, log)
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.strength, signal.affected) == (cause, Strength.STRONG, affected)
    assert (signal.cluster, signal.node, signal.zone, signal.pod) == ("shop-prod", None, None, None)


def test_whoever_asks_the_control_plane_for_an_eniconfig_does_not_speak_for_the_cni() -> None:
    # given who lists ENIConfigs in a cluster without custom networking
    status = {"status": "Failure", "message": 'eniconfigs.crd.k8s.amazonaws.com "default" not found', "code": 404}
    audit = json.dumps({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "responseStatus": status})
    # then
    group = "/aws/eks/shop-prod/cluster"
    assert read(audit, group, "kube-apiserver-audit-0a1b") == Dropped(reason=DropReason.OTHER_PROGRAM)
    assert read(audit, "/nodes", cluster="shop-prod") != Dropped(reason=DropReason.OTHER_PROGRAM)


def test_a_programs_own_words_about_a_pool_of_addresses_are_no_code_of_ec2() -> None:
    assert program("my-app", "not enough free addresses in pool 7") == Dropped(reason=DropReason.UNRELATED_LINE)


KUBELET = [
    'E0302 09:14:31.8 1417 csi_attacher.go:1] "attach failed" err="AttachmentLimitExceeded: too many volumes"',
    'E0302 09:14:31.8 1417 kuberuntime_image.go:1] "Failed to pull image" err="toomanyrequests: Rate exceeded"',
    'E0302 09:14:31.8 1417 log.go:32] "RunPodSandbox from runtime service failed" err="failed to get sandbox image: failed to pull: ThrottlingException"',
    'E0302 09:14:31.8 1417 credentialprovider.go:1] "ecr-credential-provider" err="UnauthorizedOperation"',
    'E0302 09:14:31.8 1417 kubelet.go:2] "Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"',
]  # fmt: skip


@pytest.mark.parametrize("message", KUBELET)
def test_a_kubelets_words_about_other_things_than_the_cni_of_a_sandbox_open_nothing(message: str) -> None:
    outcome = kubelet(message)
    assert isinstance(outcome, Dropped) or outcome.cause is Cause.OTHER


def test_a_kubelets_throttled_sandbox_counts() -> None:
    signal = kubelet(
        f'"Failed to create pod sandbox: failed to setup network for sandbox: RequestLimitExceeded" pod="{POD}"'
    )
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.pod) == (Cause.CNI_THROTTLED, POD)


# ------------------------------------------------------------------------------------------------ nodes and pods
ADD = 'plugin type=\\"aws-cni\\" name=\\"aws-cni\\" failed (add): add cmd: failed to assign an IP address to container'
CONTAINERD = (
    'time="2026-03-02T08:14:31.27Z" level=error msg="RunPodSandbox for &PodSandboxMetadata{Name:api-6f7d9c8b5-k2m4p,'
    f'Uid:b4ef72c0-6fb0-482d,Namespace:billing,Attempt:0,}} failed, error" error="failed to setup network: {ADD}"'
)
KLOG = (
    f'E0302 08:14:31.6 1417 pod_workers.go:1301] "Error syncing pod" err="failed to create sandbox: {ADD}" pod="{POD}"'
)
OLD_KLOG = (
    'E0302 08:14:31.6 1417 pod_workers.go:191] Error syncing pod 9f, skipping: failed to "CreatePodSandbox" for '
    f'"api-6f7d9c8b5-k2m4p_billing(9f680a94-22ee-4f6f)" with CreatePodSandboxError: "{ADD}"'
)
DOCKERSHIM = (
    'failed to set up sandbox container "9f" network for pod "api-6f7d9c8b5-k2m4p": networkPlugin cni failed to set up '
    'pod "api-6f7d9c8b5-k2m4p_billing" network: add cmd: failed to assign an IP address to container'
)
OWN_FORMS = {
    "containerd": CONTAINERD,
    "klog": KLOG,
    "klog of older kubelets": OLD_KLOG,
    "dockershim": DOCKERSHIM,
    "dockershim's cni.go": f"E0302 1 cni.go:331] Error adding billing_api-6f7d9c8b5-k2m4p/{HASH} to network aws-cni/aws-cni: add cmd: failed to assign an IP address to container",
    "CRI-O": 'level=error msg="Error adding pod billing_api-6f7d9c8b5-k2m4p to CNI network \\"aws-cni\\": add cmd: failed to assign an IP address to container"',
    "klog in JSON, the pod as a text": json.dumps(
        {
            "caller": "kuberuntime/kuberuntime_sandbox.go:72",
            "msg": "Failed to create sandbox for pod",
            "pod": POD,
            "err": ADD,
        }
    ),
    "an event in older klog": f'I0302 1 event.go:209] Event(v1.ObjectReference{{Kind:"Pod", Namespace:"billing", Name:"api-6f7d9c8b5-k2m4p", UID:"u"}}): type: \'Warning\' reason: \'FailedCreatePodSandBox\' Failed create pod sandbox: {ADD}',
    "an event in klog": f'I0302 1 event.go:307] "Event occurred" object="{POD}" fieldPath="" kind="Pod" reason="FailedCreatePodSandBox" message="{ADD}"',
}


def shippers(words: str) -> dict[str, ParsedRecord]:
    """The same words as each shipper sends them."""
    prefix = "Mar  2 08:14:31 " + NODE + " kubelet[1417]: "
    vector = {
        "message": words,
        "kubernetes": {"container_name": "aws-node", "pod_name": "aws-node-x", "pod_node_name": NODE},
    }
    otel = {
        "body": words,
        "resource": {"k8s.node.name": NODE, "k8s.container.name": "aws-node", "k8s.pod.name": "aws-node-x"},
    }
    return {
        "dataplane": kubelet(words),
        "dataplane, containerd": read(json.dumps({"message": words, "hostname": NODE, "systemd_unit": "containerd.service"})),
        "dataplane, only the stream names the node": read(json.dumps({"message": words}), stream=f"{NODE}-dataplane.systemd.kubelet.service"),
        "host": read(json.dumps({"host": NODE, "ident": "kubelet", "pid": "1", "message": words}), f"{INSIGHTS}/host", f"{NODE}.host.messages"),
        "host, only the stream names the node": read(json.dumps({"ident": "containerd", "message": words}), f"{INSIGHTS}/host", f"{NODE}.host.messages"),
        "blueprints": read(json.dumps({"log": words, "kubernetes": {"host": NODE, "container_name": "aws-node"}}), "/aws/eks/shop-prod/aws-fluentbit-logs-2024"),
        "syslog in a mapped group": read(prefix + words, "/nodes/messages", groups=LogGroups.parse("/nodes/*=shop-prod")),
        "CRI": read(f"2026-03-02T08:14:31.27Z stderr F {words}", f"{INSIGHTS}/dataplane", f"{NODE}-dataplane.tail.var.log.containers.aws-node-x_kube-system_aws-node-{HASH}.log"),
        "journald": read(json.dumps({"MESSAGE": words, "_HOSTNAME": NODE, "_SYSTEMD_UNIT": "kubelet.service"}), "/journal", cluster="shop-prod"),
        "Vector": read(json.dumps(vector), "/vector", cluster="shop-prod"),
        "OpenTelemetry": read(json.dumps(otel), "/otel", cluster="shop-prod"),
    }  # fmt: skip


@pytest.mark.parametrize("form", OWN_FORMS)
def test_node_and_pod_are_read_from_every_form_and_shipper(form: str) -> None:
    for shipper, signal in shippers(OWN_FORMS[form]).items():
        assert isinstance(signal, Signal), (shipper, signal)
        assert (signal.cluster, signal.cause) == ("shop-prod", Cause.NO_ADDRESS), shipper
        assert (signal.node, signal.pod) == (NODE, POD), shipper


def test_a_record_of_several_lines_is_read_as_a_whole() -> None:
    signal = aws_node("panic:\n  goroutine 1\n  api error InsufficientFreeAddressesInSubnet: The specified subnet\n")
    assert isinstance(signal, Signal)
    assert signal.cause is Cause.SUBNET_FULL


@pytest.mark.parametrize(("file", "counts"), [("ipamd", True), ("plugin", True), ("network-policy-agent", False)])
def test_the_cnis_files_speak_for_it_and_the_network_policy_agents_does_not(file: str, *, counts: bool) -> None:
    stream = f"{NODE}-dataplane.tail.var.log.aws-routed-eni.{file}.log"
    outcome = read(json.dumps({"log": "2019-11-14T10:21:32.120Z [ERROR] RequestLimitExceeded: x"}), stream=stream)
    assert isinstance(outcome, Signal) is counts


# ------------------------------------------------------------------------------------------------ groups
@pytest.mark.parametrize(
    ("group", "cluster"),
    [
        (f"{INSIGHTS}/application", "shop-prod"),
        (f"{INSIGHTS}/dataplane", "shop-prod"),
        (f"{INSIGHTS}/host", "shop-prod"),
        (f"{INSIGHTS}/performance", "shop-prod"),
        ("/aws/eks/shop-prod/aws-fluentbit-logs-20240101", "shop-prod"),
        ("/aws/eks/shop-prod/cluster", "shop-prod"),
        ("/shop-prod/worker-fluentbit-logs", "shop-prod"),
        ("/aws/vendedlogs/eks/cluster/AUTO_MODE_IPAM_LOGS/shop-prod", "shop-prod"),
        ("/aws/vendedlogs/eks/cluster/AUTO_MODE_COMPUTE_LOGS/shop-prod", "shop-prod"),
        ("/aws/eks/fluentbit-cloudwatch/logs", None),
        ("/aws/lambda/shop", None),
        ("/mine/shop", "shop-test"),
        ("/mine/other/app", "shop-dev"),
    ],
)
def test_the_group_names_the_cluster_or_the_mapping_does(group: str, cluster: str | None) -> None:
    groups = LogGroups.parse("/mine/*=shop-dev, /mine/shop=shop-test")
    outcome = read("api error InsufficientFreeAddressesInSubnet: x", group, groups=groups)
    named = outcome.cluster if isinstance(outcome, Signal) else None
    assert named == cluster


@pytest.mark.parametrize("mapping", ["/mine", "=shop", "/mine=", "/mine=a b"])
def test_a_wrong_mapping_is_refused_with_what_to_write(mapping: str) -> None:
    with pytest.raises(ValueError, match="write GROUP=CLUSTER"):
        LogGroups.parse(mapping)


def test_nodes_of_auto_mode_are_called_after_their_instance() -> None:
    line = ipamd(
        "Failed to allocate: InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks"
    )
    signal = read(line, "/aws/vendedlogs/eks/cluster/AUTO_MODE_IPAM_LOGS/shop-prod", "i-0a1b2c3d4e5f60718")
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.node) == (Cause.PREFIX_FRAGMENTED, "i-0a1b2c3d4e5f60718")


def test_auto_modes_storage_controller_is_another_program() -> None:
    group = "/aws/vendedlogs/eks/cluster/AUTO_MODE_BLOCK_STORAGE_LOGS/shop-prod"
    assert read("api error AttachmentLimitExceeded: x", group) == Dropped(reason=DropReason.OTHER_PROGRAM)


def test_an_exported_event_about_something_else_is_dropped_as_an_event() -> None:
    event = {"reason": "BackOff", "message": "Back-off restarting", "involvedObject": {"kind": "Pod", "name": "web-0"}}
    assert read(json.dumps(event), "/shop/events") == Dropped(reason=DropReason.UNRELATED_REASON)


@pytest.mark.parametrize("written", [r"failed to assign an IP address to \u0063ontainer", r"aws\u002dcni: failed \/x"])
def test_words_that_json_writes_as_escapes_count(written: str) -> None:
    line = f'{{"container_name": "aws-node", "log": "{written}"}}'
    assert isinstance(read(line), Signal)
