"""The errors that the state machines retry or catch by class name.

Only subclasses of `Transient` are retried. `handler_edge` reports those that are worth an immediate retry under the one
name `Transient`; each `Waiting` error is named in `statemachine/*.asl.json` where it can occur.
"""

from __future__ import annotations


class Transient(Exception):
    """The same call may succeed when it is repeated."""


class Throttled(Transient):
    """AWS throttles the calls."""


class ServiceUnavailable(Transient):
    """AWS or Kubernetes did not answer, or answered with a server error."""


class Waiting(Transient):
    """Something is in progress; the state machines wait for each kind as long as it may take."""


class NotYet(Waiting):
    """The requested change is in progress: a CIDR is associating, a rollout is running, an ENI still uses a subnet."""


class PermissionDenied(Exception):
    """The function's role, or its Kubernetes group, lacks a permission."""


class QuotaReached(Exception):
    """An AWS quota is used up."""


class NotFound(Exception):
    """The thing asked for does not exist."""


class RequestRefused(Exception):
    """AWS or Kubernetes refuses the request; repeating it cannot help."""


class ClusterNotFound(NotFound):
    """EKS knows no cluster of this name in this region."""


class IncidentNotFound(NotFound):
    """The Incidents table has no such incident."""
