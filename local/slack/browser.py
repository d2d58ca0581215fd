"""A real Chromium, driven over the Chrome DevTools Protocol: enough to click through a page and take its picture.

    with Browser.launch(tmp_path) as browser:
        browser.open("http://127.0.0.1:4580/")
        browser.click("Roll back", confirm="Yes, roll back")
        browser.wait_for_text("Rolled back")
        browser.screenshot(Path("message.png"), selector=".message:last-child")

Protocol: https://chromedevtools.github.io/devtools-protocol/. Not driven by Playwright, which brings a Node.js of its
own and is made for the browsers that it downloads; here a dozen commands go to the one that is installed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import urllib3
import websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_SECONDS = 60.0
# A start reads hundreds of megabytes and makes a new profile, which takes long on a busy machine.
START_SECONDS = 60.0
POLL_SECONDS = 0.05

# Chromium's own sandbox needs privileges that containers lack; only the loopback page is ever opened.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

# Visible elements that a person would press, by what they read on them.
_FIND_PRESSABLE = """
(text, within) => [...document.querySelectorAll(
  (within ? within + " " : "") + ":is(button, a, [role=button], select, summary)")]
  .filter((each) => each.checkVisibility() && !each.disabled)
  .filter((each) => (each.getAttribute("aria-label") ?? each.textContent).trim() === text)
  .filter((each) => !document.querySelector("dialog:modal") || each.closest("dialog:modal"))
"""


# Where to press an element; null while something else lies above it.
_POINT_OF = """
(each) => {
  each.scrollIntoView({block: "nearest"});
  const {x, y, width, height} = each.getBoundingClientRect();
  const [middleX, middleY] = [x + width / 2, y + height / 2];
  return each.contains(document.elementFromPoint(middleX, middleY)) ? [middleX, middleY] : null;
}
"""


class BrowserError(Exception):
    """The page did not do what was asked; the message says what was looked for and what there was."""


def find_chromium() -> str | None:
    """The Chromium or Chrome of this machine, None when there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium. Every wait has a deadline and fails with a `BrowserError`."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._last_id = 0

    @classmethod
    @contextmanager
    def launch(cls, profile: Path, width: int = 1280, height: int = 900, scale: float = 1) -> Iterator[Browser]:
        """Starts Chromium with a new profile in the folder `profile`, and ends it and its children afterwards.

        `scale` is the number of device pixels for a CSS pixel: 2 gives pictures that stay sharp when enlarged.
        """
        program = find_chromium()
        if program is None:
            raise BrowserError(f"no browser found: install Chromium ({', '.join(PROGRAMS)} are looked for)")
        folder = profile / "chromium"
        folder.mkdir(parents=True)
        arguments = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        with subprocess.Popen(
            arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                browser = cls(_connect(process, folder / "DevToolsActivePort"))
                browser.resize(width, height, scale)
                yield browser
            finally:
                # Chromium's children are in the session that was started for it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def open(self, url: str) -> None:
        """Goes to a page and waits until it has loaded."""
        answer = self._command("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait_until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def click(
        self, text: str, *, confirm: str | None = None, within: str = "", timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Presses the button or link that reads `text`, with the mouse, as a person does.

        `confirm` is the text of the button to press in the confirmation that then opens. `within`, a CSS selector,
        says where to look when several elements read the same; `timeout` is in seconds.
        """
        expression = f"({_FIND_PRESSABLE})({json.dumps(text)}, {json.dumps(within)})"
        self.wait_until(f"{expression}.length === 1", lambda: f"one button {text!r}, but see {self.buttons()}", timeout)
        point = f"({_POINT_OF})({expression}[0])"
        self.wait_until(f"{point} !== null", lambda: f"{text!r} to be uncovered", timeout)
        x, y = self.evaluate(point)
        for kind in ("mousePressed", "mouseReleased"):
            self._command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if confirm is not None:
            self.click(confirm, within="dialog:modal", timeout=timeout)

    def type(self, text: str, *, into: str) -> None:
        """Types into the field that the CSS selector `into` finds."""
        field = f"document.querySelector({json.dumps(into)})"
        self.wait_until(f"!!{field}?.checkVisibility()", lambda: f"a field {into!r}")
        self.evaluate(f"{field}.focus()")
        self._command("Input.insertText", text=text)

    def buttons(self) -> list[str]:
        """What can be pressed now, by its text."""
        script = "[...document.querySelectorAll('button, a[href]')].filter((each) => each.checkVisibility())"
        labels: list[str] = self.evaluate(f"{script}.map((each) => each.textContent.trim())")
        return labels

    def text(self, selector: str = "body") -> str:
        """The text that a person reads in the first element found."""
        content: str = self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return content

    def wait_for_text(self, text: str, *, within: str = "body", timeout: float = TIMEOUT_SECONDS) -> None:
        """Waits until the text can be read in an element; `timeout` in seconds."""
        script = f"(document.querySelector({json.dumps(within)})?.innerText ?? '').includes({json.dumps(text)})"
        self.wait_until(script, lambda: f"{text!r} in {within}, but read: {self.text(within)!r}", timeout)

    def wait_until(
        self, condition: str, expected: Callable[[], str] | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Waits until a JavaScript expression is true; `expected` says in words what was waited for."""
        deadline = time.monotonic() + timeout
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise BrowserError(f"waited {timeout:.0f} s for {expected() if expected else condition}")
            time.sleep(POLL_SECONDS)

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def screenshot(self, path: Path, selector: str | None = None, margin: int = 0) -> None:
        """A PNG of what the window shows, or of one element with `margin` CSS pixels around it."""
        # Nothing is to look hovered.
        self._command("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
        options: dict[str, Any] = {"format": "png"}
        if selector is not None:
            self.wait_until(f"!!document.querySelector({json.dumps(selector)})", lambda: f"an element {selector!r}")
            x, y, width, height = self.evaluate(
                f"(() => {{ const each = document.querySelector({json.dumps(selector)});"
                " each.scrollIntoView({block: 'nearest'});"
                " const {x, y, width, height} = each.getBoundingClientRect(); return [x, y, width, height]; })()"
            )
            options["clip"] = {
                "x": max(0, x - margin),
                "y": max(0, y - margin),
                "width": width + 2 * margin,
                "height": height + 2 * margin,
                "scale": 1,
            }
        path.write_bytes(base64.b64decode(self._command("Page.captureScreenshot", **options)["data"]))

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """The window's size in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: str) -> None:
        """The colour scheme, "light" or "dark", that the reader has chosen."""
        self._command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self._command("Page.printToPDF", preferCSSPageSize=True)["data"])

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last_id += 1
        self._connection.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv())
            if answer.get("id") == self._last_id:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result


def _connect(process: subprocess.Popen[bytes], port_file: Path) -> websocket.WebSocket:
    """A connection to the first page, once Chromium has written where it listens."""
    deadline = time.monotonic() + START_SECONDS
    while not port_file.exists() or port_file.read_text().count("\n") < 1:
        if process.poll() is not None:
            raise BrowserError(f"Chromium ended at once with status {process.returncode}")
        if time.monotonic() > deadline:
            raise BrowserError(f"Chromium was not ready within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    port = port_file.read_text().split("\n")[0]
    pages = urllib3.request("GET", f"http://127.0.0.1:{port}/json/list", timeout=START_SECONDS).json()
    address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
    return websocket.create_connection(address, timeout=TIMEOUT_SECONDS, suppress_origin=True)
