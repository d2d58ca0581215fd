"""Code and layers on disk, unpacked once per content, and the packages that Lambda's Python runtime brings along."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

# "Runtime-included SDK versions" (lambda-python.html): the AWS SDK and what it needs; nothing else of this
# project's own environment, so that a package missing in a layer is missing here as well.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")

# Every change of the library makes a new layer.
UNUSED_SECONDS = 24 * 3600

_unpacking = threading.Lock()


def unpack(blob: bytes) -> Path:
    """Folder with the content of a zip file. Equal blobs share one folder, and so its compiled modules."""
    root = Path(os.environ["LAMBDA_CODE_DIR"])
    target = root / hashlib.sha256(blob).hexdigest()[:32]
    with _unpacking:
        if not target.exists():
            root.mkdir(parents=True, exist_ok=True)
            _remove_unused(root)
            partial = Path(tempfile.mkdtemp(dir=root))
            # ZipFile.extractall refuses absolute names and names that leave the folder.
            with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                archive.extractall(partial)
            _rename(partial, target)
        os.utime(target)
    return target


def _rename(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        # Another server was faster.
        if not target.exists():
            raise
        shutil.rmtree(partial)


def _remove_unused(root: Path) -> None:
    for folder in root.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def layer_paths(folder: Path) -> list[str]:
    """Folders of an unpacked layer that Lambda puts on sys.path (packaging-layers.html)."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (folder / "python", folder / "python" / "lib" / version / "site-packages")
    return [str(one) for one in candidates if one.is_dir()]


def runtime_folder() -> Path:
    """Folder with links to the runtime's packages: what /var/runtime is on AWS."""
    folder = Path(tempfile.gettempdir()) / "lambda-runtime"
    with _unpacking:
        if not folder.exists():
            folder.mkdir()
            for name in RUNTIME_PACKAGES:
                source = _location(name)
                (folder / source.name).symlink_to(source)
    return folder


def _location(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is part of Lambda's runtime but not installed here", name=name)
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin
