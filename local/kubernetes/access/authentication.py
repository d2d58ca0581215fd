"""Who is asking: bearer tokens of a static file, of service accounts, and of a TokenReview webhook, in this order."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.options import AUTHENTICATED, WEBHOOK_CACHE_SECONDS, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.kubernetes.access.tokens import ServiceAccountTokens

ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
WEBHOOK_TIMEOUT_SECONDS = 10.0
_CACHE_LIMIT = 1000
# Loopback: a proxy from the environment must not be used.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Authenticator:
    """`users`: by token; `webhook`: URL that answers TokenReviews; `accounts`: set once the store exists."""

    def __init__(self, users: Mapping[str, User], webhook: str | None) -> None:
        self.accounts: ServiceAccountTokens | None = None
        self._users = users
        self._webhook = webhook
        self._answers: dict[str, tuple[float, User | None]] = {}

    async def authenticate(self, authorization: str | None) -> User:
        """The user of an Authorization header; anonymous without one. Raises ApiError 401 for an unknown token."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return ANONYMOUS
        user = self._users.get(token) or (self.accounts.user_of(token) if self.accounts else None)
        user = user or await self._ask_webhook(token)
        if user is None:
            raise errors.unauthorized()
        if AUTHENTICATED in user.groups:
            return user
        return User(user.name, user.uid, (*user.groups, AUTHENTICATED))

    async def _ask_webhook(self, token: str) -> User | None:
        if self._webhook is None:
            return None
        now = time.monotonic()
        expires, user = self._answers.get(token, (0.0, None))
        if now < expires:
            return user
        try:
            user = await asyncio.to_thread(_review, self._webhook, token)
        except (urllib.error.URLError, OSError, ValueError):
            return None  # as the real server: a webhook that does not answer authenticates nobody
        if len(self._answers) >= _CACHE_LIMIT:
            self._answers.clear()
        self._answers[token] = (now + WEBHOOK_CACHE_SECONDS, user)
        return user


def _review(url: str, token: str) -> User | None:
    """Ask an authentication.k8s.io/v1 TokenReview webhook."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    request = urllib.request.Request(
        url, json.dumps(review).encode(), {"Content-Type": "application/json", "Accept": "application/json"}
    )
    with _DIRECT.open(request, timeout=WEBHOOK_TIMEOUT_SECONDS) as response:
        status: dict[str, Any] = json.load(response).get("status") or {}
    if not status.get("authenticated"):
        return None
    user = status.get("user") or {}
    return User(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()))
