"""Partitions of AWS other than the commercial one: ARNs that begin with arn:aws-us-gov or arn:aws-cn.

MiniStack writes "arn:aws:" into its source wherever it makes or reads an ARN. For a region of another partition its
modules are compiled from a text in which that partition stands instead, so that ARNs are right everywhere: in answers,
in policies, in the environment of functions, in definitions of state machines. An ARN of the wrong partition then fits
nothing, as on AWS.
"""

from __future__ import annotations

import importlib.machinery
import re
import sys
from functools import cache
from typing import TYPE_CHECKING

import botocore.session
from botocore.exceptions import UnknownRegionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

PACKAGE = "ministack"
# Where an ARN that was taken apart is checked.
_COMPARED = re.compile(r'(\bpartition (?:==|!=) )"aws"')
COMMERCIAL = "aws"


@cache
def partition_of(region: str) -> str:
    """The partition of a region, such as "aws-us-gov" of us-gov-west-1. ValueError for a region that nobody knows."""
    try:
        return str(botocore.session.get_session().get_partition_for_region(region))
    except UnknownRegionError:
        raise ValueError(f"{region} is not a region of AWS, such as ap-northeast-2 or us-gov-west-1") from None


def install(region: str) -> None:
    """Make MiniStack, which must not have been imported yet, speak of the partition of ``region``."""
    partition = partition_of(region)
    if partition == COMMERCIAL:
        return
    if PACKAGE in sys.modules:
        raise RuntimeError("the partition must be set before MiniStack is imported")
    sys.meta_path.insert(0, _Finder(partition))


class _Finder:
    """Finds MiniStack's modules as usual, and has their source changed before it is compiled."""

    def __init__(self, partition: str) -> None:
        self._partition = partition

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec with another loader; None for modules of other packages."""
        if name.partition(".")[0] != PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._partition)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, partition: str) -> None:
        super().__init__(name, path)
        self._partition = partition

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - a loader is of one module
        """Compiled anew each time: a cached file would be that of the commercial partition."""
        text = self.get_data(self.path).decode()
        text = text.replace("arn:aws:", f"arn:{self._partition}:")
        text = text.replace('"AWS::Partition": "aws"', f'"AWS::Partition": "{self._partition}"')
        text = _COMPARED.sub(rf'\1"{self._partition}"', text)
        return self.source_to_code(text.encode(), self.path)
