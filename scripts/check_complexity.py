"""Every function of the product stays within a cyclomatic complexity of 12, as radon counts it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from radon.complexity import cc_visit

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("layers/core/ip_remediator", "functions", "cli")
HIGHEST = 12


def main() -> int:
    problems = list(_too_complex())
    print("\n".join(problems) or f"complexity: no function above {HIGHEST}")
    return 1 if problems else 0


def _too_complex() -> Iterator[str]:
    for folder in CHECKED:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for block in cc_visit(file.read_text()):
                if block.letter != "C" and block.complexity > HIGHEST:
                    place = f"{file.relative_to(ROOT)}:{block.lineno}"
                    yield f"{place}: {block.fullname} has complexity {block.complexity}, {HIGHEST} is the most"


if __name__ == "__main__":
    sys.exit(main())
