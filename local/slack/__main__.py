"""`python -m local.slack`: the Slack workspace on a loopback port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import errno
import sys
from pathlib import Path
from urllib.parse import urlsplit

from local.slack.server import HOST, bind, run_until_signalled
from local.slack.services import Settings


def main(arguments: list[str] | None = None) -> int:
    """Runs the workspace until it is stopped; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        listener = bind(options.port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else "needs privileges"
        sys.stderr.write(f"--port {options.port} {reason}: choose another one, or 0 for any free port.\n")
        return 2
    base_url = f"http://{HOST}:{listener.getsockname()[1]}"
    settings = Settings(
        base_url,
        options.signing_secret,
        options.bot_token,
        options.interactivity_url,
        options.answer_seconds,
        options.state,
    )
    sys.stdout.write(f"Slack workspace: {base_url}/ (Web API: {base_url}/api/)\n")
    sys.stdout.flush()
    asyncio.run(run_until_signalled(listener, settings))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.slack", description=__doc__)
    parser.add_argument("--port", type=_port, default=4580, help="loopback port, 0: any free one (4580)")
    parser.add_argument("--signing-secret", type=_not_empty, required=True, help="signs what the app gets")
    parser.add_argument("--bot-token", type=_not_empty, required=True, help="the token the app must send")
    parser.add_argument("--interactivity-url", type=_http_url, help="where clicks are sent; can be set later")
    parser.add_argument(
        "--answer-seconds", type=float, default=3.0, help="what the app has to acknowledge (3, as Slack)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where the workspace is kept: started again with the same file, also after kill -9, it goes on with it",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL: give one that starts with http:// or https://")
    return text


if __name__ == "__main__":
    sys.exit(main())
