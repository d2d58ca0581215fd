"""Cluster tokens that `aws eks get-token` signs for this server instead of AWS's own STS."""

from __future__ import annotations

import base64
import binascii
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ministack.services import eks

from local.aws.corrections.guard import original, replace

if TYPE_CHECKING:
    from local.aws.settings import Settings

_PREFIX = "k8s-aws-v1."
_LONGEST = 16384


def install(settings: Settings) -> None:
    """With AWS_ENDPOINT_URL the AWS CLI signs a URL of this server. Here that is the region's STS, as for every call.

    MiniStack refuses such a token for its host. Everything else is still checked: the signature (over the host that was
    signed), its age, and whose key made it.
    """
    decode = original(eks, "_decode_aws_iam_token")
    own = {f"{host}:{settings.port}" for host in ("localhost", "127.0.0.1")}

    def decode_token(token: str) -> Any:
        return decode(token) or _of_this_server(token, own)

    replace(eks, "_decode_aws_iam_token", decode_token)


def _of_this_server(token: Any, own: set[str]) -> tuple[SimpleNamespace, dict[str, list[str]]] | None:
    """The parts of the signed URL as the verifier reads them; None for a URL of another server."""
    if not isinstance(token, str) or not token.startswith(_PREFIX) or len(token) > _LONGEST:
        return None
    encoded = token.removeprefix(_PREFIX)
    try:
        url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except (binascii.Error, ValueError):
        return None
    query = parse_qs(url.query, keep_blank_values=True)
    scope = (query.get("X-Amz-Credential") or [""])[0].split("/")
    single = all(len(values) == 1 for values in query.values())
    if url.scheme != "http" or url.netloc not in own or url.path not in ("", "/") or len(scope) != 5 or not single:
        return None
    # `netloc` is what was signed; `hostname` is what the verifier compares with the region's STS.
    parts = SimpleNamespace(netloc=url.netloc, path=url.path, hostname=f"sts.{scope[2]}.amazonaws.com")
    return parts, query
