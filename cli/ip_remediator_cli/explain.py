"""Errors of AWS, Kubernetes and the library, as one line with what to do about it."""

from __future__ import annotations

from botocore import exceptions as botocore
from urllib3 import exceptions as urllib3

from ip_remediator.clients.kubernetes import api as kubernetes_api
from ip_remediator.common import errors
from ip_remediator_cli.errors import BadInput, CommandError

# The first that fits decides: subclasses stand before their bases.
_BAD_INPUT: dict[type[Exception], str] = {
    botocore.NoRegionError: "give --region, or set AWS_REGION",
    botocore.ProfileNotFound: "see `aws configure list-profiles`",
    botocore.InvalidRegionError: "correct --region",
    errors.ClusterNotFound: "check --cluster and --region",
    errors.IncidentNotFound: "`ip-remediator incidents` lists them; check the id, --stack and --region",
}
_FAILED: dict[type[Exception], str] = {
    botocore.NoCredentialsError: "run `aws configure` or `aws sso login`, or name a --profile",
    botocore.BotoCoreError: "check the AWS configuration, --profile and --region",
    kubernetes_api.KubernetesDenied: "give your IAM identity an access entry with the rights in onboarding/README.md",
    kubernetes_api.KubernetesUnreachable: "is the cluster's endpoint open to this machine (VPN, publicAccessCidrs)?",
    errors.PermissionDenied: "your IAM identity lacks this permission: see docs/cli.md",
    errors.Throttled: "try again in a moment",
    errors.ServiceUnavailable: "check --region and the network, then try again",
    errors.NotYet: "try again in a moment",
    urllib3.HTTPError: "check the address and the network",
    OSError: "free some space, or name another file",
}


# Why a host does not answer. The first that fits decides.
_UNREACHABLE: dict[type[Exception], str] = {
    urllib3.NameResolutionError: "its name is not known here",
    urllib3.TimeoutError: "it did not answer in time",
    urllib3.SSLError: "its certificate is not trusted",
    urllib3.NewConnectionError: "it refuses connections, or there is no route to it",
}


def explained(error: Exception) -> CommandError:
    """What to print for `error`."""
    for kind, remedy in _BAD_INPUT.items():
        if isinstance(error, kind):
            return BadInput(f"{_in_words(error)}: {remedy}")
    for kind, remedy in _FAILED.items():
        if isinstance(error, kind):
            return CommandError(f"{_in_words(error)}: {remedy}")
    if isinstance(error, errors.NotFound | errors.RequestRefused | errors.QuotaReached):
        return CommandError(str(error))
    return CommandError(f"unexpected {type(error).__name__}: {error}; run it again with --debug for a bug report")


def _in_words(error: Exception) -> str:
    """What went wrong, in our words where a library's would name its own classes or nothing that people typed."""
    if isinstance(error, botocore.NoRegionError):
        return "no AWS Region is set"
    if isinstance(error, botocore.NoCredentialsError):
        return "no AWS credentials were found"
    if isinstance(error, botocore.ProfileNotFound):
        return f"--profile: there is no AWS profile {error.kwargs['profile']!r}"
    if isinstance(error, urllib3.HTTPError):
        return _unreachable(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _unreachable(error: urllib3.HTTPError) -> str:
    """Which host did not answer, and why, without urllib3's own words."""
    cause = error.reason if isinstance(error, urllib3.MaxRetryError) else error
    host = error.pool.host if isinstance(error, urllib3.PoolError) else ""
    why = next((words for kind, words in _UNREACHABLE.items() if isinstance(cause, kind)), "no connection came about")
    return f"{host or 'the other side'} cannot be reached, {why}"
