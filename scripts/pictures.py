"""`make pictures`: plays an incident's stories on the embedded stack and photographs Slack into docs/images.

What is seen is the real page with what the deployed functions wrote, and every button is pressed in a real Chromium.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from local import own_folders
from local.cluster.scenario import NotSettled, wait_settled
from local.cluster.scenario_spec import Scenario
from local.slack.browser import Browser, BrowserError, find_chromium
from local.stack.deployment import ROOT, DeploymentFailed
from local.stack.ports import Ports
from local.stack.processes import NotStarted
from local.stack.stack import Cluster, Stack

IMAGES = ROOT / "docs" / "images"
FOLDER = ROOT / ".local" / "pictures"
CALM, BUSY = 8, 10
# Of a machine on which others work, too.
INCIDENT_SECONDS, CURE_SECONDS, ROLLBACK_SECONDS = 180.0, 240.0, 400.0
# The simulated cluster lives ten times as fast, the state machines' waits are cut to a thirtieth.
SPEED, WAIT_SCALE = 10.0, 0.03
# The newest one with a headline: replies that are shown in the channel as well stand below it.
MESSAGE = "#messages > :nth-last-child(1 of .message:has(.block-header))"
REPLY = "#messages > :nth-last-child(1 of .message:not(:has(.block-header)))"
DESK, PHONE = (1000, 1500), (390, 844)
# Higher than any message at the phone's width.
TALL = 2600
# What the button reads that adds the first block of the pool; it is free again after each story.
ADD = "Add 100.64.0.0/16"
# A VPC with its primary CIDR and these is at the default quota of five.
FULL_VPC = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
NO_CHROMIUM = (
    "error: no Chromium on this machine, and the pictures are taken with one. Install it: `apt install chromium` "
    "(Debian), `dnf install chromium` (Fedora), or Chrome from https://www.google.com/chrome; it must be on the PATH."
)


@dataclass
class Studio:
    """The deployed stack and a window on its Slack workspace."""

    stack: Stack
    browser: Browser

    @contextmanager
    def incident(self, scenario: Scenario) -> Iterator[None]:
        """A cluster in which two pods too many are wanted; the incident's message is the last one."""
        shown_before = int(self.browser.evaluate("document.querySelectorAll('#messages > .message').length"))
        cluster: Cluster = self.stack.add_cluster(replace(scenario, nginx_replicas=CALM))
        try:
            wait_settled(cluster.api, running=CALM, stuck=0)
            self.stack.kubectl("scale", "deployment", "nginx", f"--replicas={BUSY}")
            more = f"document.querySelectorAll('#messages > .message').length > {shown_before}"
            self.browser.wait_until(more, lambda: "the incident's message", INCIDENT_SECONDS)
            yield
        finally:
            self.stack.remove_cluster(cluster)

    def press(self, button: str, confirm: str) -> None:
        """Presses a button of the incident's message, and confirms."""
        self.browser.click(button, within=MESSAGE, confirm=confirm, timeout=INCIDENT_SECONDS)

    def reads(self, text: str, seconds: float = CURE_SECONDS) -> None:
        """Waits until the incident's message has the text."""
        self.browser.wait_for_text(text, within=MESSAGE, timeout=seconds)

    def take(self, name: str, selector: str = MESSAGE) -> None:
        """At the width of a desk and of a phone, whole: nothing lies above its end."""
        self._take(name, selector)
        self.browser.resize(PHONE[0], TALL, scale=2)
        self._take(f"{name}-phone", selector)
        self.browser.resize(*DESK, scale=2)

    def take_window_on_phone(self, name: str) -> None:
        """What is seen of the newest message when it is scrolled to its headline."""
        self.browser.resize(*PHONE, scale=2)
        self.browser.evaluate(f"document.querySelector({json.dumps(MESSAGE)}).scrollIntoView({{block: 'start'}})")
        self._take(name, None)
        self.browser.resize(*DESK, scale=2)

    def _take(self, name: str, selector: str | None) -> None:
        path = IMAGES / f"{name}.png"
        self.browser.screenshot(path, selector)
        sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB\n")
        sys.stdout.flush()


def healed_and_rolled_back(studio: Studio) -> None:
    """The pictures of an incident that heals and is rolled back."""
    with studio.incident(Scenario(cluster="shop-prod")):
        studio.reads("If nobody answers")
        studio.browser.wait_for_text("Decide by", within=REPLY)
        studio.take("approval-asked")
        studio.take("reply-asked", REPLY)
        studio.take_window_on_phone("approval-asked-window-phone")
        studio.browser.click("All 6 changes", within=MESSAGE)
        studio.browser.wait_for_text("ENIConfig", within="#view")
        studio.take("details", "#view")
        studio.browser.click("Close", within="#view")
        studio.browser.click(ADD, within=MESSAGE)
        studio.browser.wait_for_text(f"{ADD}?", within="#confirm")
        studio.take("approval-confirm", "#confirm")
        studio.browser.click(ADD, within="#confirm")
        studio.reads("Add the CIDR to the VPC")
        studio.take("running")
        studio.reads("shop-prod: healed")
        studio.browser.wait_for_text("Settled, approved", within=REPLY)
        studio.take("healed")
        studio.take("reply-settled", REPLY)
        studio.press("Roll back…", "Check")
        studio.reads("If nobody answers")
        studio.take("rollback-assessed")
        studio.press("Roll back, evict 2 pods", "Evict 2 pods")
        studio.reads("so far", ROLLBACK_SECONDS)
        studio.take("rolling-back")
        studio.reads("is free again", ROLLBACK_SECONDS)
        studio.take("rolled-back")


def left_as_it_is(studio: Studio) -> None:
    """The picture of a plan that people reject."""
    with studio.incident(Scenario(cluster="blog-prod")):
        studio.reads("If nobody answers")
        studio.press("Leave as it is", "Leave as it is")
        studio.reads("left as it is, nothing was changed")
        studio.take("left-as-it-is")


def refused(studio: Studio) -> None:
    """The picture of an incident that no plan cures."""
    with studio.incident(Scenario(cluster="billing-prod", extra_cidrs=FULL_VPC)):
        studio.reads("billing-prod: cannot be cured automatically")
        # The reply moves the messages up when it comes.
        studio.browser.wait_for_text("billing-prod: cannot be cured", within=REPLY)
        studio.take("refused")


def failed_and_undone(studio: Studio) -> None:
    """The picture of a remediation that fails and is undone."""
    fault = {"service": "ec2", "action": "CreateSubnet", "error": "SubnetLimitExceeded", "times": 20}
    fault["message"] = "The maximum number of subnets has been reached for this VPC."
    with studio.incident(Scenario(cluster="search-prod")):
        studio.reads("If nobody answers")
        _control(studio.stack, "POST", fault)
        try:
            studio.press(ADD, ADD)
            studio.reads("all changes were undone")
        finally:
            _control(studio.stack, "DELETE")
        studio.take("failed-and-undone")


def _control(stack: Stack, method: str, fault: dict[str, object] | None = None) -> None:
    """Sets or clears the errors that the local AWS gives."""
    body = json.dumps(fault).encode() if fault else None
    asked = urllib.request.Request(f"{stack.servers.aws_url}/_local/faults", body, method=method)  # noqa: S310
    with urllib.request.urlopen(asked, timeout=10):  # noqa: S310 - loopback only
        pass


def main() -> int:
    """Takes all pictures; returns the exit status."""
    if find_chromium() is None:
        sys.stderr.write(f"{NO_CHROMIUM}\n")
        return 1
    own_folders.use()
    IMAGES.mkdir(parents=True, exist_ok=True)
    stack = Stack(
        FOLDER,
        Ports.free(),
        {"DefaultMode": "approve", "SlackMention": "S0000ONCALL"},
        speed=SPEED,
        wait_scale=WAIT_SCALE,
    )
    try:
        with TemporaryDirectory() as profile, stack, Browser.launch(Path(profile), *DESK, scale=2) as browser:
            stack.start()
            browser.open(stack.servers.slack_url)
            browser.wait_for_text("# eks-incidents")
            for story in (healed_and_rolled_back, left_as_it_is, refused, failed_and_undone):
                story(Studio(stack, browser))
    except (BrowserError, DeploymentFailed, NotSettled, NotStarted) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
