"""The errors that the state machines retry or catch by class name.

Retried are only the subclasses of `Transient`. The handlers' edge (`handler_edge`) gives those that are worth trying
again at once the one name `Transient`; each `Waiting` error is named in `statemachine/*.asl.json` where it can occur.
"""

from __future__ import annotations


class Transient(Exception):
    """Worth trying again unchanged."""


class Throttled(Transient):
    """AWS asks to slow down."""


class ServiceUnavailable(Transient):
    """AWS or Kubernetes did not answer, or answered that it cannot now."""


class Waiting(Transient):
    """Something is under way; each kind is waited for as long as it may take."""


class NotYet(Waiting):
    """What was asked for is under way: a CIDR associating, a rollout running, a subnet still held by an ENI."""


class PermissionDenied(Exception):
    """The function's role, or its Kubernetes group, lacks a permission."""


class QuotaReached(Exception):
    """An AWS quota is used up."""


class NotFound(Exception):
    """The thing asked for does not exist."""


class RequestRefused(Exception):
    """AWS or Kubernetes refuses the request as it is; trying again cannot help."""


class ClusterNotFound(NotFound):
    """EKS knows no cluster of this name in this region."""


class IncidentNotFound(NotFound):
    """The Incidents table has no such incident."""
