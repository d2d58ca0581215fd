"""A local AWS for tests, with a certificate authority that nobody asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.aws.client import DEFAULT_REGION, LocalAws, running


@contextmanager
def local_aws(folder: Path, *options: str, region: str = DEFAULT_REGION) -> Iterator[LocalAws]:
    """`options` of `python -m local.aws`."""
    authority = folder / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\nlocal\n-----END CERTIFICATE-----\n")
    with running(folder / "state", authority, *options, region=region) as started:
        yield started
