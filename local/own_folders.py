"""Where this project's processes write what nobody asked for: temporary files and compiled modules, in ignored folders.

Browsers, Kubernetes clients, MiniStack and sam leave files behind. And Python compiles a module again at every start
unless it may keep the result, which many containers forbid (PYTHONDONTWRITEBYTECODE); the stack is made of dozens of
processes. The Makefile says the same for its commands, before their first import.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
TEMPORARY = _ROOT / ".local" / "tmp"
COMPILED = _ROOT / ".local" / "compiled"
# Where every stack unpacks the functions and layers that it runs: they are the same ones.
CODE = _ROOT / ".local" / "code"


def use(temporary: Path = TEMPORARY) -> None:
    """For this process and those that it starts; call it before an emulator is imported."""
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    # Where MiniStack, when a process imports it, writes its keys.
    os.environ["STATE_DIR"] = str(temporary / "ministack")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(COMPILED)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
