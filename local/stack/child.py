"""`python -m local.stack.child MODULE [ARGUMENT ...]`: runs MODULE, and ends it when its parent is gone.

A parent that is killed cannot end its servers itself.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_LOOK_SECONDS = 1.0


def main() -> None:
    """Runs the module that the arguments name, and ends when the parent process ends."""
    parent = os.getppid()
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
