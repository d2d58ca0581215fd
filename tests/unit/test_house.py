"""The layout that docs/architecture.md promises: sizes of packages, modules and handlers, empty __init__.py."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers" / "core" / "ip_remediator"
PACKAGES = sorted({file.parent for file in LIBRARY.rglob("*.py")} - {LIBRARY})


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(LIBRARY)))
def test_a_package_has_at_most_twenty_modules_and_no_code_in_its_init(package: Path) -> None:
    modules = [file for file in package.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= 20
    assert (package / "__init__.py").read_text().strip() == ""


def test_no_module_is_longer_than_400_lines_and_no_handler_than_60() -> None:
    assert [file.name for file in LIBRARY.rglob("*.py") if _lines(file) > 400] == []
    assert [str(file) for file in (ROOT / "functions").rglob("app.py") if _lines(file) > 60] == []


def test_the_state_machines_have_at_most_1300_lines_together() -> None:
    assert sum(_lines(file) for file in (ROOT / "statemachine").glob("*.json")) <= 1300


@pytest.mark.parametrize("package", [path for path in PACKAGES if path.parent == LIBRARY], ids=lambda path: path.name)
def test_every_package_is_in_the_page_about_the_architecture(package: Path) -> None:
    assert f"`{package.name}/`" in (ROOT / "docs" / "architecture.md").read_text()
