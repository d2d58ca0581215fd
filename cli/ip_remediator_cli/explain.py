"""Errors of AWS, Kubernetes and the library, as one line with what to do about it."""

from __future__ import annotations

from botocore import exceptions as botocore
from urllib3 import exceptions as urllib3

from ip_remediator.clients.aws.errors import classify
from ip_remediator.clients.kubernetes import api as kubernetes_api
from ip_remediator.clients.unreachable import why_unreachable
from ip_remediator.common import errors
from ip_remediator_cli.errors import BadInput, CommandError

# The first that fits decides: subclasses stand before their bases.
_BAD_INPUT: dict[type[Exception], str] = {
    botocore.NoRegionError: "give --region, or set AWS_REGION",
    botocore.ProfileNotFound: "see `aws configure list-profiles`",
    botocore.InvalidRegionError: "name one such as eu-west-1",
    errors.ClusterNotFound: "check --cluster and --region",
    errors.IncidentNotFound: "`ip-remediator incidents` lists them; check the id, --stack and --region",
}
_FAILED: dict[type[Exception], str] = {
    botocore.SSOError: "run `aws sso login` with the same --profile",
    botocore.TokenRetrievalError: "run `aws sso login` with the same --profile",
    botocore.NoCredentialsError: "run `aws configure` or `aws sso login`, or name a --profile",
    botocore.BotoCoreError: "check the AWS configuration and --profile; --debug shows more",
    kubernetes_api.KubernetesDenied: "give your IAM identity an access entry with the rights in onboarding/README.md",
    kubernetes_api.KubernetesUnreachable: "is the cluster's endpoint open to this machine (VPN, publicAccessCidrs)?",
    errors.PermissionDenied: "your IAM identity lacks this permission: see docs/cli.md",
    errors.Throttled: "try again in a moment",
    errors.ServiceUnavailable: "check --region and the network, then try again",
    errors.NotYet: "try again in a moment",
    urllib3.HTTPError: "check the address and the network",
    OSError: "free some space, or name another file",
}


_CONFIGURATION: dict[type[Exception], str] = {
    botocore.NoRegionError: "no AWS Region is set",
    botocore.NoCredentialsError: "no AWS credentials were found",
    botocore.PartialCredentialsError: "the AWS credentials are incomplete: {cred_var} is missing",
    botocore.ProfileNotFound: "--profile: there is no AWS profile {profile!r}",
    botocore.InvalidRegionError: "--region: {region_name!r} is not the name of an AWS Region",
    botocore.ConfigParseError: "{path} is not an AWS configuration file",
    botocore.ConfigNotFound: "there is no AWS configuration file {path}",
    botocore.SSOError: "the sign-in to AWS has ended, or there was none",
    botocore.TokenRetrievalError: "the sign-in to AWS has ended, or there was none",
    botocore.CredentialRetrievalError: "{provider} gave no AWS credentials",
}


def explained(error: Exception) -> CommandError:
    """What to print for `error`."""
    if isinstance(error, botocore.ClientError):
        error = classify(error, error.operation_name)
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
    if isinstance(error, botocore.BotoCoreError):
        return _of_configuration(error)
    if isinstance(error, urllib3.HTTPError):
        host = error.pool.host if isinstance(error, urllib3.PoolError) else ""
        return f"{host or 'the other side'} cannot be reached, {why_unreachable(error)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _of_configuration(error: botocore.BotoCoreError) -> str:
    """botocore raises these before it calls AWS; what AWS answers is classified by `clients.aws.errors`."""
    details = error.kwargs
    for kind, text in _CONFIGURATION.items():
        if isinstance(error, kind):
            return text.format_map(details)
    return f"the AWS configuration cannot be used ({type(error).__name__})"
