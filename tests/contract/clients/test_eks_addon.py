"""The managed add-on vpc-cni of every kind: its variables are changed one by one, and all else stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from ip_remediator.clients.aws.eks_addon import CniAddon, environment_in, parse_configuration, with_environment
from ip_remediator.common.errors import NotYet, RequestRefused, ServiceUnavailable
from ip_remediator.planning.changes import cni_settings
from tests.contract.conftest import EksApi, briefly, unique
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

JSON = json.dumps({"env": {"WARM_ENI_TARGET": "2"}, "resources": {"limits": {"cpu": "100m"}}})
YAML = "# the network team's\nenv:\n  WARM_ENI_TARGET: '2'\nresources:\n  limits: {cpu: 100m}\n"
KINDS = {"none": None, "braces": "{}", "json": JSON, "yaml": YAML}
BACK = dict.fromkeys(cni_settings())


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2)


@pytest.fixture
def name(faults: LocalAws, eks_api: EksApi, vpc: Vpc) -> str:
    made = unique("prod")
    eks_api.create_cluster(made, vpc)
    return made


def installed(eks_api: EksApi, name: str, values: str | None = None, **more: str) -> CniAddon:
    configured = {} if values is None else {"configurationValues": values}
    eks_api.client.create_addon(clusterName=name, addonName="vpc-cni", **configured, **more)
    return CniAddon(eks_api.client, name, sleep=briefly)


def configuration(addon: CniAddon) -> dict[str, Any]:
    return parse_configuration((addon.describe() or {}).get("configurationValues"))


def ignored(_: str) -> None:
    """Nobody wants to know the update's id."""


@pytest.mark.parametrize("kind", KINDS)
def test_given_an_addon_of_any_kind_when_switched_and_switched_back_then_it_says_the_same_as_before(
    eks_api: EksApi, name: str, faults: LocalAws, kind: str
) -> None:
    original = KINDS[kind]
    with faults.settings(addon_refuses_empty_values=True):
        addon = installed(eks_api, name, original)
        before = configuration(addon)
        addon.change_environment(cni_settings(), ignored)
        assert configuration(addon) == with_environment(before, cni_settings())
        addon.change_environment(BACK, ignored, original)
    present = addon.describe() or {}
    assert configuration(addon) == before
    # comments and layout of what people wrote are kept
    assert original in (None, present["configurationValues"])


def test_given_somebody_reconfigured_it_since_when_switched_back_then_their_settings_stay(
    eks_api: EksApi, name: str
) -> None:
    addon = installed(eks_api, name, JSON)
    switched = addon.change_environment(cni_settings(), ignored)
    theirs = {**switched, "env": {**switched["env"], "WARM_IP_TARGET": "5"}, "resources": {"limits": {"cpu": "1"}}}
    update = eks_api.client.update_addon(clusterName=name, addonName="vpc-cni", configurationValues=json.dumps(theirs))[
        "update"
    ]
    addon.await_update(update["id"])
    addon.change_environment(BACK, ignored, JSON)
    assert configuration(addon) == with_environment(theirs, BACK)


def test_given_an_update_of_somebody_else_that_comes_between_then_both_are_in_force(eks_api: EksApi, name: str) -> None:
    """Theirs runs between our look at the configuration and our own update."""
    addon = installed(eks_api, name, JSON)
    theirs = {"env": {"WARM_ENI_TARGET": "2", "MINIMUM_IP_TARGET": "7"}}
    describe, looks = addon.describe, []

    def describe_then_let_them() -> dict[str, Any] | None:
        described = describe()
        looks.append(described)
        if len(looks) == 1:
            values = {"clusterName": name, "addonName": "vpc-cni", "configurationValues": json.dumps(theirs)}
            CniAddon(eks_api.client, name, briefly).await_update(eks_api.client.update_addon(**values)["update"]["id"])
        return described

    addon.describe = describe_then_let_them  # type: ignore[method-assign]
    addon.change_environment(cni_settings(), ignored)
    assert configuration(addon) == with_environment(theirs, cni_settings())


def test_given_the_variables_are_set_already_then_nothing_is_sent(eks_api: EksApi, name: str, faults: LocalAws) -> None:
    addon = installed(eks_api, name, YAML)
    for _ in range(2):
        addon.change_environment(cni_settings(), ignored)
    assert len(faults.calls(service="eks", action="UpdateAddon")) == 1


def test_given_a_lost_answer_then_the_next_try_only_waits(eks_api: EksApi, name: str, faults: LocalAws) -> None:
    addon = installed(eks_api, name, JSON)
    faults.inject("eks", "UpdateAddon", when="after")
    with pytest.raises(ServiceUnavailable):
        addon.change_environment(cni_settings(), ignored)
    addon.change_environment(cni_settings(), ignored)
    assert environment_in(configuration(addon)) == {"WARM_ENI_TARGET": "2", **cni_settings()}
    assert len(faults.calls(service="eks", action="UpdateAddon")) == 1


@pytest.mark.parametrize("old", [True, False], ids=["shows old values", "shows new values"])
def test_given_an_update_in_progress_then_it_is_waited_for_and_its_settings_stay(
    eks_api: EksApi, name: str, faults: LocalAws, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    addon = installed(eks_api, name)
    with faults.settings(addon_update_seconds=1.5, addon_shows_old_values=old):
        theirs = json.dumps({"env": {"WARM_IP_TARGET": "3"}})
        eks_api.client.update_addon(clusterName=name, addonName="vpc-cni", configurationValues=theirs)
    monkeypatch.setattr("ip_remediator.clients.aws.eks_updates._PATIENCE", 0.2)
    with pytest.raises(NotYet, match="is UPDATING: an update is in progress"):
        addon.change_environment(cni_settings(), ignored)
    monkeypatch.undo()
    addon.change_environment(cni_settings(), ignored)
    assert environment_in(configuration(addon)) == {"WARM_IP_TARGET": "3", **cni_settings()}


def test_given_eks_says_that_it_is_in_use_then_the_state_machine_tries_again(
    eks_api: EksApi, name: str, faults: LocalAws
) -> None:
    addon = installed(eks_api, name)
    faults.inject("eks", "UpdateAddon", error="ResourceInUseException", status=409)
    with pytest.raises(NotYet, match="is being updated by somebody else"):
        addon.change_environment(cni_settings(), ignored)


def test_given_a_role_of_its_own_when_changed_then_it_keeps_the_role(eks_api: EksApi, name: str) -> None:
    addon = installed(eks_api, name, serviceAccountRoleArn=eks_api.role)
    addon.change_environment(cni_settings(), ignored)
    assert (addon.describe() or {})["serviceAccountRoleArn"] == eks_api.role


def test_given_an_update_that_fails_then_the_error_has_ekss_reason(
    eks_api: EksApi, name: str, faults: LocalAws
) -> None:
    addon = installed(eks_api, name)
    started: list[str] = []
    with (
        faults.settings(addon_updates_fail=True),
        pytest.raises(RequestRefused, match="is Failed: ConfigurationConflict: Conflicts found"),
    ):
        addon.change_environment(cni_settings(), started.append)
    assert len(started) == 1
    assert addon.await_end(started[0])


def test_given_a_degraded_addon_then_its_variables_are_changed_all_the_same(
    eks_api: EksApi, name: str, faults: LocalAws
) -> None:
    addon = installed(eks_api, name)
    with faults.settings(addon_status="DEGRADED"):
        addon.change_environment(cni_settings(), ignored)
    assert environment_in(configuration(addon)) == cni_settings()


def test_given_an_update_that_eks_does_not_know_any_more_then_it_cannot_be_applied(eks_api: EksApi, name: str) -> None:
    assert installed(eks_api, name).await_end("gone") is None


def test_given_no_addon_any_more_then_the_error_says_so(eks_api: EksApi, name: str) -> None:
    with pytest.raises(RequestRefused, match="has no add-on vpc-cni any more"):
        CniAddon(eks_api.client, name, briefly).change_environment(cni_settings(), ignored)


# --- Configurations


@pytest.mark.parametrize("nothing", [None, "", " \n", "{}", "null", "# nothing yet\n"])
def test_given_no_configuration_then_it_is_empty(nothing: str | None) -> None:
    assert parse_configuration(nothing) == {}


@pytest.mark.parametrize("wrong", ["[1]", '"text"', "env: [a]", "env: [", "{'a'", "env: text"])
def test_given_what_is_no_mapping_then_it_is_refused(wrong: str) -> None:
    with pytest.raises(RequestRefused, match="configurationValues of add-on vpc-cni"):
        parse_configuration(wrong)


def test_given_yaml_with_a_date_then_it_stays_text_that_json_can_say() -> None:
    assert json.dumps(parse_configuration("podAnnotations: {since: 2026-03-01}")) == (
        '{"podAnnotations": {"since": "2026-03-01"}}'
    )


_TEXT = some.text(some.characters(min_codepoint=32, max_codepoint=126), max_size=8)
_DOCUMENTS = some.dictionaries(
    _TEXT.filter(lambda key: key != "env"),
    some.recursive(
        _TEXT | some.integers() | some.booleans(), lambda part: some.dictionaries(_TEXT, part), max_leaves=4
    ),
    max_size=4,
)
_ENV = some.dictionaries(_TEXT, _TEXT, max_size=4)


@given(rest=_DOCUMENTS, env=_ENV, ours=_ENV, as_yaml=some.booleans())
def test_what_was_set_and_removed_again_is_as_before_and_nothing_else_changes(
    rest: dict[str, Any], env: dict[str, str], ours: dict[str, str], as_yaml: bool
) -> None:
    before = {**rest, **({"env": env} if env else {})}
    read = parse_configuration(yaml.safe_dump(before) if as_yaml else json.dumps(before))
    assert read == before
    switched = with_environment(read, ours)
    assert {name: value for name, value in switched.items() if name != "env"} == rest
    assert environment_in(switched) == {**env, **ours}
    assert with_environment(switched, {name: env.get(name) for name in ours}) == before
