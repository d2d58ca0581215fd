"""What is deployed, and under which licences: `make sbom` writes .local/sbom.json (CycloneDX) and prints the licences.

The pinned requirements of both layers say what is in them, with hashes; the installed packages of the same versions
say their licences.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LAYERS = ("core", "kube")
TARGET = ROOT / ".local" / "sbom.json"
# Deployed and not installed for development, where the system has the time zones: https://pypi.org/project/tzdata
_NOT_INSTALLED = {"tzdata": "Apache-2.0"}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LicenceUnknown(Exception):
    """A package is not installed in the pinned version, or does not say its licence."""


@dataclass(frozen=True)
class Component:
    """A package of a layer."""

    name: str
    version: str
    layer: str
    hashes: tuple[str, ...]
    licence: str

    def document(self) -> dict[str, Any]:
        """The component as CycloneDX has it."""
        purl = f"pkg:pypi/{self.name}@{self.version}"
        return {
            "type": "library",
            "bom-ref": f"{self.layer}:{purl}",
            "name": self.name,
            "version": self.version,
            "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in self.hashes],
            "licenses": [{"license": {"name": self.licence}}],
            "properties": [{"name": "layer", "value": self.layer}],
        }


def components() -> Iterator[Component]:
    """Raises LicenceUnknown."""
    for layer in LAYERS:
        text = (ROOT / "layers" / layer / "requirements.txt").read_text()
        pins = list(_PINNED.finditer(text))
        ends = [*(pin.start() for pin in pins[1:]), len(text)]
        for pin, end in zip(pins, ends, strict=True):
            hashes = tuple(_HASH.findall(text[pin.start() : end]))
            yield Component(pin[1], pin[2], layer, hashes, licence_of(pin[1], pin[2]))


def licence_of(name: str, version: str) -> str:
    """As the package says it: a licence expression, else its classifiers, else its field. Raises LicenceUnknown."""
    if name in _NOT_INSTALLED:
        return _NOT_INSTALLED[name]
    try:
        about: Any = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise LicenceUnknown(f"{name} is not installed: run make setup") from None
    if about["Version"] != version:
        raise LicenceUnknown(f"{name} {about['Version']} is installed instead of {version}: run make setup")
    classifiers = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    field = str(about.get("License") or "").strip()
    short = field if field and len(field) < 60 and "\n" not in field else ""
    stated = about.get("License-Expression") or " and ".join(classifiers) or short
    if not stated:
        raise LicenceUnknown(f"{name} {version} does not say its licence")
    return str(stated)


def document(deployed: list[Component]) -> dict[str, Any]:
    """A bill of materials as CycloneDX 1.5 has it (https://cyclonedx.org/docs/1.5/json)."""
    about = {"type": "application", "name": "eks-ip-remediator", "bom-ref": "eks-ip-remediator"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about},
        "components": [component.document() for component in deployed],
    }


def main() -> int:
    """Writes the bill of materials; returns the exit status."""
    try:
        deployed = list(components())
    except LicenceUnknown as error:
        print(error)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(document(deployed), indent=2) + "\n")
    for component in deployed:
        print(f"{component.layer:5} {component.name:28} {component.version:14} {component.licence}")
    print(f"{len(deployed)} packages, {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
