"""Label and field selectors, with the real server's errors for invalid ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
# A backslash escapes itself, a comma and an equals sign (k8s.io/apimachinery, pkg/fields/selector.go).
_FIELD = re.compile(r"([^=!]+)(!=|==|=)((?:\\[\\,=]|[^\\,=])*)")
_FIELD_TERM = re.compile(r"(?:\\.|[^,\\])+")


def labels(selector: str) -> Callable[[dict[str, Any]], bool]:
    """Compile e.g. `app=nginx,tier in (a, b),!canary` to a test of an object."""
    tests = [_label_term(term.strip()) for term in _split(selector)] if selector.strip() else []

    def matches(obj: dict[str, Any]) -> bool:
        labels_of_object = obj["metadata"].get("labels") or {}
        return all(test(labels_of_object) for test in tests)

    return matches


def _split(selector: str) -> list[str]:
    """Split at commas outside parentheses."""
    return re.split(r",(?![^()]*\))", selector)


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.fullmatch(term):
        key, wanted = match[1], {value.strip() for value in match[4].split(",")}
        if match[3] == "in":
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted
    if match := _EQUALITY.fullmatch(term):
        key, value = match[1], match[4]
        if match[3] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.fullmatch(term):
        key, absent = match[2], bool(match[1])
        return lambda labels: (key in labels) != absent
    raise errors.bad_request(f"unable to parse requirement: {term!r} is not a label selector")


def match_labels(selector: dict[str, Any] | None) -> Callable[[dict[str, Any]], bool]:
    """A `LabelSelector` object as a test of an object; an empty one matches everything, None nothing."""
    if selector is None:
        return lambda _obj: False
    wanted = (selector.get("matchLabels") or {}).items()
    expressions = [_expression(item) for item in selector.get("matchExpressions") or ()]

    def matches(obj: dict[str, Any]) -> bool:
        labels_of_object = obj["metadata"].get("labels") or {}
        return all(labels_of_object.get(key) == value for key, value in wanted) and all(
            test(labels_of_object) for test in expressions
        )

    return matches


def _expression(item: dict[str, Any]) -> Callable[[dict[str, str]], bool]:
    key, operator, values = item["key"], item["operator"], item.get("values") or ()
    tests: dict[str, Callable[[dict[str, str]], bool]] = {
        "In": lambda labels: labels.get(key) in values,
        "NotIn": lambda labels: labels.get(key) not in values,
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    return tests[operator]


def fields(resource: Resource, selector: str) -> Callable[[dict[str, Any]], bool]:
    """Compile e.g. `reason=X,involvedObject.name!=y`; only the fields the kind declares can be selected."""
    tests = [_field_term(resource, term) for term in _FIELD_TERM.findall(selector)]

    def matches(obj: dict[str, Any]) -> bool:
        return all(test(obj) for test in tests)

    return matches


def _field_term(resource: Resource, term: str) -> Callable[[dict[str, Any]], bool]:
    match = _FIELD.fullmatch(term)
    if match is None:
        raise errors.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    label, operator, wanted = match[1], match[2], re.sub(r"\\(.)", r"\1", match[3])
    always = {"metadata.name"} | ({"metadata.namespace"} if resource.namespaced else set())
    if label not in resource.field_labels | always:
        raise errors.bad_request(f"field label not supported: {label}")
    path = ("source", "component") if label == "source" else tuple(label.split("."))
    # A field that is not set equals its zero value: `spec.unschedulable=false` finds every schedulable node.
    unset = "false" if label in ("spec.unschedulable", "spec.hostNetwork") else ""
    return lambda obj: (_text(obj, path, unset) == wanted) == (operator != "!=")


def _text(obj: dict[str, Any], path: tuple[str, ...], unset: str) -> str:
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return unset
    return str(value).lower() if isinstance(value, bool) else str(value)


def select(resource: Resource, label_selector: str, field_selector: str) -> Callable[[dict[str, Any]], bool]:
    """A predicate for objects that match both selectors; an empty selector matches all. Raises ApiError 400."""
    by_label = labels(label_selector)
    by_field = fields(resource, field_selector)
    return lambda obj: by_label(obj) and by_field(obj)
