"""Assembles the ASGI application: MiniStack, moto's EC2 with the VPC's rules and its Auto Scaling, the corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ministack import app as ministack_app

from local.aws import autoscaling, corrections
from local.aws.control import Control
from local.aws.control_routes import ControlRoutes
from local.aws.corrections.guard import original
from local.aws.ec2 import backend
from local.aws.ec2.gateway import MotoEC2
from local.aws.event_history import EventHistory
from local.aws.faults import Faults
from local.aws.functions.concurrency import Concurrency
from local.aws.functions.conditions import FunctionConditions
from local.aws.switches import Switches

if TYPE_CHECKING:
    from local.aws.settings import Settings


def build(settings: Settings) -> Any:
    """The ASGI application for ``settings``. RuntimeError when an emulator no longer has a part we correct."""
    faults, switches, conditions = Faults(), Switches(), FunctionConditions()
    corrections.install(settings, faults, switches, conditions, Concurrency(switches))
    backend.install(settings.associating_seconds)
    autoscaling.install()
    original(ministack_app, "_loaded_modules").update(ec2=MotoEC2(switches), autoscaling=autoscaling.MotoAutoScaling())
    history = EventHistory(switches)
    history.install()
    routes = ControlRoutes(faults, switches, conditions)
    return Control(original(ministack_app, "app"), faults, routes, history)
