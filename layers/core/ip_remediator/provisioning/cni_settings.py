"""Variables of aws-node, set and restored through their owner: the managed add-on, otherwise the DaemonSet.

A variable that the add-on's schema lacks is set on the DaemonSet even if the add-on owns it: EKS reverts only what
it manages itself ("Determine fields you can customize for Amazon EKS add-ons" of the EKS User Guide). A
variable that another field manager wrote is set in both places: an update of the add-on preserves that value
(PRESERVE, API_UpdateAddon.html). Only our variables are changed. A variable is restored only if it still has our
value; a value that somebody changed since stays.

While an update of ours to the add-on may still be applied, nothing is restored, and the switch does not count as
failed. The update's id decides, because DescribeAddon may be unavailable, or may show the old values until the
update has finished.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.eks_addon import CniAddon, environment_in, parse_configuration
from ip_remediator.clients.gone import unless_gone
from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.planning.changes import cni_settings
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.kubernetes import KubeChanges, SettingsOverwritten, shown
from ip_remediator.snapshot.model_cluster import CUSTOM_NETWORK_CFG, Cni

_ADDON_SECONDS = 30
_TARGET = "aws-node"


@dataclass(frozen=True)
class CniSettings:
    """Raises the errors of `common.errors` and `clients.kubernetes.api`."""

    log: ChangeLog
    kube: KubeChanges
    addon: CniAddon

    def change(self, kind: ChangeKind, wanted: Mapping[str, str]) -> str:
        """Sets these variables and waits until aws-node has them; returns their owner: `addon` or `daemonset`.

        Raises:
            NotYet: an update of the add-on, ours or another's, is in progress; call again.
            RequestRefused: EKS refuses the configuration, or the update failed.
        """
        for earlier in self.log.made(kind):
            if update := _update_of(earlier):
                self.addon.await_update(update)
        present = self.addon.settled()
        lacking, on_daemonset = self._beside_addon(wanted, present)
        change = self._intend(kind, wanted, present, on_daemonset)
        if present is None:
            write = self.kube.apply_cni_environment if kind is ChangeKind.CNI else self.kube.set_cni_environment
            write(wanted)
            return "daemonset"
        through_addon = {name: value for name, value in wanted.items() if name not in lacking}
        if through_addon:
            self.addon.change_environment(through_addon, lambda update: self._note(change, update))
        if beside := _on_daemonset(change):
            self.kube.set_cni_environment({name: wanted[name] for name in beside if name in wanted})
        self._await(through_addon)
        return "addon"

    def _beside_addon(
        self, wanted: Mapping[str, str], present: Mapping[str, Any] | None
    ) -> tuple[list[str], list[str]]:
        """The variables that the add-on's schema lacks; and all that are set on the DaemonSet: these, and those that
        others hold."""
        if present is None:
            return [], []
        lacking = self.addon.lacks(wanted, present)
        return lacking, sorted({*lacking, *self.kube.held_beside_addon(wanted)})

    def is_switched(self) -> bool:
        """Whether custom networking is on, or will be once the add-on has written the DaemonSet.

        Raises:
            NotYet: an update of the add-on that may decide it is in progress; call again.
        """
        for change in self.log.made(ChangeKind.CNI):
            self._settle(change)
        present = self.addon.settled() or {}
        configured = environment_in(parse_configuration(present.get("configurationValues")))
        return any(Cni(env=env).custom_networking for env in (self.kube.cni_environment(), _texts(configured)))

    def restore(self, kind: ChangeKind) -> bool:
        """Takes the variables of this kind back. Whether there was something to take back.

        Raises:
            NotYet: an update of the add-on is in progress; call again, and undo nothing else before.
            LockLost: another execution took over while this one waited for an update.
        """
        made = self.log.made(kind)
        for change in made:
            self._settle(change)
            present = self.addon.settled()
            if kind is ChangeKind.WARM_TARGETS:  # temporary: given back without the lock, too
                self.log.require_not_superseded()
            else:
                self.log.require_lock()
            note = self.kube.kept_of_others(_written(change), (change.before or {}).get("env", {}))
            self._restore(change, present)
            self.log.undone(change, note)
        return bool(made)

    def _restore(self, change: RecordedChange, present: Mapping[str, Any] | None) -> None:
        before, ours = change.before or {}, _written(change)
        beside = tuple(ours) if present is None else _on_daemonset(change)
        if present is not None:
            with unless_gone(lambda: self.addon.describe() is not None) as addon:
                self._restore_addon(change, present, beside)
            beside = tuple(ours) if addon.gone else beside
        # Afterwards: what an update of the add-on does not preserve, is as it was in the end.
        self._restore_daemonset(before, {name: ours[name] for name in beside if name in ours})

    def _restore_addon(self, change: RecordedChange, present: Mapping[str, Any], beside: Collection[str]) -> None:
        before, ours = change.before or {}, _written(change)
        original = before.get("configuration")
        former = before["env"] if original is None else environment_in(parse_configuration(original))
        now = environment_in(parse_configuration(present.get("configurationValues")))
        taken_back = {name: former.get(name) for name, value in ours.items() if now.get(name) == value}
        if taken_back:
            self.addon.change_environment(taken_back, lambda update: self._note(change, update), original)
        # An earlier attempt, or one at the same time, may have taken others back that aws-node still has.
        live = self.kube.cni_environment()
        due = {name for name, value in ours.items() if live.get(name) == value and now.get(name) == former.get(name)}
        awaited = (taken_back.keys() | due) - set(beside)
        self._await({name: before["env"].get(name) for name in awaited})

    def _restore_daemonset(self, before: Mapping[str, Any], ours: Mapping[str, str]) -> None:
        now = self.kube.cni_environment()
        taken_back = {name: before["env"].get(name) for name, value in ours.items() if now.get(name) == value}
        if taken_back:
            self.kube.set_cni_environment(taken_back)

    def _intend(
        self, kind: ChangeKind, wanted: Mapping[str, str], present: Mapping[str, Any] | None, on_daemonset: list[str]
    ) -> RecordedChange:
        """Records the change; what it returns has what was there before the first attempt."""
        env = self.kube.cni_environment()
        before: dict[str, Any] = {"env": {name: env.get(name) for name in wanted}}
        if present is not None:
            before["configuration"] = present.get("configurationValues", "")
        after = {"env": dict(wanted), **({"on_daemonset": on_daemonset} if on_daemonset else {})}
        return self.log.intend(ChangeMade(kind=kind, target=_TARGET, before=before, after=after))

    def _note(self, change: RecordedChange, update: str) -> None:
        self.log.amend(change.model_copy(update={"after": {**(change.after or {}), "update": update}}))

    def _settle(self, change: ChangeMade) -> None:
        """Raises NotYet while an update of ours may still be applied."""
        if update := _update_of(change):
            self.addon.await_end(update)

    def _await(self, wanted: Mapping[str, str | None]) -> None:
        """The add-on writes the DaemonSet after its own update; only then is there a rollout to watch.

        Raises:
            NotYet: the add-on has not written them yet; call again.
            SettingsOverwritten: another field manager holds them, and the add-on preserves that.
        """
        deadline = time.monotonic() + _ADDON_SECONDS
        while any(self.kube.cni_environment().get(name) != value for name, value in wanted.items()):
            if time.monotonic() > deadline:
                self.kube.require_not_held_by_others(wanted)
                raise NotYet("the vpc-cni add-on has not set the variables on aws-node yet")
            time.sleep(0.2)


def require_in_force(
    addon: CniAddon, kube: KubeChanges, settings: Mapping[str, str], pointing: Mapping[str, str]
) -> None:
    """Checks that aws-node has these settings and its add-on keeps them, and that each ENIConfig points at its subnet.

    Raises:
        SettingsOverwritten: somebody changed one of them, or the add-on's configuration: EKS writes that to aws-node
            some time after it took it.
        NotYet: an update of the add-on is in progress and may change them; call again.
    """
    if (settings or pointing) and (present := addon.settled()) is not None:
        configured = _texts(environment_in(parse_configuration(present.get("configurationValues"))))
        differing = [name for name, value in settings.items() if configured.get(name) != value]
        if pointing and not Cni(env=configured).custom_networking:
            differing.append(CUSTOM_NETWORK_CFG)
        beside = kube.held_beside_addon(differing) if differing else []
        lost = {name: configured.get(name) for name in differing if name not in beside}
        if lost:
            raise SettingsOverwritten(
                f"somebody gave the add-on vpc-cni another configuration after the plan was made: {shown(lost)}. It is "
                "not changed again against them: put it back, or roll back, and run again"
            )
    kube.require_in_force(settings, pointing)


def _update_of(change: ChangeMade) -> str | None:
    return (change.after or {}).get("update")


def _on_daemonset(change: ChangeMade) -> tuple[str, ...]:
    """The variables that are set on the DaemonSet, though the add-on manages others."""
    return tuple((change.after or {}).get("on_daemonset", ()))


def _written(change: ChangeMade) -> dict[str, str]:
    """The variables as we set them. Records of former releases do not have them; they always set the same ones."""
    noted = (change.after or {}).get("env")
    if noted is not None:
        return dict(noted)
    names = (change.before or {}).get("env", {})
    return cni_settings() if change.kind is ChangeKind.CNI else dict.fromkeys(names, "0")


def _texts(env: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in env.items()}
