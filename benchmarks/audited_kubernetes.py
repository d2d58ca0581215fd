"""The embedded Kubernetes API with an audit log: a line of JSON for each request, in the file AUDIT_LOG names."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.kubernetes import __main__ as command_line
from local.kubernetes import server
from local.kubernetes.app import Api

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

AUDIT_LOG = "AUDIT_LOG"


class AuditedApi(Api):
    async def handle(self, request: Request) -> Response:
        """Serve one request and note who asked for what. A watch is noted when it begins."""
        response = await super().handle(request)
        entry = {
            "time": time.time(),
            "agent": request.headers.get("user-agent", ""),
            "method": request.method,
            "path": request.url.path,
            "watch": request.query_params.get("watch") in ("1", "true"),
            "status": response.status_code,
        }
        with Path(os.environ[AUDIT_LOG]).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        return response


if __name__ == "__main__":
    server.Api = AuditedApi  # type: ignore[attr-defined]
    sys.exit(command_line.main())
