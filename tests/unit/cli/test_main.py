"""The entry point: what it imports, how errors end, which status they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as botocore

from ip_remediator.clients.kubernetes import api as kubernetes_api
from ip_remediator.common import errors
from ip_remediator_cli.commands import diagnose
from ip_remediator_cli.explain import explained
from tests.unit.cli.conftest import Run, one_error_line


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS configuration at all, wherever the tests run."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize("command", [[], ["frobnicate"], ["plan"], ["status", "--cluster", "a", "--incident", "b"]])
def test_given_a_wrong_command_line_then_one_line_says_so(run: Run, command: list[str]) -> None:
    ran = run(*command)
    assert ran.status == 2
    assert "--help" in one_error_line(ran)


def test_given_help_and_a_command_then_it_is_the_commands_own_help(run: Run) -> None:
    asked, own = run("help", "plan"), run("plan", "--help")
    assert asked.status == own.status == 0
    assert asked.out == own.out
    assert run("help").out == run("--help").out


def test_given_help_then_every_command_and_exit_status_is_listed(run: Run) -> None:
    ran = run("--help")
    assert ran.status == 0
    for word in (
        "snapshot",
        "diagnose",
        "plan",
        "signals",
        "start",
        "status",
        "rollback",
        "replace",
        "onboard",
        "offboard",
    ):
        assert word in ran.out
    assert "4 not curable" in ran.out


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["status"], 2, "no AWS Region is set: give --region, or set AWS_REGION"),
        (["status", "--region", "eu-west-1"], 1, "no AWS credentials were found: run `aws configure`"),
        (["--profile", "nope", "status"], 2, "--profile"),
        (["snapshot", "--cluster", "c", "--profile", "nope"], 2, "--profile"),
    ],
)
def test_given_no_aws_configuration_then_the_remedy_is_named(
    run: Run, arguments: list[str], status: int, named: str
) -> None:
    ran = run(*arguments)
    assert ran.status == status
    assert named in one_error_line(ran)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_given_the_region_in_the_environment_then_it_counts_as_for_the_aws_cli(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "eu-west-1")
    assert "no AWS credentials were found" in one_error_line(run("status"))


def test_given_a_bug_then_one_line_offers_the_traceback_and_debug_shows_it(
    run: Run, shortage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(diagnose, "diagnose", broken)
    ran = run("diagnose", "--snapshot", "-", stdin=shortage)
    assert ran.status == 1
    assert one_error_line(ran) == "unexpected ZeroDivisionError: by zero; run it again with --debug for a bug report"
    with pytest.raises(ZeroDivisionError):
        run("diagnose", "--snapshot", "-", "--debug", stdin=shortage)


@pytest.mark.parametrize(
    ("error", "status", "remedy"),
    [
        (errors.ClusterNotFound("no cluster x"), 2, "--cluster"),
        (errors.IncidentNotFound("no incident x"), 2, "`ip-remediator incidents` lists them"),
        (errors.NotFound("no VPC x"), 1, "no VPC x"),
        (errors.PermissionDenied("DescribeStacks: AccessDenied"), 1, "permission"),
        (kubernetes_api.KubernetesDenied("GET /api/v1/nodes: 403"), 1, "access entry"),
        (kubernetes_api.KubernetesUnreachable("no answer"), 1, "publicAccessCidrs"),
        (errors.Throttled("slow down"), 1, "try again"),
        (errors.RequestRefused("ExpiredToken: the token has expired"), 1, "ExpiredToken"),
        (botocore.NoRegionError(), 2, "--region"),
        (
            botocore.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            1,
            "the AWS credentials are incomplete: AWS_SECRET_ACCESS_KEY is missing: check the AWS configuration",
        ),
        (botocore.InvalidRegionError(region_name="eu west"), 2, "--region: 'eu west' is not the name of an AWS Region"),
        (botocore.ConfigParseError(path="/x"), 1, "/x is not an AWS configuration file"),
        (botocore.SSOTokenLoadError(error_msg="Token for a does not exist"), 1, "run `aws sso login`"),
        (botocore.CredentialRetrievalError(provider="p", error_msg=""), 1, "p gave no AWS credentials"),
        (botocore.InvalidConfigError(error_msg="The source_profile"), 1, "cannot be used (InvalidConfigError)"),
        (botocore.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListX"), 1, "ListX: AccessDenied"),
    ],
)
def test_given_an_error_of_aws_or_kubernetes_then_its_status_and_remedy_fit(
    error: Exception, status: int, remedy: str
) -> None:
    reported = explained(error)
    assert reported.status == status
    assert remedy in str(reported)
