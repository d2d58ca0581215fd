"""The errors that the state machines retry or catch by class name.

Retried are only the subclasses of `Transient`; each is listed by name in `statemachine/*.asl.json`, because Step
Functions knows no inheritance.
"""

from __future__ import annotations


class Transient(Exception):
    """Worth trying again unchanged."""


class Throttled(Transient):
    """AWS asks to slow down."""


class ServiceUnavailable(Transient):
    """AWS or Kubernetes did not answer, or answered that it cannot now."""


class NotYet(Transient):
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
