"""The bill of materials has every package that is deployed, with hashes and a licence that may be used."""

from __future__ import annotations

import re

import pytest

from scripts.sbom import LAYERS, ROOT, LicenceUnknown, components, document, licence_of

# None of them asks anything of who deploys the packages unchanged.
PERMISSIVE = ("MIT", "Apache", "BSD", "PSF", "MPL", "ISC", "Python Software Foundation", "0BSD")


def test_every_pinned_package_is_in_it_with_hashes_and_a_permissive_licence() -> None:
    listed = list(components())
    for layer in LAYERS:
        text = (ROOT / "layers" / layer / "requirements.txt").read_text()
        pinned = set(re.findall(r"(?m)^([\w.-]+)==", text))
        assert {one.name for one in listed if one.layer == layer} == pinned
    assert all(one.hashes for one in listed)
    strange = {one.name: one.licence for one in listed if not any(licence in one.licence for licence in PERMISSIVE)}
    assert strange == {}
    assert len({one["bom-ref"] for one in document(listed)["components"]}) == len(listed)


def test_a_package_of_another_version_is_refused() -> None:
    with pytest.raises(LicenceUnknown, match=r"is installed instead of 0\.0\.1"):
        licence_of("pydantic", "0.0.1")
