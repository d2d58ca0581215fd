"""What the values of options may be."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from ipaddress import IPv4Network

# AWS takes CIDRs of these prefix lengths.
_LARGEST_PREFIX, _SMALLEST_PREFIX = 16, 28
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def cidr(text: str) -> IPv4Network:
    """The value of an option that takes a CIDR. Like every reader here it raises argparse.ArgumentTypeError."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(not_a_cidr(text)) from error


def not_a_cidr(text: str) -> str:
    """What is wrong with it, and what may have been meant."""
    try:
        meant = IPv4Network(text, strict=False)
    except ValueError:
        return f"{text!r} is no IPv4 CIDR; write one such as 100.64.0.0/10"
    return f"{text!r} has bits behind its prefix; {meant} holds it"


def prefix(text: str) -> int:
    """A prefix length that AWS takes for a CIDR of a VPC or a subnet: 16 to 28 (Amazon VPC User Guide)."""
    if not (text.isascii() and text.isdigit() and _LARGEST_PREFIX <= int(text) <= _SMALLEST_PREFIX):
        raise argparse.ArgumentTypeError(f"{text!r} is no prefix length from {_LARGEST_PREFIX} to {_SMALLEST_PREFIX}")
    return int(text)


def block_prefix(text: str) -> int | str:
    """A prefix length, or "needed": as large as the plan needs."""
    return text if text == "needed" else prefix(text)


def url(text: str) -> str:
    """An http or https URL. Raises ArgumentTypeError."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no URL; write one such as https://example.com/slack")
    return text


def vpc_id(text: str) -> str:
    """The id of a VPC. Raises ArgumentTypeError."""
    if not re.fullmatch(r"vpc-[0-9a-f]{8,}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id of a VPC; write one such as vpc-0a1b2c3d4e5f67890")
    return text


def reason(text: str) -> str:
    """A text that is not blank. Raises ArgumentTypeError."""
    if not text.strip():
        raise argparse.ArgumentTypeError("say in a few words why, for the incident's record")
    return text


def ago(text: str) -> timedelta:
    """How long ago, for example 30m, 12h or 7d."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
