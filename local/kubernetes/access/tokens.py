"""Tokens of service accounts: JSON web tokens signed with the server's key, as TokenRequest issues them."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from local.kubernetes import errors
from local.kubernetes.kinds.resources import SERVICE_ACCOUNTS
from local.kubernetes.options import AUTHENTICATED, User

if TYPE_CHECKING:
    from pathlib import Path

    from local.kubernetes.store import Store

ISSUER = "https://kubernetes.default.svc"
_ALGORITHM = "RS256"
_DEFAULT_SECONDS = 3600
_SHORTEST_SECONDS = 600
_CLAIM = "kubernetes.io"


@dataclass(frozen=True)
class ServiceAccountTokens:
    """Issues and verifies tokens. `key` and `public_key` are PEM files of an RSA key."""

    store: Store
    key: Path
    public_key: Path

    def request(self, namespace: str, name: str, body: Any) -> dict[str, Any]:
        """Answer a TokenRequest for one account.

        Raises ApiError 404 when the account does not exist, 422 for a lifetime of less than ten minutes.
        """
        account = self.store.get(SERVICE_ACCOUNTS, namespace, name).obj
        spec = (body.get("spec") or {}) if isinstance(body, dict) else {}
        seconds = int(spec.get("expirationSeconds") or _DEFAULT_SECONDS)
        if seconds < _SHORTEST_SECONDS:
            rule = "may not specify a duration less than 10 minutes"
            problem = errors.invalid_value("spec.expirationSeconds", seconds, rule)
            raise errors.invalid("TokenRequest", "authentication.k8s.io", "", [problem])
        audiences = spec.get("audiences") or [ISSUER]
        now = dt.datetime.now(dt.UTC)
        expires = now + dt.timedelta(seconds=seconds)
        metadata = account["metadata"]
        claims = {
            "iss": ISSUER,
            "aud": audiences,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": expires,
            _CLAIM: {"namespace": namespace, "serviceaccount": {"name": name, "uid": metadata["uid"]}},
        }
        token = jwt.encode(claims, self.key.read_text(), _ALGORITHM)
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": None},
            "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
        }

    def user_of(self, token: str, audiences: tuple[str, ...] = (ISSUER,)) -> User | None:
        """The account behind a token for one of `audiences`; None for other, expired and orphaned tokens."""
        try:
            claims = jwt.decode(
                token, self.public_key.read_text(), [_ALGORITHM], audience=list(audiences), issuer=ISSUER
            )
            namespace, account = claims[_CLAIM]["namespace"], claims[_CLAIM]["serviceaccount"]
            name, uid = account["name"], account["uid"]
        except (jwt.InvalidTokenError, KeyError, TypeError):
            return None
        account = self.store.find(SERVICE_ACCOUNTS, namespace, name)
        if account is None or account.obj["metadata"]["uid"] != uid:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(f"system:serviceaccount:{namespace}:{name}", uid, groups)
