"""Child processes with a log file each, started and ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 10.0
_LOG_LINES = 15


class NotStarted(Exception):
    """A server ended or did not answer in time; the message has the end of its log."""


class Server:
    """`python -m <module>` with its output in `log`; it ends when this process does, however that ends."""

    def __init__(self, module: str, arguments: list[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.module = module
        self._arguments = arguments
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._ready: Callable[[], bool] = lambda: True
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            # A group of its own, so that Ctrl-C reaches only the supervisor, which ends the servers in order.
            return subprocess.Popen(
                [sys.executable, "-m", "local.stack.child", self.module, *self._arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=self._env,
                start_new_session=True,
            )

    def await_ready(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Raises NotStarted when the process ends first, or is not ready in time."""
        self._ready = ready
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise NotStarted(f"{self.module} ended at once:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise NotStarted(f"{self.module} did not answer within {seconds:.0f} s:\n{self._tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Terminates the process; kills its group if it does not end in time."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends the process and its children in the middle of whatever they do."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def start_again(self) -> None:
        """Starts the process that was killed with the same arguments, and waits until it is ready as before.

        Raises NotStarted.
        """
        self._process = self._start()
        self.await_ready(self._ready)

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def answers(url: str) -> bool:
    """Whether an HTTP server speaks at `url`, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
