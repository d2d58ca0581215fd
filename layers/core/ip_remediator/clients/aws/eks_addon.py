"""The managed add-on `vpc-cni`: its configuration, changed variable by variable, and the updates that change it.

`UpdateAddon` replaces the whole configuration and knows no precondition, so every change starts from the configuration
that is in force now, sets only our variables, and looks afterwards whether somebody else's update came between.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from botocore.exceptions import ClientError

from ip_remediator.clients.aws.eks import ADDON
from ip_remediator.clients.aws.eks_addon_schema import configuration_schema, missing_variables
from ip_remediator.clients.aws.eks_updates import SUCCESSFUL, has_ended, reasons, settled
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound, NotYet, PermissionDenied, RequestRefused, ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

# Updates of others that may come between before we give up against them.
_ROUNDS = 3
_UNSETTLED = ("CREATING", "UPDATING", "DELETING")


class _Loader(yaml.SafeLoader):
    """Dates stay text: JSON, in which the configuration is sent, has none."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_configuration(text: str | None) -> dict[str, Any]:
    """An add-on's configurationValues as a mapping; nothing is an empty one.

    EKS takes JSON and YAML ("Customize fields for Amazon EKS add-ons" of the EKS User Guide). JSON is tried first,
    because YAML forbids the tabs that JSON allows.

    Raises:
        RequestRefused: it is neither, or its `env` is no mapping.
    """
    if not text or not text.strip():
        return {}
    try:
        values = _load(text)
    except yaml.YAMLError as error:
        raise RequestRefused(f"the configurationValues of add-on {ADDON} are neither JSON nor YAML") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not isinstance(values.get("env") or {}, dict):
        raise RequestRefused(f"the configurationValues of add-on {ADDON}, or their env, are not a mapping")
    return values


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader  # nosec B506


def environment_in(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a parsed configuration sets."""
    return dict(configuration.get("env") or {})


def with_environment(configuration: Mapping[str, Any], wanted: Mapping[str, str | None]) -> dict[str, Any]:
    """`configuration` with these variables set, or removed where None, and all else as it was."""
    merged = {**environment_in(configuration), **wanted}
    variables = {name: value for name, value in merged.items() if value is not None}
    rest = {name: value for name, value in configuration.items() if name != "env"}
    return {**rest, "env": variables} if variables else rest


class CniAddon:
    """The add-on of one cluster. Raises the errors of `common.errors`; `sleep` is time.sleep unless a test says so."""

    def __init__(self, eks: EKSClient, cluster: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._eks = eks
        self._name = cluster
        self._sleep = sleep

    def describe(self) -> dict[str, Any] | None:
        """The add-on, or None when aws-node is self-managed."""
        try:
            with aws_call("DescribeAddon"):
                return dict(self._eks.describe_addon(clusterName=self._name, addonName=ADDON)["addon"])
        except NotFound:
            return None

    def settled(self) -> dict[str, Any] | None:
        """The add-on while nobody's update of it is in progress, or None.

        Raises:
            NotYet: an update is in progress for longer than 25 s; call again. Updates take up to 20 minutes.
        """
        return settled(
            self.describe,
            lambda present: present is None or present.get("status") not in _UNSETTLED,
            lambda present: (
                f"the add-on {ADDON} of {self._name} is {(present or {}).get('status')}: an update is in progress"
            ),
            self._sleep,
        )

    def lacks(self, names: Iterable[str], present: Mapping[str, Any]) -> list[str]:
        """Those of `names` that this add-on's configuration cannot set; none where EKS does not say."""
        try:
            schema = configuration_schema(self._eks, present)
        except (NotFound, PermissionDenied):
            schema = None
        return missing_variables(schema or {}, names)

    def change_environment(
        self, wanted: Mapping[str, str | None], started: Callable[[str], None], original: str | None = None
    ) -> dict[str, Any]:
        """Sets variables in the configuration that is in force, or removes those that are None, and waits.

        Returns the parsed configuration. Nothing is sent when it has these variables already. `started` gets the id
        of each update as soon as EKS has accepted it. `original` is sent, for its comments and layout, when it says
        the same as the configuration that is wanted.

        Raises:
            NotYet: an update, ours or another's, is in progress; call again.
            RequestRefused: EKS refused the configuration or the update failed; the message has EKS's words.
        """
        seen_updates = self._update_ids()
        present = self.settled()
        if present is None:
            raise RequestRefused(f"cluster {self._name} has no add-on {ADDON} any more")
        base = parse_configuration(present.get("configurationValues"))
        for _ in range(_ROUNDS):
            configuration = with_environment(base, wanted)
            if parse_configuration(present.get("configurationValues")) == configuration:
                return configuration
            update_id = self._start(configuration, present, original)
            started(update_id)
            self.await_update(update_id)
            between = self._update_ids() - seen_updates - {update_id}
            if not between:
                return configuration
            seen_updates |= between | {update_id}
            base = self._configuration_of(between, otherwise=configuration)
            present = self.settled() or {}
        raise NotYet(f"somebody else keeps changing the add-on {ADDON} of {self._name} at the same time")

    def await_update(self, update_id: str) -> None:
        """Waits until the update is through.

        A DEGRADED add-on has taken the configuration: whether its pods run is seen at their rollout.

        Raises:
            NotYet: it is in progress for longer than 25 s; call again.
            RequestRefused: it failed, with EKS's errors.
        """
        update = self.await_end(update_id)
        if update is not None and update["status"] != SUCCESSFUL:
            raise RequestRefused(
                f"update {update_id} of the add-on {ADDON} of {self._name} is {update['status']}: "
                f"{reasons(update) or 'EKS gives no reason'}"
            )

    def await_end(self, update_id: str) -> dict[str, Any] | None:
        """Waits until the update cannot be applied any more; returns it, or None when EKS does not know it any more.

        Raises:
            NotYet: it is in progress for longer than 25 s; call again.
        """
        late = f"update {update_id} of the add-on {ADDON} of {self._name} is still in progress"
        try:
            return settled(lambda: self._describe_update(update_id), has_ended, lambda _: late, self._sleep)
        except NotFound:
            return None

    def _start(self, configuration: Mapping[str, Any], present: Mapping[str, Any], original: str | None) -> str:
        """The id of the update that EKS accepted.

        The add-on's IAM role is sent again, because without it the add-on falls back to the nodes' role; pod identity
        associations that are left out stay (API_UpdateAddon.html). Values that people changed by hand in the cluster
        are kept (PRESERVE).
        """
        text = json.dumps(configuration)
        if original and parse_configuration(original) == configuration:
            text = original
        role_arn = present.get("serviceAccountRoleArn")
        role = {"serviceAccountRoleArn": role_arn} if role_arn else {}
        try:
            with aws_call("UpdateAddon"):
                return self._eks.update_addon(
                    clusterName=self._name,
                    addonName=ADDON,
                    configurationValues=text,
                    resolveConflicts="PRESERVE",
                    clientRequestToken=_request_token(self._name, text, present),
                    **role,
                )["update"]["id"]
        except ServiceUnavailable as error:
            if _code(error.__cause__) == "ResourceInUseException":
                raise NotYet(f"the add-on {ADDON} of {self._name} is being updated by somebody else") from error
            raise

    def _configuration_of(self, update_ids: set[str], otherwise: dict[str, Any]) -> dict[str, Any]:
        """The configuration that the latest of these updates set; `otherwise` where none of them set one."""
        updates = sorted(map(self._describe_update, update_ids), key=lambda update: str(update.get("createdAt", "")))
        values = [
            str(param["value"])
            for update in updates
            for param in update.get("params", [])
            if param["type"] == "ConfigurationValues"
        ]
        return parse_configuration(values[-1]) if values else otherwise

    def _describe_update(self, update_id: str) -> dict[str, Any]:
        with aws_call("DescribeUpdate"):
            return dict(self._eks.describe_update(name=self._name, addonName=ADDON, updateId=update_id)["update"])

    def _update_ids(self) -> set[str]:
        try:
            with aws_call("ListUpdates"):
                pages = self._eks.get_paginator("list_updates").paginate(name=self._name, addonName=ADDON)
                return {update_id for page in pages for update_id in page["updateIds"]}
        except NotFound:
            return set()


def _request_token(cluster: str, text: str, present: Mapping[str, Any]) -> str:
    """The same for a call that is repeated because its answer was lost, and another one once the add-on changed."""
    identity = json.dumps([cluster, text, str(present.get("modifiedAt"))])
    return hashlib.sha256(identity.encode()).hexdigest()[:64]


def _code(cause: BaseException | None) -> str:
    return str(cause.response["Error"]["Code"]) if isinstance(cause, ClientError) else ""
