"""Errors of AWS, Kubernetes and the library, as one line with what to do about it."""

from __future__ import annotations

from botocore import exceptions as botocore

from ip_remediator.clients.kubernetes import api as kubernetes_api
from ip_remediator.common import errors
from ip_remediator_cli.errors import BadInput, CommandError

# The first that fits decides: subclasses stand before their bases.
_BAD_INPUT: dict[type[Exception], str] = {
    botocore.InvalidRegionError: "correct --region",
    errors.ClusterNotFound: "check --cluster and --region",
    errors.IncidentNotFound: "`ip-remediator incidents` lists them; check the id, --stack and --region",
}
_FAILED: dict[type[Exception], str] = {
    botocore.BotoCoreError: "check the AWS configuration, --profile and --region",
    kubernetes_api.KubernetesDenied: "give your IAM identity an access entry with the rights in onboarding/README.md",
    kubernetes_api.KubernetesUnreachable: "is the cluster's endpoint open to this machine (VPN, publicAccessCidrs)?",
    errors.PermissionDenied: "your IAM identity lacks this permission: see docs/cli.md",
    errors.Throttled: "try again in a moment",
    errors.ServiceUnavailable: "check --region and the network, then try again",
    errors.NotYet: "try again in a moment",
}


def explained(error: Exception) -> CommandError:
    """What to print for `error`."""
    if isinstance(error, botocore.NoRegionError):
        return BadInput("no AWS Region is set: give --region, or set AWS_REGION")
    if isinstance(error, botocore.NoCredentialsError):
        return CommandError(
            "no AWS credentials were found: run `aws configure` or `aws sso login`, or name a --profile"
        )
    if isinstance(error, botocore.ProfileNotFound):
        return BadInput(
            f"--profile: there is no AWS profile {error.kwargs['profile']!r}; see `aws configure list-profiles`"
        )
    for kind, remedy in _BAD_INPUT.items():
        if isinstance(error, kind):
            return BadInput(f"{error}: {remedy}")
    for kind, remedy in _FAILED.items():
        if isinstance(error, kind):
            return CommandError(f"{error}: {remedy}")
    if isinstance(error, errors.NotFound | errors.RequestRefused | errors.QuotaReached):
        return CommandError(str(error))
    return CommandError(f"unexpected {type(error).__name__}: {error}; run it again with --debug for a bug report")
