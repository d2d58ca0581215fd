"""Properties of the embedded server's pure parts that no single request shows."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.kubernetes import store
from local.kubernetes.errors import ApiError
from local.kubernetes.kinds import resources
from local.kubernetes.reads import columns, tables
from local.kubernetes.writes import ownership, patches
from local.kubernetes.writes.apply import apply
from local.kubernetes.writes.ownership import Entry
from local.kubernetes.writes.strategic_merge import strategic_merge

NAMES = st.sampled_from(["a", "b", "c"])
VARIABLES = st.dictionaries(NAMES, st.sampled_from(["1", "2"]), min_size=1, max_size=3)
CONTAINERS = st.dictionaries(NAMES, VARIABLES, min_size=1, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("xyz", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def configuration(containers):
    """An apply configuration of a DaemonSet's containers with their environment."""
    items = [
        {"name": name, "env": [{"name": key, "value": value} for key, value in sorted(variables.items())]}
        for name, variables in sorted(containers.items())
    ]
    return {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": items}}}}


def manager(name):
    return Entry(name, "Apply", "apps/v1", time="2026-01-01T00:00:00Z")


def applied(live, body, name, *, force=True):
    merged, managed = apply(live, body, resources.DAEMONSETS, manager(name), force=force)
    merged.setdefault("metadata", {})["managedFields"] = managed
    return merged


def values(obj):
    return ownership.field_values(obj, resources.DAEMONSETS)


@given(CONTAINERS, CONTAINERS)
def test_what_a_manager_declared_last_is_what_stands(first, second):
    live = applied(applied(None, configuration(first), "m"), configuration(second), "m")

    assert values(live) == values(configuration(second))


@given(CONTAINERS)
def test_applying_twice_is_applying_once(containers):
    once = applied(None, configuration(containers), "m")

    assert applied(once, configuration(containers), "m") == once


@given(CONTAINERS, CONTAINERS)
def test_a_forced_apply_stands_and_the_rest_of_the_other_manager_stays(first, second):
    before = applied(None, configuration(first), "one")

    after = applied(before, configuration(second), "two")

    declared = values(configuration(second))
    assert declared.items() <= values(after).items()
    kept = {path: value for path, value in values(before).items() if path not in declared}
    assert kept.items() <= values(after).items()


@given(CONTAINERS, CONTAINERS)
def test_an_unforced_apply_conflicts_exactly_when_a_shared_value_differs(first, second):
    before = applied(None, configuration(first), "one")
    shared = values(before).keys() & values(configuration(second)).keys()
    differs = any(values(before)[path] != values(configuration(second))[path] for path in shared)

    with pytest.raises(ApiError) if differs else contextlib.nullcontext() as caught:
        applied(before, configuration(second), "two", force=False)
    if caught is not None:
        assert caught.value.code == 409


@given(CONTAINERS)
def test_managed_fields_survive_their_encoding(containers):
    live = applied(None, configuration(containers), "m")

    (entry,) = ownership.entries(live)

    assert entry.paths == values(configuration(containers)).keys()
    assert entry.to_json() == live["metadata"]["managedFields"][0]


@given(JSON, JSON)
def test_a_merge_patch_is_idempotent_and_leaves_its_input_alone(document, patch):
    before = repr(document)

    once = patches.merge_patch(document, patch)

    assert patches.merge_patch(once, patch) == once
    assert repr(document) == before


@given(JSON, JSON)
def test_a_json_patch_that_replaces_the_root_yields_the_value(document, value):
    assert patches.json_patch(document, [{"op": "replace", "path": "", "value": value}]) == value


@given(CONTAINERS, CONTAINERS)
def test_a_strategic_patch_sets_what_it_names_and_keeps_the_rest(first, second):
    merged = strategic_merge(configuration(first), configuration(second), "apps/v1.DaemonSet")

    named, before = values(configuration(second)), values(configuration(first))
    kept = {path: value for path, value in before.items() if path not in named}
    assert {**kept, **named} == values(merged)


def test_the_event_log_forgets_and_says_so():
    async def scenario():
        data = store.Store()
        first = data.version
        body = {"metadata": {"name": "a"}}
        for _ in range(2 * store.LOG_LIMIT + 1):
            data.put(resources.NODES, body)
        log = data.log(resources.NODES)
        with pytest.raises(ApiError) as caught:
            log.since(first)
        return caught.value, len(log.since(data.version - 10))

    error, recent = asyncio.run(scenario())

    assert (error.code, error.reason) == (410, "Expired")
    assert error.message.startswith("too old resource version: ")
    assert recent == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (135, "2m15s"),
        (3000, "50m"),
        (9000, "150m"),
        (12000, "3h20m"),
        (86400, "24h"),
        (200000, "2d7h"),
        (700000, "8d"),
        (70000000, "2y80d"),
    ],
)
def test_ages_read_as_kubectl_prints_them(seconds, text):
    assert columns.duration(seconds) == text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".spec.subnet", "s-1"),
        (".spec.groups[1]", "b"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".spec.missing.deeper", None),
    ],
)
def test_printer_columns_follow_their_json_path(path, value):
    obj = {
        "spec": {"subnet": "s-1", "groups": ["a", "b"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }

    assert tables.json_path_value(obj, path) == value
