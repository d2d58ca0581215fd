"""The local copy of a resource survives expired versions, restarts and late events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from local.cluster.informer import Informer
from local.cluster.kube import PODS, ApiError, ApiUnreachable
from tests.support.waiting import eventually


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(version)}}


class ScriptedApi:
    """Answers lists and watches from scripts; each watch script is a list of events or an exception to end with."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[Any]]) -> None:
        self._lists = iter(lists)
        self._watches = iter(watches)
        self.last_version = ""

    def get(self, _path: str) -> dict[str, Any]:
        return {"items": next(self._lists), "metadata": {"resourceVersion": "1"}}

    def watch(self, _path: str, version: str, _timeout: int) -> Iterator[dict[str, Any]]:
        self.last_version = version
        for step in next(self._watches, [threading.Event()]):
            if isinstance(step, threading.Event):
                step.wait(5)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step


def run(api: ScriptedApi, until: Callable[[Informer], bool]) -> Informer:
    informer = Informer(api, PODS)  # type: ignore[arg-type]
    stop = threading.Event()
    informer.start(stop)
    eventually("the informer sees it", lambda: until(informer), seconds=5)
    stop.set()
    return informer


def test_given_an_expired_version_when_watching_then_it_lists_again_and_drops_what_is_gone() -> None:
    api = ScriptedApi([[pod("a", 1), pod("b", 1)], [pod("b", 1), pod("c", 7)]], [[ApiError(410, "Expired", "too old")]])
    informer = run(api, lambda cache: cache.get("default/c") is not None)
    assert {item["metadata"]["name"] for item in informer.all()} == {"b", "c"}


def test_given_a_lost_connection_when_watching_then_it_lists_again() -> None:
    api = ScriptedApi([[pod("a", 1)], [pod("a", 2)]], [[ApiUnreachable("reset")]])
    run(api, lambda cache: (cache.get("default/a") or pod("", 0))["metadata"]["resourceVersion"] == "2")


def test_given_a_bookmark_when_the_watch_ends_then_the_next_one_starts_there() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "99"}}}
    api = ScriptedApi([[]], [[bookmark]])
    run(api, lambda _cache: api.last_version == "99")


def test_given_an_answer_of_our_own_write_when_an_older_event_arrives_then_the_newer_stays() -> None:
    informer = Informer(None, PODS)  # type: ignore[arg-type]
    informer.observe(pod("a", 10))
    informer.observe(pod("a", 9))
    result = informer.get("default/a")
    assert result is not None
    assert result["metadata"]["resourceVersion"] == "10"
