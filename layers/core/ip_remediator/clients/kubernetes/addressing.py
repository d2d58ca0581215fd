"""Names and values in the paths and selectors of requests. What a cluster or a person calls something is data: it never
becomes a further part of a path, nor a further term of a selector."""

from __future__ import annotations

from urllib.parse import quote

from ip_remediator.common.errors import NotFound

# fields.EscapeValue of k8s.io/apimachinery (pkg/fields/selector.go).
_ESCAPED = str.maketrans({"\\": "\\\\", ",": "\\,", "=": "\\="})


def object_path(collection: str, name: str, subresource: str = "") -> str:
    """The path of an object.

    Raises:
        NotFound: no object can have this name (IsValidPathSegmentName of k8s.io/apimachinery).
    """
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise NotFound(f"{collection}: {name!r} is no name of an object")
    return f"{collection}/{quote(name, safe='')}" + (f"/{subresource}" if subresource else "")


def namespaced(collection: str, namespace: str) -> str:
    """The path of the collection of core objects in a namespace. Raises NotFound."""
    return f"{object_path('/api/v1/namespaces', namespace)}/{collection}"


def field_equals(field: str, value: str) -> str:
    """A term of a field selector."""
    return f"{field}={value.translate(_ESCAPED)}"
