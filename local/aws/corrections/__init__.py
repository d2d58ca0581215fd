"""Corrections of MiniStack: each restores one behaviour of AWS that the project relies on.

Corrections replace private names. Each gets what it replaces through ``original``, so the server refuses to start and
names the missing part when a new version of MiniStack no longer has it. One test each is in tests/stack/aws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.aws.corrections import (
    cloudformation,
    cloudwatch,
    eks,
    function_urls,
    lambda_functions,
    logs,
    service_quotas,
    sqs,
)
from local.aws.iam import corrections as iam
from local.aws.step_functions import corrections as step_functions

if TYPE_CHECKING:
    from local.aws.faults import Faults
    from local.aws.functions.concurrency import Concurrency
    from local.aws.functions.conditions import FunctionConditions
    from local.aws.settings import Settings
    from local.aws.switches import Switches


def install(
    settings: Settings, faults: Faults, switches: Switches, conditions: FunctionConditions, concurrency: Concurrency
) -> None:
    """Apply every correction once, before the first request."""
    eks.install(settings, switches)
    lambda_functions.install(conditions, concurrency)
    function_urls.install(settings.region)
    step_functions.install(faults, switches)
    cloudformation.install()
    cloudwatch.install()
    iam.install(switches)
    service_quotas.install()
    logs.install()
    sqs.install()
