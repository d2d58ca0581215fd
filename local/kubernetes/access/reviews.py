"""Questions about access that are asked by creating an object: who is this, and what may they do.

`kubectl auth can-i`, `auth can-i --list` and `auth whoami` ask about the caller. With TokenReview and
SubjectAccessReview services ask about others (kube-rbac-proxy, metrics servers, webhooks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.access.authorization import Attributes
from local.kubernetes.access.tokens import ISSUER
from local.kubernetes.errors import ApiError
from local.kubernetes.options import User

if TYPE_CHECKING:
    from local.kubernetes.access.authentication import Authenticator
    from local.kubernetes.access.authorization import Authorizer

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
# (group, version, plural) -> (kind, namespaced); virtual resources that can only be created.
KINDS = {
    (AUTHORIZATION, "v1", "selfsubjectaccessreviews"): ("SelfSubjectAccessReview", False),
    (AUTHORIZATION, "v1", "selfsubjectrulesreviews"): ("SelfSubjectRulesReview", False),
    (AUTHORIZATION, "v1", "subjectaccessreviews"): ("SubjectAccessReview", False),
    (AUTHORIZATION, "v1", "localsubjectaccessreviews"): ("LocalSubjectAccessReview", True),
    (AUTHENTICATION, "v1", "selfsubjectreviews"): ("SelfSubjectReview", False),
    (AUTHENTICATION, "v1", "tokenreviews"): ("TokenReview", False),
}
_AUTHENTICATION_KINDS = ("SelfSubjectReview", "TokenReview")


class Reviews:
    """Answers TokenReviews, SubjectAccessReviews and the self reviews; they are not stored."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def answer(self, kind: str, body: Any, user: User) -> dict[str, Any]:
        """The review with its status.

        Raises ApiError 400 for a TokenReview without token, 422 for a SubjectAccessReview of nobody or about nothing.
        """
        spec: dict[str, Any] = (body.get("spec") if isinstance(body, dict) else None) or {}
        group = AUTHENTICATION if kind in _AUTHENTICATION_KINDS else AUTHORIZATION
        head = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}}
        return {**head, "spec": spec, "status": await self._status(kind, spec, user)}

    async def _status(self, kind: str, spec: dict[str, Any], user: User) -> dict[str, Any]:
        if kind == "SelfSubjectReview":
            return {"userInfo": _user_info(user)}
        if kind == "TokenReview":
            return await self._token(str(spec.get("token") or ""))
        if kind == "SelfSubjectRulesReview":
            return self._rules(user, spec.get("namespace", ""))
        if kind != "SelfSubjectAccessReview":
            user = _subject(kind, spec)
        return {"allowed": self._authorizer.allows(user, _attributes(spec))}

    async def _token(self, token: str) -> dict[str, Any]:
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        try:
            user = await self._authenticator.authenticate(f"Bearer {token}")
        except ApiError:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _user_info(user), "audiences": [ISSUER]}

    def _rules(self, user: User, namespace: str) -> dict[str, Any]:
        rules = list(self._authorizer.rules(user, namespace))
        return {
            "resourceRules": [rule for rule in rules if "resources" in rule],
            "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
            "incomplete": False,
        }


def _user_info(user: User) -> dict[str, Any]:
    uid = {"uid": user.uid} if user.uid else {}
    return {"username": user.name, **uid, "groups": list(user.groups)}


def _subject(kind: str, spec: dict[str, Any]) -> User:
    problems = []
    if not spec.get("user") and not spec.get("groups"):
        problems.append(errors.invalid_value("spec.user", "", "at least one of user or group must be specified"))
    if not spec.get("resourceAttributes") and not spec.get("nonResourceAttributes"):
        rule = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        problems.append(errors.invalid_value("spec.resourceAttributes", None, rule))
    if problems:
        raise errors.invalid(kind, AUTHORIZATION, "", problems)
    return User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()))


def _attributes(spec: dict[str, Any]) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    subresource = asked.get("subresource")
    return Attributes(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", "") + (f"/{subresource}" if subresource else ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )
