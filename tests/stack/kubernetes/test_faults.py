"""Faults of the embedded API server: what a caller of Kubernetes must be able to bear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.cluster.kube import ApiError, ApiUnreachable, KubeApi
from tests.stack.kubernetes.support import Cluster

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def api(cluster: Cluster) -> Iterator[KubeApi]:
    api = KubeApi(cluster.kubeconfig)
    if cluster.kind != "embedded":
        pytest.skip("a real API server has no faults on demand")
    yield api
    api.request("DELETE", "/_local/faults")


def inject(api: KubeApi, **fault: Any) -> None:
    """For the administrator unless another user is named: controllers create objects as well."""
    api.request("POST", "/_local/faults", body={"user": "admin", **fault})


def create(api: KubeApi, name: str) -> None:
    api.request("POST", MAPS, body={"metadata": {"name": name}})


def is_there(api: KubeApi, name: str) -> bool:
    return name in {item["metadata"]["name"] for item in api.get(MAPS)["items"]}


def test_given_a_fault_that_skips_then_the_call_after_that_is_refused_once_and_has_no_effect(api: KubeApi) -> None:
    inject(api, action="create configmaps", status=503, skip=1)
    create(api, "faults-1")
    with pytest.raises(ApiError) as refused:
        create(api, "faults-2")
    assert (refused.value.status, is_there(api, "faults-2")) == (503, False)
    create(api, "faults-2")
    assert is_there(api, "faults-2")


def test_given_a_lost_answer_then_the_call_took_effect(api: KubeApi) -> None:
    inject(api, action="create configmaps", when="after")
    with pytest.raises(ApiError) as lost:
        create(api, "faults-lost")
    assert (lost.value.status, is_there(api, "faults-lost")) == (500, True)


def test_given_a_cut_connection_then_there_is_no_answer_and_no_effect(api: KubeApi) -> None:
    inject(api, action="create configmaps", when="cut")
    with pytest.raises((ApiUnreachable, ValueError)):
        create(api, "faults-cut")
    assert not is_there(api, "faults-cut")


def test_given_a_fault_for_another_user_then_this_one_is_spared_and_calls_are_recorded(api: KubeApi) -> None:
    inject(api, user="somebody-else", action="create configmaps")
    api.request("DELETE", "/_local/calls")
    create(api, "faults-spared")
    calls = api.request("GET", "/_local/calls")["items"]
    assert {"user": "admin", "action": "create configmaps", "status": 201} in calls
