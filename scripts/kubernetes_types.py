"""Writes local/kubernetes/kinds/types.json: what Kubernetes' Go types say about their fields, beyond OpenAPI.

    python -m scripts.kubernetes_types PATH_TO_API PATH_TO_APIMACHINERY

The arguments are checkouts of https://github.com/kubernetes/api and https://github.com/kubernetes/apimachinery (same
tag). Only the struct tags of `types.go` carry all of it: the protobuf field number, whether a field is a pointer (a
zero behind a pointer is a value, any other zero is "not set"), and how a strategic merge patch merges a list.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTPUT = Path(__file__).resolve().parents[1] / "local" / "kubernetes" / "kinds" / "types.json"
# Types whose JSON form is not the form of their fields: decoded by hand.
SPECIAL = {
    "k8s.io/apimachinery/pkg/api/resource.Quantity": "Quantity",
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": "IntOrString",
    "k8s.io/apimachinery/pkg/runtime.RawExtension": "RawExtension",
    "k8s.io/apimachinery/pkg/runtime.Unknown": "Unknown",
    "k8s.io/apimachinery/pkg/apis/meta/v1.Time": "Time",
    "k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime": "MicroTime",
    "k8s.io/apimachinery/pkg/apis/meta/v1.Duration": "Duration",
    "k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1": "FieldsV1",
    "k8s.io/apimachinery/pkg/types.UID": "string",
    "k8s.io/apimachinery/pkg/types.NodeName": "string",
}
SCALARS = {"string": "string", "bool": "bool", "byte": "byte"} | dict.fromkeys(
    ("int", "int8", "int16", "int32", "int64", "uint32", "uint64", "rune"), "int"
)
_IMPORT = re.compile(r'^\s*(?:(\w+)\s+)?"([^"]+)"$', re.MULTILINE)
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"((?:^//.*\n)*)^type (\w+) (?:= )?([^\s{=]+)(?:\s*//.*)?$", re.MULTILINE)
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`([^`]*)`", re.MULTILINE)
_TAG = re.compile(r'(\w+):"([^"]*)"')


@dataclass
class Package:
    """One Go package: what its types are called in the output, and the sources of its structs and named types."""

    path: str
    imports: dict[str, str] = field(default_factory=dict)
    structs: dict[str, str] = field(default_factory=dict)
    named: dict[str, tuple[str, bool]] = field(default_factory=dict)  # base type, whether it is a message of its own
    group: str = ""

    @property
    def version(self) -> str:
        """The last part of the path, such as `v1`."""
        return self.path.rpartition("/")[2]


def read_package(folder: Path, path: str) -> Package:
    """Reads imports and structs of a Go package."""
    package = Package(path)
    files = (folder / name for name in ("types.go", "group_version.go"))
    source = "\n".join(path.read_text() for path in files if path.exists())
    package.imports = {alias or target.rpartition("/")[2]: target for alias, target in _IMPORT.findall(source)}
    package.structs = dict(_STRUCT.findall(source))
    for comment, name, base in _NAMED.findall(source):
        package.named[name] = (base, "+protobuf.nullable" in comment)
    register = folder / "register.go"
    if register.exists():
        package.group = re.search(r'GroupName\s*=\s*"([^"]*)"', register.read_text())[1]  # type: ignore[index]
    return package


class Types:
    """Resolves types to the output's notation: `*T`, `[]T`, `map[]T`, a scalar, or `group/version.T`.

    The JSON name of an embedded field is "", that of the list inside a message of its own (`ExtraValue`) is "[]".
    """

    def __init__(self, packages: list[Package]) -> None:
        self._packages = {package.path: package for package in packages}

    def resolve(self, package: Package, go_type: str) -> str:
        """The Go type with full names, and with aliases replaced."""
        if go_type.startswith("*"):
            return "*" + self.resolve(package, go_type[1:])
        if go_type.startswith("[]"):
            item = self.resolve(package, go_type[2:])
            return "bytes" if item == "byte" else f"[]{item}"
        if match := re.fullmatch(r"map\[[\w.]+\](.+)", go_type):
            return "map[]" + self.resolve(package, match[1])
        if go_type in SCALARS:
            return SCALARS[go_type]
        alias, _, name = go_type.rpartition(".")
        target = package.imports[alias] if alias else package.path
        if special := SPECIAL.get(f"{target}.{name}"):
            return special
        owner = self._packages[target]
        if name in owner.structs:
            return f"{short(target)}.{name}"
        base, own_message = owner.named[name]
        return f"{short(target)}.{name}" if own_message else self.resolve(owner, base)

    def reachable(self, roots: Iterable[str]) -> dict[str, list[list[object]]]:
        """The fields of every type that the roots are made of, sorted by name."""
        by_name = {
            f"{short(package.path)}.{name}": (package, name)
            for package in self._packages.values()
            for name in (*package.structs, *package.named)
        }
        described: dict[str, list[list[object]]] = {}
        waiting = list(roots)
        while waiting:
            full_name = waiting.pop()
            if full_name in described:
                continue
            package, name = by_name[full_name]
            if name in package.structs:
                described[full_name] = self.fields(package, package.structs[name])
            else:
                described[full_name] = [[1, "[]", self.resolve(package, package.named[name][0])]]
            targets = (re.sub(r"^(\*|\[\]|map\[\])+", "", str(entry[2])) for entry in described[full_name])
            waiting += [target for target in targets if target in by_name]
        return dict(sorted(described.items()))

    def fields(self, package: Package, body: str) -> list[list[object]]:
        """One row for each field of a struct that has a protobuf tag."""
        rows: list[list[object]] = []
        for _name, go_type, raw_tags in _FIELD.findall(body):
            tags = dict(_TAG.findall(raw_tags))
            if "protobuf" not in tags:
                continue
            json_name = tags.get("json", "").partition(",")[0]
            entry: list[object] = [int(tags["protobuf"].split(",")[1]), json_name, self.resolve(package, go_type)]
            if "patchStrategy" in tags:
                entry += [tags["patchStrategy"], tags.get("patchMergeKey", "")]
            rows.append(entry)
        return rows


def short(path: str) -> str:
    """The package's path as the data file names it."""
    return path.removeprefix("k8s.io/").replace("apimachinery/pkg/apis/meta", "meta").removeprefix("api/")


def main() -> int:
    """Writes the data file; returns the exit status."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    api, machinery = Path(sys.argv[1]), Path(sys.argv[2])
    meta = read_package(machinery / "pkg" / "apis" / "meta" / "v1", "k8s.io/apimachinery/pkg/apis/meta/v1")
    folders = [path.parent for path in sorted(api.glob("*/v*/types.go")) if "admission" not in path.parts]
    packages = [read_package(folder, f"k8s.io/api/{folder.parent.name}/{folder.name}") for folder in folders]
    packages = [meta, *packages]
    kinds = {"v1/DeleteOptions": "meta/v1.DeleteOptions", "meta.k8s.io/v1/DeleteOptions": "meta/v1.DeleteOptions"}
    for package in packages[1:]:
        version = f"{package.group}/{package.version}" if package.group else package.version
        for name, body in package.structs.items():
            if re.fullmatch(r"v\d", package.version) and "metav1.ObjectMeta" in body:
                kinds[f"{version}/{name}"] = f"{short(package.path)}.{name}"
    described = Types(packages).reachable(kinds.values())
    lines = [f"{json.dumps(name)}: {json.dumps(fields, separators=(',', ':'))}" for name, fields in described.items()]
    listed = [f"{json.dumps(kind)}: {json.dumps(name)}" for kind, name in sorted(kinds.items())]
    OUTPUT.write_text('{"kinds": {\n' + ",\n".join(listed) + '\n}, "types": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{OUTPUT}: {len(kinds)} kinds, {len(described)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
