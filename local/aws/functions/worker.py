"""The parent's side of an execution environment: starts the process, sends invocations, collects log and answer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from ministack.core.lambda_runtime import execution_credentials
from ministack.services import lambda_svc

from local.aws.corrections.guard import original
from local.aws.functions import packages
from local.aws.functions.bootstrap import END_OF_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# "The Init phase is limited to 10 seconds" (lambda-runtime-environment.html); a busy laptop is given more.
INIT_SECONDS = 30.0
LOG_SECONDS = 1.0

# Names that a function may not set itself (configuration-envvars.html).
RESERVED = frozenset({"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})

# What a POSIX process needs to start; nothing else of the server's environment reaches a function.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ", "TMPDIR", "HOME")

# What the last failed invocation of this thread reported; MiniStack's caller keeps only its message.
reported = threading.local()


# The execution environments that there are.
_WORKERS: weakref.WeakSet[PythonWorker] = weakref.WeakSet()


def crash(function: str) -> None:
    """End the processes of a function in the midst of their work."""
    for worker in list(_WORKERS):
        if worker.func_name == function:
            worker.crash()


class PythonWorker:
    """One execution environment; MiniStack's pool leases it to one invocation at a time.

    The attributes without a leading underscore, ``_proc``, ``_lock``, ``_cold``, ``_spawn`` and ``_discard_tmpdir``
    are those which the pool uses.
    """

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        self.func_name = func_name
        self.config = config
        self.code_zip = code_zip
        self.in_use = False
        self.last_used = time.time()
        self._proc: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._cold = True
        self._answers: queue.Queue[str] = queue.Queue()
        self._log: queue.Queue[str] = queue.Queue()
        # What the module wrote while it was imported; it belongs to the first invocation.
        self._started_log = ""
        _WORKERS.add(self)

    def invoke(
        self,
        event: Any,
        request_id: str,
        *,
        trace_id: str | None = None,
        invoked_function_arn: str | None = None,
        **_unused: Any,
    ) -> dict[str, Any]:
        """Run one invocation: ``{"status": "ok", "result", "log"}`` or ``{"status": "error", "error", "log"}``."""
        with self._lock:
            reported.error = None
            cold = self._proc is None or self._proc.poll() is not None
            if cold:
                failure = self._spawn()
                if failure:
                    return self._failed(failure, cold=True)
            self._send(
                {
                    "event": event,
                    "request_id": request_id,
                    "trace_id": trace_id,
                    "invoked_function_arn": invoked_function_arn or self.config["FunctionArn"],
                }
            )
            before, self._started_log = self._started_log, ""
            answer = self._receive(float(self.config.get("Timeout", 3)))
            if answer is None:
                return self._ended(cold)
            if "error" in answer:
                return self._failed(answer["error"], cold)
            return {"status": "ok", "result": answer["result"], "cold_start": cold, "log": before + self._drain()}

    def crash(self) -> None:
        """End the process as the kernel does when it is out of memory; the invocation notices that it is gone."""
        if process := self._proc:
            process.kill()

    def kill(self) -> None:
        """End the process."""
        process, self._proc = self._proc, None
        if process:
            process.kill()
            process.wait()

    def _spawn(self) -> dict[str, Any] | None:
        """Start the process and load the handler; the error report when the handler cannot be loaded."""
        code = packages.unpack(self.code_zip)
        self._answers, self._log = queue.Queue(), queue.Queue()
        # -S and -P keep the packages of this project, and this folder, out of the function's sight.
        process = subprocess.Popen(
            [sys.executable, "-S", "-P", str(BOOTSTRAP)],
            cwd=code,
            env=self._environment(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._proc = process
        for stream, lines in ((process.stdout, self._answers), (process.stderr, self._log)):
            threading.Thread(target=_pump, args=(stream, lines), daemon=True).start()
        self._send(self._start_document(code))
        answer = self._receive(INIT_SECONDS)
        self._cold = False
        if answer is None:
            self.kill()
            return {"errorMessage": "Runtime exited during init", "errorType": "Runtime.ExitError"}
        if "error" in answer:
            self.kill()
            report: dict[str, Any] = answer["error"]
            return report
        self._started_log = self._drain()
        return None

    def _start_document(self, code: Path) -> dict[str, Any]:
        return {
            "handler": self.config["Handler"],
            "paths": [str(code), *self._layers()],
            "function_name": self.config["FunctionName"],
            "function_version": self.config.get("Version", "$LATEST"),
            "memory": self.config.get("MemorySize", 128),
            "timeout": float(self.config.get("Timeout", 3)),
            "log_group_name": f"/aws/lambda/{self.config['FunctionName']}",
            "log_stream_name": str(uuid4()),
        }

    def _layers(self) -> list[str]:
        resolve = original(lambda_svc, "_resolve_layer_zip")
        blobs = [resolve(reference) for reference in self.config.get("Layers") or []]
        return [path for blob in blobs if blob for path in packages.layer_paths(packages.unpack(blob))]

    def _environment(self, code: Path) -> Mapping[str, str]:
        own: dict[str, str] = (self.config.get("Environment") or {}).get("Variables") or {}
        region = self.config["FunctionArn"].split(":")[3]
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
            "AWS_EC2_METADATA_DISABLED": "true",
            **{name: str(value) for name, value in own.items() if name not in RESERVED},
            **execution_credentials(self.config),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": self.config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.config.get("MemorySize", 128)),
            "AWS_LAMBDA_FUNCTION_VERSION": self.config.get("Version", "$LATEST"),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self.config.get('Runtime', 'python')}",
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": self.config["Handler"],
            "PYTHONPATH": str(packages.runtime_folder()),
        }

    def _send(self, document: dict[str, Any]) -> None:
        process = self._proc
        if process and process.stdin:
            # A process that died is noticed when its answer fails to come.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(document) + "\n")
                process.stdin.flush()

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        """The next answer; None when the process has ended or the time is up."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer

    def _failed(self, report: dict[str, Any], cold: bool) -> dict[str, Any]:
        reported.error = report
        return {"status": "error", "error": report["errorMessage"], "cold_start": cold, "log": self._drain()}

    def _ended(self, cold: bool) -> dict[str, Any]:
        """No answer: the function ran out of time, or its process is gone."""
        timeout = self.config.get("Timeout", 3)
        alive = self._proc is not None and not _ends(self._proc)
        self.kill()
        if alive:
            error = f"Task timed out after {timeout}.00 seconds"
            return {"status": "error", "error": error, "cold_start": cold, "log": self._drain()}
        report = {"errorMessage": "Runtime exited without providing a reason", "errorType": "Runtime.ExitError"}
        return self._failed(report, cold)

    def _drain(self) -> str:
        """Log lines up to the end mark of the answer."""
        lines: list[str] = []
        deadline = time.monotonic() + LOG_SECONDS
        with contextlib.suppress(queue.Empty):
            while (line := self._log.get(timeout=max(0.0, deadline - time.monotonic()))) not in ("", f"{END_OF_LOG}\n"):
                lines.append(line)
        return "".join(lines)

    def _discard_tmpdir(self) -> None:
        """Unpacked code is shared and stays until the server ends."""


def _ends(process: subprocess.Popen[str]) -> bool:
    """Whether the process is gone; one that was killed closes its pipes a moment before."""
    try:
        process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        return False
    return True


def _pump(stream: IO[str], lines: queue.Queue[str]) -> None:
    """Move lines from a pipe to a queue; the empty line marks its end."""
    with contextlib.suppress(ValueError):
        for line in stream:
            lines.put(line)
    lines.put("")
