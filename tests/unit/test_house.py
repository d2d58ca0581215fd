"""The layout that docs/architecture.md promises: sizes of packages, modules and handlers, empty __init__.py."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.check_complexity import COMPREHENSIONS, is_dense

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers" / "core" / "ip_remediator"
PACKAGES = sorted({file.parent for file in LIBRARY.rglob("*.py")} - {LIBRARY})
OF_THE_CLI = sorted({file.parent for file in (ROOT / "cli").rglob("*.py")})


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def _statements(file: Path) -> list[ast.stmt]:
    """The module's statements but its docstring."""
    statements = ast.parse(file.read_text()).body
    return statements[1:] if statements and isinstance(statements[0], ast.Expr) else statements


@pytest.mark.parametrize("package", [*PACKAGES, *OF_THE_CLI], ids=lambda package: str(package.relative_to(ROOT)))
def test_a_package_has_at_most_twenty_modules_and_no_code_in_its_init(package: Path) -> None:
    modules = [file for file in package.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= 20
    assert _statements(package / "__init__.py") == []


def test_no_module_is_longer_than_400_lines_and_no_handler_than_60() -> None:
    assert [file.name for file in LIBRARY.rglob("*.py") if _lines(file) > 400] == []
    assert [str(file) for file in (ROOT / "functions").rglob("app.py") if _lines(file) > 60] == []


def test_the_state_machines_have_at_most_1300_lines_together() -> None:
    assert sum(_lines(file) for file in (ROOT / "statemachine").glob("*.json")) <= 1300


@pytest.mark.parametrize("package", [path for path in PACKAGES if path.parent == LIBRARY], ids=lambda path: path.name)
def test_every_package_is_in_the_page_about_the_architecture(package: Path) -> None:
    assert f"`{package.name}/`" in (ROOT / "docs" / "architecture.md").read_text()


# Words that say what happened to a value, or nothing at all, instead of what it is: each has a noun that is better.
RIDDLES = frozenset(
    {
        *("found", "told", "untold", "left", "each", "known", "held", "seen", "said", "tell", "what", "whose", "has"),
        *("heir", "heirs", "pass_on", "outlook", "outlooks", "foretell", "foretold", "foretelling", "wordings", "wish"),
    }
)
# In the product, a variable of this name hides whether it is a subnet, a rule or a pod.
PRODUCT = ("layers/core/ip_remediator", "functions", "cli")
RIDDLES_OF_THE_PRODUCT = RIDDLES | {"one"}
# Names that are part of a stored document, a payload or Slack's API; the plan's risks are public as they are.
FOLDERS = ("layers/core/ip_remediator", "functions", "cli", "local", "scripts", "benchmarks", "tests")
NAMES_OF_FIELDS = {
    ("node_replacement/cluster_actions.py", "left"),
    ("provisioning/network_actions.py", "left"),
    ("risks/model.py", "found"),
}


# A name is bound with one of these behind it. To parse every file takes seconds, and few have such a place at all.
_BOUND = re.compile(rf"\b_*(?:{'|'.join(RIDDLES_OF_THE_PRODUCT)})_*\s*(?:[-+*/|&^%@<>=:,)\](]|in\b|$)", re.MULTILINE)


def _names(file: Path) -> Iterator[str]:
    """What the module names, if any of it can be a riddle: variables, arguments, functions and classes."""
    text = file.read_text()
    for node in ast.walk(ast.parse(text)) if _BOUND.search(text) else ():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_say_what_they_hold(folder: str) -> None:
    banned = RIDDLES_OF_THE_PRODUCT if folder in PRODUCT else RIDDLES
    riddles = {
        (str(file.relative_to(ROOT / folder)), name)
        for file in (ROOT / folder).rglob("*.py")
        for name in _names(file)
        if name.strip("_") in banned
    }
    assert riddles - NAMES_OF_FIELDS == set()


def test_a_class_name_means_one_thing() -> None:
    classes = Counter(
        name
        for folder in ("layers/core/ip_remediator", "functions", "cli")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"^class ([A-Z]\w+)", file.read_text(), re.MULTILINE)
    )
    assert [name for name, number in classes.items() if number > 1] == []


@pytest.mark.parametrize(
    "text",
    [
        *("found = 1", "found: int = 1", "a, found = b", "[found] = a", "(found, a) = b", "for found in a: pass"),
        *("with a as found: pass", "def f(found): pass", "def f(*found, a=1): pass", "lambda found: a", "found += 1"),
        *(
            "def f(a, found=1): pass",
            "[a for found in b]",
            "def found(): pass",
            "class found: pass",
            "a = (found := 1)",
        ),
        *("def _found() -> int: pass", "for a, found in b: pass", "with a as found, b: pass"),
    ],
)
def test_a_name_is_read_wherever_it_is_bound(text: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(text)
    assert {name.strip("_") for name in _names(file)} & RIDDLES == {"found"}


@pytest.mark.parametrize(
    ("text", "dense"),
    [
        ("[a for b in c for a in b if a]", False),
        ("[a for a in c if a and a > 1]", False),
        ("[a for b in c if b for a in b if a]", True),
        ("{a: 1 for b in c for a in b if a and b}", True),
        ("any(a for b in c if b or d for a in b)", True),
    ],
)
def test_a_comprehension_with_two_loops_and_two_conditions_is_dense(text: str, dense: bool) -> None:
    [comprehension] = [node for node in ast.walk(ast.parse(text)) if isinstance(node, COMPREHENSIONS)]
    assert is_dense(comprehension) is dense


UNIT = ROOT / "tests" / "unit"
# Beside the library's packages: other code, the documentation, the template, and what the tests share.
BESIDE = {"benchmarks", "cli", "docs", "scripts", "support", "template"}


def test_the_unit_tests_mirror_the_packages() -> None:
    folders = {path.name for path in UNIT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= {package.name for package in PACKAGES if package.parent == LIBRARY} | BESIDE


def test_unit_tests_start_no_process_and_no_server() -> None:
    servers = ("subprocess", "socket", "multiprocessing", "http.server", "tests.stack", "tests.contract", "local.stack")
    imports = re.compile(rf"^\s*(?:import|from) ({'|'.join(map(re.escape, servers))})\b", re.MULTILINE)
    assert [str(file) for file in UNIT.rglob("*.py") if imports.search(file.read_text())] == []
