"""What other people do to a cluster and its VPC in the middle of a run: one act of one of them, by their own name."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ip_remediator.planning.changes import eni_config_manifest
from local.cluster.kube import CRDS, DAEMONSETS, ENICONFIGS, NODES, STRATEGIC_PATCH, ApiError
from tests.faults.world import World
from tests.integration.support.patient import CGNAT, ZONES, Patient
from tests.integration.support.rollbacks import CRD

ARGO, KUBECTL = "argocd-controller", "kubectl-edit"
USER = "terraform"
_AWS_NODE = DAEMONSETS.path("kube-system", "aws-node")
_SWITCH = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"
_THEIR_VARIABLE, _THEIR_VALUE = "AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "ERROR"
_ALL = frozenset[str]()
_OUR_TAGS = "eks-ip-remediator:"
# By these AWS refuses an act whose time has not come, or has passed.
_REFUSALS = frozenset(
    {
        *("DependencyViolation", "OperationNotPermitted", "CidrConflict", "InvalidVpc.Range", "CidrLimitExceeded"),
        *("InvalidSubnet.Conflict", "InvalidCidrBlock.InUse", "ResourceInUseException", "InvalidSubnet.Range"),
        "InvalidParameterException",
    }
)


class NothingThere(Exception):
    """The act has no object yet, or no longer."""


class RefusedByAws(Exception):
    """AWS does not let anybody do that now; the message is its error code."""


@dataclass
class Deed:
    """An act that was done. `who`: its field manager, or the caller's ARN. `stands`: whether what they set is as they
    set it. `undo`: they put it back as it was; None: nobody can. `changed`: what is not as before because of it, names
    by part of `Patient.world`; no names: the whole part. `about`: by these words a message says that
    the plan, which was made afterwards, makes it anew. `fleeting`: EKS takes it back by itself, about every 15 minutes
    (local/cluster/addon.py)."""

    who: str
    stands: Callable[[], bool]
    undo: Callable[[], None] | None = None
    changed: dict[str, frozenset[str]] = field(default_factory=dict)
    about: str = ""
    fleeting: bool = False


@dataclass
class Others:
    """Other people with their own AWS user. Made once, before anything is forked."""

    world: World
    clients: dict[str, Any] = field(default_factory=dict)
    arn: str = ""

    def __post_init__(self) -> None:
        iam, servers = self.world.lab.aws("iam"), self.world.lab.stack.servers
        with suppress(ClientError):  # made for another set-up
            iam.create_user(UserName=USER)
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=document)
        keys = iam.create_access_key(UserName=USER)["AccessKey"]
        session = boto3.session.Session(keys["AccessKeyId"], keys["SecretAccessKey"], region_name=servers.region)
        for service in ("ec2", "eks", "autoscaling", "sts"):
            self.clients[service] = session.client(service, endpoint_url=servers.aws_url)
        self.arn = self.clients["sts"].get_caller_identity()["Arn"]

    @property
    def sick(self) -> Patient:
        return self.world.sick

    def do(self, act: str) -> Deed:
        """Raises NothingThere, RefusedByAws."""
        try:
            return ACTS[act](self)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _REFUSALS:
                raise RefusedByAws(code) from error
            raise

    # --- ENIConfigs

    def repoint(self) -> Deed:
        """As a controller syncs an ENIConfig of its own: by server-side apply, with force."""
        zone, subnet = next(iter(self.sick.seeded.network.subnets.items()))
        before = self._eni_config(zone)
        if before and before["spec"].get("subnet") == subnet:
            subnet = self.sick.seeded.network.subnets[ZONES[1]]
        self.sick.api.apply(f"{ENICONFIGS.path()}/{zone}", eni_config_manifest(zone, subnet), ARGO)
        undo, changed = partial(self._write_eni_config, zone, before), {"eni_configs": frozenset({zone})}
        return Deed(ARGO, lambda: self._points_at(zone) == subnet, undo, changed)

    def delete_eni_config(self) -> Deed:
        zone = next(iter(self.sick.seeded.network.subnets))
        before = self._eni_config(zone)
        if before is None:
            raise NothingThere
        self.sick.api.delete(f"{ENICONFIGS.path()}/{zone}")
        undo, changed = partial(self._write_eni_config, zone, before), {"eni_configs": frozenset({zone})}
        return Deed("somebody else", lambda: self._points_at(zone) is None, undo, changed, "ENIConfig")

    def unlabel_eni_config(self) -> Deed:
        """As a sync does that prunes labels which are not in Git."""
        zone = next(iter(self.sick.seeded.network.subnets))
        before = self._eni_config(zone)
        ours = [name for name in (before or {"metadata": {}})["metadata"].get("labels", {}) if "remediator" in name]
        if before is None or not ours:
            raise NothingThere
        body = {"metadata": {"labels": dict.fromkeys(ours)}}
        path = f"{ENICONFIGS.path()}/{zone}"
        self._patch(path, body, ARGO, "application/merge-patch+json")
        labels = before["metadata"]["labels"]
        undo = partial(self._patch, path, {"metadata": {"labels": labels}}, ARGO, "application/merge-patch+json")
        return Deed(zone, lambda: True, undo, {"eni_configs": frozenset({zone})})

    def delete_crd(self) -> Deed:
        """All ENIConfigs go with it."""
        if self.sick.eni_configs() is None:
            raise NothingThere
        before = self.sick.api.get(ENICONFIGS.path())["items"]
        manifest = self.sick.api.get(CRDS.path(None, CRD))
        self.sick.api.delete(CRDS.path(None, CRD))

        def undo() -> None:
            with suppress(ApiError):
                self.sick.api.create(CRDS, _bare(manifest))
            for config in before:
                self._write_eni_config(config["metadata"]["name"], config)

        gone, crd = (lambda: self.sick.eni_configs() is None), "CRD of ENIConfigs"
        return Deed("somebody else", gone, undo, {"eni_configs": _ALL}, crd)

    def _eni_config(self, name: str) -> dict[str, Any] | None:
        """Raises NothingThere without the CRD."""
        if self.sick.eni_configs() is None:
            raise NothingThere
        try:
            return self.sick.api.get(f"{ENICONFIGS.path()}/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def _points_at(self, name: str) -> Any:
        return (self.sick.eni_configs() or {}).get(name, {}).get("subnet")

    def _write_eni_config(self, name: str, wanted: dict[str, Any] | None) -> None:
        path = f"{ENICONFIGS.path()}/{name}"
        with suppress(ApiError):
            self.sick.api.delete(path)
        if wanted is not None:
            self.sick.api.create(ENICONFIGS, _bare(wanted))

    # --- aws-node

    def reset_variable(self) -> Deed:
        if variables_of(self.sick).get(_SWITCH) != "true":
            raise NothingThere
        self._set_variable(_SWITCH, "false")
        return Deed(
            KUBECTL,
            lambda: variables_of(self.sick).get(_SWITCH) == "false",
            partial(self._set_variable, _SWITCH, "true"),
            {"cni": frozenset({_SWITCH})},
            "custom networking",
            fleeting=True,
        )

    def add_variable(self) -> Deed:
        self._set_variable(_THEIR_VARIABLE, _THEIR_VALUE)
        kept = lambda: variables_of(self.sick).get(_THEIR_VARIABLE) == _THEIR_VALUE  # noqa: E731
        return Deed(KUBECTL, kept, None, {"cni": frozenset({_THEIR_VARIABLE})}, fleeting=True)

    def delete_cni(self) -> Deed:
        """As people replace the CNI by another one."""
        before = self.sick.api.get(_AWS_NODE)
        self.sick.api.delete(_AWS_NODE)
        containers = before["spec"]["template"]["spec"]["containers"]
        [container] = [container for container in containers if container["name"] == "aws-node"]
        computed = [variable for variable in container["env"] if "value" not in variable]
        former = [{"name": name, "value": value} for name, value in self.world.before["cni"].items()]
        container["env"] = [*former, *computed]
        undo = partial(self.sick.api.create, DAEMONSETS, _bare(before))
        return Deed("somebody else", lambda: not variables_of(self.sick), undo, {"cni": _ALL}, fleeting=True)

    def _set_variable(self, name: str, value: str) -> None:
        containers = [{"name": "aws-node", "env": [{"name": name, "value": value}]}]
        self._patch(_AWS_NODE, {"spec": {"template": {"spec": {"containers": containers}}}}, KUBECTL, STRATEGIC_PATCH)

    def _patch(self, path: str, body: Any, manager: str, kind: str) -> None:
        self.sick.api.request("PATCH", path, query={"fieldManager": manager}, body=body, content_type=kind)

    # --- The add-on

    def configure_addon(self) -> Deed:
        """As Terraform applies a configuration that knows nothing of ours."""
        return self._update_addon({"env": {"WARM_ENI_TARGET": "2"}})

    def extend_addon(self) -> Deed:
        """As people change one value in the console, which sends all others as they are."""
        before = json.loads(self.sick.addon_configuration() or "{}")
        return self._update_addon({**before, "env": {**before.get("env", {}), _THEIR_VARIABLE: _THEIR_VALUE}})

    def _update_addon(self, wanted: dict[str, Any]) -> Deed:
        before, addon = self.sick.addon_configuration(), {"clusterName": self.sick.name, "addonName": "vpc-cni"}
        eks = self.clients["eks"]
        eks.update_addon(**addon, configurationValues=json.dumps(wanted), resolveConflicts="OVERWRITE")
        theirs = set(wanted["env"].items()) - set(json.loads(before or "{}").get("env", {}).items())
        undo = partial(eks.update_addon, **addon, configurationValues=before or "{}", resolveConflicts="OVERWRITE")

        def stands() -> bool:
            return theirs <= set(json.loads(self.sick.addon_configuration() or "{}").get("env", {}).items())

        variables = {*wanted["env"], *json.loads(before or "{}").get("env", {})}
        return Deed(self.arn, stands, undo, {"addon": _ALL, "cni": frozenset(variables)})

    def delete_addon(self) -> Deed:
        """As people take over a DaemonSet: the add-on goes, aws-node stays."""
        eks, addon = self.clients["eks"], {"clusterName": self.sick.name, "addonName": "vpc-cni"}
        eks.delete_addon(**addon, preserve=True)
        stands = lambda: "vpc-cni" not in eks.list_addons(clusterName=self.sick.name)["addons"]  # noqa: E731
        return Deed(self.arn, stands, None, {"addon": _ALL})

    # --- The VPC

    def delete_subnet(self) -> Deed:
        [subnet, *_] = self._our_subnets()
        self.clients["ec2"].delete_subnet(SubnetId=subnet)
        return Deed(self.arn, lambda: subnet not in self.sick.subnets())

    def untag_subnet(self) -> Deed:
        [subnet, *_] = self._our_subnets()
        tags = {key: value for key, value in self._tags(subnet).items() if key.startswith(_OUR_TAGS)}
        if not tags:
            raise NothingThere
        ec2 = self.clients["ec2"]
        ec2.delete_tags(Resources=[subnet], Tags=[{"Key": key} for key in tags])
        undo = partial(ec2.create_tags, Resources=[subnet], Tags=[{"Key": key, "Value": tags[key]} for key in tags])
        return Deed(self.arn, lambda: not tags.keys() & self._tags(subnet).keys(), undo)

    def add_subnet(self) -> Deed:
        """Into the CIDR that the incident added: its last /28."""
        block = IPv4Network(self._our_cidr())
        theirs = str(list(block.subnets(new_prefix=28))[-1])
        ec2 = self.clients["ec2"]
        subnet = ec2.create_subnet(VpcId=self.sick.vpc_id, AvailabilityZone=ZONES[0], CidrBlock=theirs)["Subnet"]
        id_ = subnet["SubnetId"]
        undo = partial(ec2.delete_subnet, SubnetId=id_)
        return Deed(id_, lambda: id_ in self.sick.subnets(), undo, {"subnets": frozenset({id_})})

    def disassociate_cidr(self) -> Deed:
        block = self._our_cidr()
        [vpc] = self.clients["ec2"].describe_vpcs(VpcIds=[self.sick.vpc_id])["Vpcs"]
        [association] = [
            entry["AssociationId"]
            for entry in vpc["CidrBlockAssociationSet"]
            if entry["CidrBlock"] == block and entry["CidrBlockState"]["State"] in ("associating", "associated")
        ] or [None]
        if association is None:
            raise NothingThere
        self.clients["ec2"].disassociate_vpc_cidr_block(AssociationId=association)
        return Deed(self.arn, lambda: block not in self.sick.cidrs())

    def take_next_block(self) -> Deed:
        """The first half of the block that plans begin with: the same block would be used as it is."""
        return self._add_cidrs("100.64.0.0/17")

    def use_up_quota(self) -> Deed:
        """Of five CIDRs of a VPC (VPC quotas, "IPv4 CIDR blocks per VPC")."""
        free = 5 - len(self.sick.cidrs())
        if free <= 0:
            raise NothingThere
        return self._add_cidrs(*(f"10.{number}.0.0/16" for number in range(10, 10 + free)))

    def _add_cidrs(self, *blocks: str) -> Deed:
        ec2 = self.clients["ec2"]
        associations = [
            ec2.associate_vpc_cidr_block(VpcId=self.sick.vpc_id, CidrBlock=block)["CidrBlockAssociation"][
                "AssociationId"
            ]
            for block in blocks
        ]

        def undo() -> None:
            for association in associations:
                ec2.disassociate_vpc_cidr_block(AssociationId=association)

        return Deed(self.arn, lambda: {*blocks} <= {*self.sick.cidrs()}, undo, {"cidrs": frozenset(blocks)})

    def delete_leaked_eni(self) -> Deed:
        """As people clean up by hand."""
        leaked = [eni["NetworkInterfaceId"] for eni in self._enis_of_cni() if eni["Status"] == "available"]
        if not leaked:
            raise NothingThere
        self.clients["ec2"].delete_network_interface(NetworkInterfaceId=min(leaked))
        return Deed(self.arn, lambda: True)

    def _enis_of_cni(self) -> list[dict[str, Any]]:
        """The network interfaces that the CNI made in the VPC, attached or not."""
        filters = [
            {"Name": "vpc-id", "Values": [self.sick.vpc_id]},
            {"Name": "description", "Values": ["aws-K8S-*"]},
        ]
        enis: list[dict[str, Any]] = self.clients["ec2"].describe_network_interfaces(Filters=filters)[
            "NetworkInterfaces"
        ]
        return enis

    def _our_subnets(self) -> list[str]:
        ours = [id_ for _, id_ in sorted(self.sick.new_subnets().items()) if id_ not in self.world.before["subnets"]]
        if not ours:
            raise NothingThere
        return ours

    def _our_cidr(self) -> str:
        ours = [block for block in self.sick.cidrs() if IPv4Network(block).subnet_of(CGNAT)]
        ours = [block for block in ours if block not in self.world.before["cidrs"]]
        if not ours:
            raise NothingThere
        return ours[0]

    def _tags(self, subnet: str) -> dict[str, str]:
        """None of a subnet that is gone."""
        return dict(self.sick.subnets().get(subnet, {}).get("tags", {}))

    # --- Nodes and clusters

    def delete_node(self) -> Deed:
        """As a scale-down ends: the instance is terminated, and its Node goes."""
        [node, *_] = self._nodes() or [None]
        if node is None:
            raise NothingThere
        instance = node["spec"]["providerID"]  # a node that replaces it may get its name
        self.clients["ec2"].terminate_instances(InstanceIds=[instance.rpartition("/")[2]])
        with suppress(ApiError):  # its controller was faster
            self.sick.api.delete(NODES.path_of(node))
        return Deed(
            node["metadata"]["name"], lambda: instance not in [one["spec"]["providerID"] for one in self._nodes()]
        )

    def cordon_node(self) -> Deed:
        [node, *_] = self._nodes() or [None]
        if node is None or node["spec"].get("unschedulable"):
            raise NothingThere
        path = NODES.path_of(node)
        kind = "application/merge-patch+json"
        self._patch(path, {"spec": {"unschedulable": True}}, "kubectl-cordon", kind)
        undo = partial(self._patch, path, {"spec": {"unschedulable": None}}, "kubectl-cordon", kind)
        return Deed("kubectl-cordon", lambda: bool(self.sick.api.get(path)["spec"].get("unschedulable")), undo)

    def delete_node_group(self) -> Deed:
        """As DeleteNodegroup does it: the group goes with its instances."""
        zone = self._grouped_zone()
        name = f"{self.sick.name}-{zone[-1]}"
        eks, autoscaling = self.clients["eks"], self.clients["autoscaling"]
        eks.delete_nodegroup(clusterName=self.sick.name, nodegroupName=name)
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=f"eks-{name}", ForceDelete=True)
        stands = lambda: name not in eks.list_nodegroups(clusterName=self.sick.name)["nodegroups"]  # noqa: E731
        return Deed(self.arn, stands)

    def empty_node_group(self) -> Deed:
        """As people scale a group down for the night."""
        named = {"clusterName": self.sick.name, "nodegroupName": f"{self.sick.name}-{self._grouped_zone()[-1]}"}
        eks, sizes = self.clients["eks"], {"minSize": 0, "maxSize": 2, "desiredSize": 0}
        eks.update_nodegroup_config(**named, scalingConfig=sizes)

        def stands() -> bool:
            return bool(eks.describe_nodegroup(**named)["nodegroup"]["scalingConfig"]["desiredSize"] == 0)

        return Deed(self.arn, stands)

    def _grouped_zone(self) -> str:
        if self.sick.seeded.scenario.provisioner != "managed":
            raise NothingThere
        return ZONES[0]

    def delete_cluster(self) -> Deed:
        """As `eksctl delete cluster` does it: node groups and instances first, then the cluster with its API."""
        eks, ec2, name = self.clients["eks"], self.clients["ec2"], self.sick.name
        instances = [node["spec"]["providerID"].rpartition("/")[2] for node in self._nodes()]
        servers: Any = self.world.lab.stack.servers
        servers.end(self.sick.simulator)
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
            eks.delete_nodegroup(clusterName=name, nodegroupName=group)
        ec2.terminate_instances(InstanceIds=instances)
        for eni in self._enis_of_cni():
            if attachment := eni.get("Attachment"):
                ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"], Force=True)
            ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
        for addon in eks.list_addons(clusterName=name)["addons"]:
            eks.delete_addon(clusterName=name, addonName=addon)
        eks.delete_cluster(name=name)
        servers.end(self.sick.kubernetes)
        del servers.network.applications[servers.ports.kubernetes]
        return Deed(
            self.arn,
            lambda: name not in eks.list_clusters()["clusters"],
            changed=dict.fromkeys(("eni_configs", "cni", "addon"), _ALL),
        )

    def _nodes(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = self.sick.api.get(NODES.path())["items"]
        return sorted(nodes, key=lambda node: str(node["metadata"]["name"]))


def variables_of(sick: Patient) -> dict[str, str]:
    """Those of aws-node; none where it is gone."""
    try:
        return dict(sick.cni_environment())
    except ApiError as error:
        if error.status != 404:
            raise
        return {}


def _bare(stored: dict[str, Any]) -> dict[str, Any]:
    """An object as its owner's manifest has it."""
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: stored["metadata"][key] for key in kept if key in stored["metadata"]}
    return {**{key: stored[key] for key in ("apiVersion", "kind", "spec")}, "metadata": metadata}


ACTS: dict[str, Callable[[Others], Deed]] = {
    "eniconfig-repointed": Others.repoint,
    "eniconfig-deleted": Others.delete_eni_config,
    "eniconfig-unlabelled": Others.unlabel_eni_config,
    "crd-deleted": Others.delete_crd,
    "variable-reset": Others.reset_variable,
    "variable-added": Others.add_variable,
    "cni-deleted": Others.delete_cni,
    "addon-configured": Others.configure_addon,
    "addon-extended": Others.extend_addon,
    "addon-deleted": Others.delete_addon,
    "subnet-deleted": Others.delete_subnet,
    "subnet-untagged": Others.untag_subnet,
    "subnet-added": Others.add_subnet,
    "cidr-disassociated": Others.disassociate_cidr,
    "block-taken": Others.take_next_block,
    "quota-used-up": Others.use_up_quota,
    "leaked-eni-deleted": Others.delete_leaked_eni,
    "node-deleted": Others.delete_node,
    "node-cordoned": Others.cordon_node,
    "node-group-deleted": Others.delete_node_group,
    "node-group-emptied": Others.empty_node_group,
    "cluster-deleted": Others.delete_cluster,
}
