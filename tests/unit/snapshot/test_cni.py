"""The CNI's version and settings are read as the CNI reads them."""

from __future__ import annotations

import pytest

from ip_remediator.snapshot.model_cluster import Cni


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("v1.23", (1, 23, 0)),
        ("1.23.1-eksbuild.1", (1, 23, 1)),
        ("v1.23.1", (1, 23, 1)),
        ("v1.18.0-eksbuild.1", (1, 18, 0)),
        (None, None),
        ("", None),
        ("latest", None),
        ("sha256:0a1", None),
    ],
)
def test_given_a_version_in_any_form_then_there_is_one_release(text: str | None, release: tuple[int, ...]) -> None:
    assert Cni(version=text).release == release


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_given_what_go_takes_for_true_then_the_flag_is_on(text: str) -> None:
    assert Cni(env={"ENABLE_POD_ENI": text}).flag("ENABLE_POD_ENI")


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_given_what_go_takes_for_false_then_the_flag_is_off(text: str) -> None:
    assert not Cni(env={"ENABLE_SUBNET_DISCOVERY": text}).flag("ENABLE_SUBNET_DISCOVERY")


@pytest.mark.parametrize("text", ["tRuE", "yes", "on", " true", "", None])
def test_given_what_go_does_not_know_then_the_default_of_the_variable_holds(text: str | None) -> None:
    names = ("ENABLE_SUBNET_DISCOVERY", "AWS_VPC_CNI_NODE_PORT_SUPPORT", "ENABLE_POD_ENI", "ENABLE_IMDS_ONLY_MODE")
    cni = Cni(env={} if text is None else dict.fromkeys(names, text))
    assert [cni.flag(name) for name in names] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("+3", 3), ("007", 7), ("-1", 9), ("", 9), ("1_0", 9), (" 2", 9), ("٣", 9)]
)
def test_given_a_number_then_it_is_read_as_go_reads_it(text: str, number: int) -> None:
    assert Cni(env={"MAX_ENI": text}).number("MAX_ENI", 9) == number


@pytest.mark.parametrize("name", ["DISABLE_NETWORK_RESOURCE_PROVISIONING", "ENABLE_IMDS_ONLY_MODE"])
def test_given_a_setting_that_stops_provisioning_then_it_is_named(name: str) -> None:
    assert Cni(env={name: "true"}).not_provisioning == name
    assert Cni(env={name: "false"}).not_provisioning is None


@pytest.mark.parametrize(
    ("version", "discovers", "passes"),
    [("v1.17.1", False, False), ("v1.18.2", True, False), ("v1.18.3", True, True), (None, True, True)],
)
def test_given_a_version_then_what_it_does_with_full_subnets_is_known(
    version: str | None, discovers: bool, passes: bool
) -> None:
    cni = Cni(version=version)
    assert (cni.subnet_discovery, cni.passes_full_interfaces) == (discovers, passes)
