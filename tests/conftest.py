"""What holds for every test: how many examples properties get, how long a busy machine may take, where files go."""

from __future__ import annotations

import gc
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from local import own_folders
from tests.support import properties
from tests.support.patience import within

properties.load_profile()

TEMPORARY = Path(__file__).parents[1] / ".local" / "tests"
_ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.MULTILINE)
_FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A worker gets the controller's options, with the deadline already prolonged, and its environment.
    if hasattr(config, "workerinput"):
        return
    if config.option.timeout:
        config.option.timeout = within(config.option.timeout)
    _use_own_temporary_folder(config)


def _use_own_temporary_folder(config: pytest.Config) -> None:
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    config.stash[_FOLDER] = Path(tempfile.mkdtemp(dir=TEMPORARY))
    own_folders.use(config.stash[_FOLDER])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of which every test is slow are not even imported by `make test`."""
    quick = config.option.markexpr == "not slow" and collection_path.name.startswith("test_")
    return True if quick and _ALL_SLOW.search(collection_path.read_text()) else None


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What a failed run left is kept: somebody will want to look at it."""
    folder = session.config.stash.get(_FOLDER, None)
    if folder and exitstatus == pytest.ExitCode.OK:
        session.config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Otherwise every full garbage collection looks at thousands of collected tests again."""
    gc.freeze()
