"""Code and layers on disk, unpacked once per content, and the packages that Lambda's Python runtime brings along."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

# "Runtime-included SDK versions" (lambda-python.html): the AWS SDK and what it needs; nothing else of this
# project's own environment, so that a package missing in a layer is missing here as well.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")

_unpacking = threading.Lock()


def unpack(blob: bytes) -> Path:
    """Folder with the content of a zip file. Equal blobs share one folder, and so its compiled modules."""
    root = Path(tempfile.gettempdir()) / "lambda-code"
    target = root / hashlib.sha256(blob).hexdigest()[:32]
    with _unpacking:
        if not target.exists():
            root.mkdir(exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=root))
            # ZipFile.extractall refuses absolute names and names that leave the folder.
            with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                archive.extractall(partial)
            partial.rename(target)
    return target


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
