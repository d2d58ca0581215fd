"""moto as MiniStack service modules: SigV4 and IAM are checked by MiniStack's gateway before moto is called."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from ministack.core.responses import get_account_id, get_region
from moto.ec2.exceptions import DryRunClientError, EC2ClientError
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import create_backend_app

from local.aws.ec2.errors import too_long_filter_value, too_many_filter_values
from local.aws.wire import error_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.switches import Switches

Response = tuple[int, dict[str, str], bytes]
HOP_HEADERS = frozenset({"content-length", "transfer-encoding", "host"})
DRY_RUN_STATUS = 412
CLIENT_ERROR_STATUS = 400
FILTER_VALUE = re.compile(r"Filter\.\d+\.Value\.\d+")
FILTER_VALUES, FILTER_VALUE_LENGTH = 200, 255


# moto's models are plain dictionaries, and its services reach into each other's; one request at a time keeps check and
# change together.
_LOCK = threading.Lock()


class MotoService:
    """The functions that MiniStack calls on a service module, answered by moto."""

    def __init__(self, service: Literal["ec2", "autoscaling"]) -> None:
        self._service = service
        self._application: Any = create_backend_app(service)

    async def handle_request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],  # noqa: ARG002 - always empty: the EC2 protocol posts forms
    ) -> Response:
        """Answer one request."""
        if is_dry_run(body):
            return dry_run()
        return await asyncio.to_thread(self._call, method, path, headers, body)

    def _call(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        forwarded = {name: value for name, value in headers.items() if name.lower() not in HOP_HEADERS}
        forwarded["Host"] = f"{self._service}.{get_region()}.amazonaws.com"
        with _LOCK:
            self.settle()
            try:
                with self.view(body):
                    answer = self._application.test_client().open(path, method=method, headers=forwarded, data=body)
            except EC2ClientError as error:
                return error_answer("ec2", str(error.code), str(error.message), CLIENT_ERROR_STATUS)
        return answer.status_code, dict(answer.headers), answer.data

    @contextmanager
    def view(self, _body: bytes) -> Iterator[None]:
        """Context in which the request is answered. EC2ClientError when it names something it cannot see yet."""
        yield

    def settle(self) -> None:
        """Apply changes of state that are due. Called before each request."""

    def get_state(self) -> None:
        """Nothing is persisted."""

    def load_persisted_state(self, data: object) -> None:
        """Nothing is persisted."""


class MotoEC2(MotoService):
    """EC2, with the delays of visibility that the server's settings ask for."""

    def __init__(self, switches: Switches) -> None:
        super().__init__("ec2")
        self._switches = switches

    @contextmanager
    def view(self, body: bytes) -> Iterator[None]:
        """Hides what the request may not see yet, because EC2 lists new resources late. Raises EC2's errors for
        wrong filters."""
        form = parse_qs(body.decode())
        check_filters(form)
        named = {value for values in form.values() for value in values}
        backend = _backend()
        backend.unit_limit = self._switches.ec2_network_address_units
        backend.peered_unit_limit = self._switches.ec2_peered_network_address_units
        with backend.seen_late(form.get("Action", [""])[0], named, self._switches):
            yield

    def settle(self) -> None:
        """Brings EC2's delayed state up to date."""
        _backend().settle()

    def reset(self) -> None:
        """Forget every EC2 resource (MiniStack's reset endpoint)."""
        ec2_backends.reset()


def _backend() -> Any:
    return ec2_backends[get_account_id()][get_region()]


def check_filters(form: dict[str, list[str]]) -> None:
    """EC2ClientError when a call has too many filter values, or one that is too long, which moto takes.

    "Up to 200 values per filter", says the EC2 User Guide ("List and filter using the CLI and API"); EC2 itself says
    "on a single call" (gossm #47), and of the length (ansible #84327).
    """
    values = [value for name, several in form.items() if FILTER_VALUE.fullmatch(name) for value in several]
    if len(values) > FILTER_VALUES:
        raise too_many_filter_values(FILTER_VALUES)
    if any(len(value) > FILTER_VALUE_LENGTH for value in values):
        raise too_long_filter_value(FILTER_VALUE_LENGTH)


def is_dry_run(body: bytes) -> bool:
    """Whether the request is a dry run. MiniStack has already checked the permissions at this point."""
    if b"DryRun=" not in body:
        return False
    return parse_qs(body.decode()).get("DryRun", [""])[0].lower() == "true"


def dry_run() -> Response:
    """DryRunOperation, EC2's way of saying "you may", for every action and without any effect."""
    error = DryRunClientError()
    return error_answer("ec2", str(error.code), str(error.message), DRY_RUN_STATUS)
