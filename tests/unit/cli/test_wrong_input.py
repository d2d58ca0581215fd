"""Messages about what people typed: they name the option, say what it may be, and are ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Run, one_error_line

# Words of pydantic, of ipaddress, of json and of argparse.
_OF_LIBRARIES = (
    "pydantic",
    "Value error",
    "should",
    "pattern",
    "octets",
    "host bits",
    "Expecting",
    "delimiter",
    "enum",
)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("start", "--cluster", "c", "--zone", "mars-1a"), "--zone: must be the name of a zone such as eu-west-1a"),
        (("start", "--cluster", "c", "--block", "banana"), "--block: must be an IPv4 CIDR such as 100.64.16.0/20"),
        (("start", "--cluster", "c", "--block", "100.64.0.0/8"), "--block: must be"),
        (("start", "--cluster", "c", "--block", "100.64.0.0/30"), "--block: must be a /16 to /28"),
        (("start", "--cluster", "a/b"), "--cluster: must be the name of an EKS cluster"),
        (("start", "--cluster", "c", "--reason", "x" * 301), "--reason: may have 300 characters at most"),
        (("plan", "--snapshot", "-", "--exclude", "banana"), "'banana' is no IPv4 CIDR; write one such as"),
        (("plan", "--snapshot", "-", "--pool", "10.0.0.1/16"), "'10.0.0.1/16' has bits behind its prefix"),
        (("plan", "--snapshot", "-", "--cause", "banana"), "--cause: there is no cause 'banana'; use "),
        (("statu",), "did you mean 'status'?"),
        (("start", "--cluster", "c", "--mode", "aprove"), "did you mean 'approve'?"),
        ((), "name a command, such as `ip-remediator status`"),
        (("--verison",), "unexpected '--verison': did you mean --version? (see `ip-remediator --help`)"),
        (("incidents", "--opne"), "unexpected '--opne': did you mean --open? (see `ip-remediator incidents --help`)"),
        (("status", "latest", "again"), "unexpected 'again' (see `ip-remediator status --help`)"),
        (("unlock", "--vpc", "shop"), "'shop' is no id of a VPC; write one such as vpc-"),
        (("close", "latest", "--reason", " "), "--reason: say in a few words why"),
        (("doctor", "--slack-url", "banana"), "'banana' is no URL; write one such as https://"),
        (("status", "--profile", "nobody"), "--profile: there is no AWS profile 'nobody'"),
    ],
)
def test_given_a_wrong_option_then_it_is_named_with_what_it_may_be(
    run: Run, shortage: dict[str, Any], arguments: tuple[str, ...], message: str
) -> None:
    ran = run(*arguments, stdin=shortage)
    line = one_error_line(ran)
    assert ran.status == 2
    assert message in line
    assert [word for word in _OF_LIBRARIES if word in line] == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("nodes", 0, "max_enis"), "three", "field nodes.0.max_enis: must be a whole number"),
        (("nodes",), {}, "field nodes: must be a list"),
        (("cluster",), 1, "field cluster: must be an object"),
        (("subnets", 0, "free"), -1, "field subnets.0.free: must be 0 or more"),
        (("subnets", 0, "cidr"), "10.0.0/24", "field subnets.0.cidr: '10.0.0/24' is no IPv4 CIDR"),
        (("subnets", 0, "cidr"), "10.0.0.4/24", "10.0.0.0/24 holds it"),
        (("cluster", "name"), None, "field cluster.name: must be a string"),
    ],
)
def test_given_a_wrong_field_of_a_snapshot_then_it_is_named_in_our_words(
    run: Run, shortage: dict[str, Any], path: tuple[Any, ...], value: Any, message: str
) -> None:
    place: Any = shortage
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    line = one_error_line(run("plan", "--snapshot", "-", stdin=shortage))
    assert message in line
    assert [word for word in _OF_LIBRARIES if word in line] == []


def test_given_a_snapshot_that_was_cut_off_then_its_line_is_named(run: Run) -> None:
    line = one_error_line(run("plan", "--snapshot", "-", stdin='{"cluster":\n {"name": "c"'))
    assert "is not JSON from line 2 column" in line
    assert [word for word in _OF_LIBRARIES if word in line] == []
