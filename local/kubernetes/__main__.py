"""`python -m local.kubernetes`: a Kubernetes API server for the local stack."""

from __future__ import annotations

import sys

from local.kubernetes import envtest, options, server


def main() -> int:
    """Runs the embedded API, or the real one with `KUBEBUILDER_ASSETS`, until it is stopped; returns the exit
    status."""
    try:
        given = options.parse()
        if given.assets is not None:
            envtest.run(given, given.assets)
        else:
            server.run(given)
    except options.UsageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
