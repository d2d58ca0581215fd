"""What clusters and people call things is data: in paths, selectors, log lines, metrics and state machines.

Slack's markup is in tests/unit/notifications/test_messages_limits.py. No CSV is written anywhere.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.clients.kubernetes.addressing import field_equals, namespaced, object_path
from ip_remediator.common.errors import NotFound
from ip_remediator.observability import measure
from local.kubernetes.kinds.resources import PODS
from local.kubernetes.reads import selectors

FOREIGN = st.one_of(
    st.text(max_size=30),
    st.text("./%?#&=,!\\\\ \n\r\u2028abc", max_size=20),
    st.sampled_from(["..", "../../secrets", "x/log", "a?watch=true", "a#b", "{% $states.context %}", "n,spec.x!=y"]),
)
ROOT = Path(__file__).resolve().parents[2]


@given(FOREIGN, FOREIGN)
def test_a_name_is_one_segment_of_a_path(namespace: str, name: str) -> None:
    try:
        path = object_path(namespaced("pods", namespace), name)
    except NotFound:
        return
    parts = urlsplit(f"https://cluster{path}")
    assert (parts.query, parts.fragment) == ("", "")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "api", "v1", "namespaces", namespace, "pods", name]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../nodes", "a%2fb"])
def test_what_no_object_can_be_called_is_not_asked_for(name: str) -> None:
    with pytest.raises(NotFound, match="is no name of an object"):
        object_path("/api/v1/nodes", name)


@given(FOREIGN, FOREIGN)
def test_a_value_is_one_term_of_a_field_selector(value: str, other: str) -> None:
    matches = selectors.fields(PODS, f"{field_equals('spec.nodeName', value)},status.phase!=Failed")
    pod = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": other}, "status": {"phase": "Running"}}
    assert matches(pod) == (value == other)
    assert not matches({**pod, "spec": {"nodeName": value}, "status": {"phase": "Failed"}})


@given(FOREIGN)
def test_a_log_record_is_one_line(foreign: str) -> None:
    stream = io.StringIO()
    logger = Logger(service=f"test-{id(stream)}", stream=stream)
    logger.warning(foreign, extra={"reason": foreign})
    [line] = stream.getvalue().split("\n")[:-1]
    assert json.loads(line)["reason"] == foreign


def test_a_metric_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = 'prod\n{"_aws": {}}'
    measure({"ClusterName": hostile}, {"Free": (1.0, MetricUnit.Count)})
    [line] = capsys.readouterr().out.strip().split("\n")
    assert json.loads(line)["ClusterName"] == hostile


@pytest.mark.parametrize("machine", ["remediate", "rollback", "replace"])
def test_no_expression_of_a_state_machine_is_made_of_data(machine: str) -> None:
    """JSONata is evaluated where the definition says so, never in what it evaluates to; only `$eval` would."""
    assert "$eval" not in (ROOT / "statemachine" / f"{machine}.asl.json").read_text()
