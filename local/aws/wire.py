"""Writes errors in the format of each AWS protocol, so that SDKs raise them with the right code."""

from __future__ import annotations

import json
from uuid import uuid4
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]


def error_answer(protocol: str, code: str, message: str, status: int) -> Answer:
    """(status, headers, body) of an error in ``protocol``: "ec2", "query", "json", "rest-json" or "cbor"."""
    request_id = str(uuid4())
    writer = {"ec2": _ec2, "query": _query, "cbor": _cbor}.get(protocol, _json)
    headers, body = writer(code, message, request_id)
    return status, {**headers, "x-amzn-requestid": request_id}, body


def _ec2(code: str, message: str, request_id: str) -> tuple[dict[str, str], bytes]:
    text = (
        f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error></Errors>"
        f"<RequestID>{request_id}</RequestID></Response>"
    )
    return {"content-type": "text/xml;charset=UTF-8"}, text.encode()


def _query(code: str, message: str, request_id: str) -> tuple[dict[str, str], bytes]:
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return {"content-type": "text/xml"}, text.encode()


def _json(code: str, message: str, _request_id: str) -> tuple[dict[str, str], bytes]:
    """JSON 1.0/1.1 read the code from the body, REST-JSON from the header: both are there."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": code}, body


def _cbor(code: str, message: str, _request_id: str) -> tuple[dict[str, str], bytes]:
    """A map of two texts in CBOR (RFC 8949): major type 5, then text strings of major type 3."""
    body = b"\xa2" + b"".join(_cbor_text(text) for text in ("__type", code, "message", message))
    return {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, body


def _cbor_text(text: str) -> bytes:
    encoded = text.encode()
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded
