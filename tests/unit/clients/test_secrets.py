"""Slack's secret is replaced without a deployment."""

from __future__ import annotations

import pytest

from ip_remediator.clients.aws.secrets import KEPT_SECONDS, CachedSlackSecret, SecretUnusable, SlackSecret
from ip_remediator.common.errors import Throttled


class Store:
    """Where the secret lies; `error` is raised instead while it is set."""

    def __init__(self) -> None:
        self.secret = SlackSecret("xoxb-1", "signing-1")
        self.error: Exception | None = None
        self.seconds = 0.0
        self.reads = 0

    def read(self) -> SlackSecret:
        self.reads += 1
        if self.error:
            raise self.error
        return self.secret

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def store() -> Store:
    return Store()


def test_given_a_secret_that_was_replaced_when_some_time_went_by_then_the_new_one_is_used(store: Store) -> None:
    cached = CachedSlackSecret(store.read, store.now)
    assert cached.get().bot_token == "xoxb-1"
    store.secret = SlackSecret("xoxb-2", "signing-2")

    assert cached.get().bot_token == "xoxb-1"
    assert store.reads == 1
    store.seconds = KEPT_SECONDS + 1

    assert cached.get() == SlackSecret("xoxb-2", "signing-2")


def test_given_aws_that_does_not_answer_then_the_known_secret_is_used_and_an_unknown_one_is_an_error(
    store: Store,
) -> None:
    cached = CachedSlackSecret(store.read, store.now)
    store.error = Throttled("GetParameter: ThrottlingException")
    with pytest.raises(Throttled):
        cached.get()
    store.error = None
    cached.get()
    store.error, store.seconds = Throttled("GetParameter: ThrottlingException"), KEPT_SECONDS + 1

    assert cached.get().bot_token == "xoxb-1"


def test_given_a_secret_that_became_unusable_then_it_is_said(store: Store) -> None:
    cached = CachedSlackSecret(store.read, store.now)
    cached.get()
    store.error, store.seconds = SecretUnusable("the parameter must hold ..."), KEPT_SECONDS + 1

    with pytest.raises(SecretUnusable):
        cached.get()
