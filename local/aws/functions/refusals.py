"""What Invoke answers when it does not run a function. Codes, statuses and texts: API_Invoke.html, botocore's model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """The answer of Invoke to a call that it does not carry out."""

    code: str
    message: str
    status: int
    fields: tuple[tuple[str, str], ...] = (("Type", "User"),)


def rate_exceeded(reason: str) -> Refusal:
    """The refusal of a throttled call; ``reason`` is a value of ThrottleReason in botocore's model."""
    return Refusal("TooManyRequestsException", "Rate Exceeded.", 429, (("Type", "User"), ("Reason", reason)))


NOT_READY = Refusal(
    "ResourceNotReadyException",
    "The function is inactive and its VPC connection is no longer available. Wait for the VPC connection to "
    "reestablish and try again.",
    502,
)
PENDING = Refusal(
    "ResourceConflictException",
    "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    409,
)
NO_INTERFACE = Refusal(
    "ENINotReadyException",
    "Lambda couldn't invoke the Lambda function because the elastic network interface (ENI) configured for its VPC "
    "connection isn't ready yet. Wait a few moments and try the request again.",
    502,
)
NO_ADDRESS = Refusal(
    "SubnetIPAddressLimitReachedException",
    "Lambda couldn't set up VPC access for the Lambda function because one or more configured subnets has no "
    "available IP addresses.",
    502,
)
FUNCTION_FULL = rate_exceeded("ReservedFunctionConcurrentInvocationLimitExceeded")
ACCOUNT_FULL = rate_exceeded("ConcurrentInvocationLimitExceeded")
