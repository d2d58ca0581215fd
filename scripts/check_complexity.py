"""Dense code: every function of the product stays within a cyclomatic complexity of 12, as radon counts it, and no
comprehension has two loops and two conditions."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from radon.complexity import cc_visit

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("layers/core/ip_remediator", "functions", "cli")
HIGHEST = 12
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def main() -> int:
    """Prints what is too complex; returns the exit status."""
    problems = [*_too_complex(), *_too_dense()]
    print(
        "\n".join(problems) or f"complexity: no function above {HIGHEST}, no comprehension of two loops and conditions"
    )
    return 1 if problems else 0


def _files() -> Iterator[Path]:
    for folder in CHECKED:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _too_complex() -> Iterator[str]:
    for file in _files():
        for block in cc_visit(file.read_text()):
            if block.letter != "C" and block.complexity > HIGHEST:
                place = f"{file.relative_to(ROOT)}:{block.lineno}"
                yield f"{place}: {block.fullname} has complexity {block.complexity}, {HIGHEST} is the most"


def _too_dense() -> Iterator[str]:
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, COMPREHENSIONS) and is_dense(node):
                yield f"{file.relative_to(ROOT)}:{node.lineno}: a comprehension of two loops and two conditions"


def is_dense(comprehension: Comprehension) -> bool:
    """Whether it has two loops or more, and two conditions or more; both parts of an `and` count."""
    conditions = [test for loop in comprehension.generators for test in loop.ifs]
    parts = sum(len(test.values) if isinstance(test, ast.BoolOp) else 1 for test in conditions)
    return len(comprehension.generators) > 1 and parts > 1


if __name__ == "__main__":
    sys.exit(main())
