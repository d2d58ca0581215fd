"""What axe-core finds in the page that a browser shows. Rules: https://dequeuniversity.com/rules/axe/4.14"""

from __future__ import annotations

from pathlib import Path

from local.slack.browser import Browser

AXE = Path(__file__).parents[1] / "data" / "axe-core" / "axe.min.js"
_SERIOUS = ("serious", "critical")


def serious_findings(browser: Browser) -> list[str]:
    """Rule, element and reason of everything serious."""
    browser.evaluate(f"{AXE.read_text()};true")
    violations = browser.evaluate("axe.run(document).then((found) => JSON.parse(JSON.stringify(found.violations)))")
    return [
        f"{violation['id']}: {node['html'][:160]}: {node['failureSummary']}"
        for violation in violations
        if violation["impact"] in _SERIOUS
        for node in violation["nodes"]
    ]
