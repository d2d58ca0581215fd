"""moto's EC2 as a MiniStack service module: SigV4 and IAM are checked by MiniStack's gateway before it is called."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_region
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import create_backend_app

if TYPE_CHECKING:
    from local.aws.settings import Settings

Response = tuple[int, dict[str, str], bytes]
HOP_HEADERS = frozenset({"content-length", "transfer-encoding", "host"})


class MotoEC2:
    """The functions that MiniStack calls on a service module, answered by moto."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._application: Any = create_backend_app("ec2")
        # moto's models are plain dictionaries; one request at a time keeps check and change together.
        self._lock = threading.Lock()

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Response:
        """Answer one EC2 request; the query string is empty because the EC2 protocol posts forms."""
        return await asyncio.to_thread(self._call, method, path, headers, body)

    def _call(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        forwarded = {name: value for name, value in headers.items() if name.lower() not in HOP_HEADERS}
        forwarded["Host"] = f"ec2.{get_region()}.amazonaws.com"
        with self._lock:
            answer = self._application.test_client().open(path, method=method, headers=forwarded, data=body)
        return answer.status_code, dict(answer.headers), answer.data

    def reset(self) -> None:
        """Forget every EC2 resource (MiniStack's reset endpoint)."""
        ec2_backends.reset()

    def get_state(self) -> None:
        """Nothing is persisted."""

    def load_persisted_state(self, data: object) -> None:
        """Nothing is persisted."""
