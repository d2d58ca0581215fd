"""Hostile JSON text: what real documents become when parts are missing, wrong, huge, deep or meant to harm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ip_remediator.signals.error_catalogue import WORDINGS

HUGE = 10_000_000
# Around Python's recursion limit, where one step of the work may pass and the next one fail; and far beyond.
DEPTHS = (50, 400, 480, 900, 950, 975, 990, 995, 1_000, 2_000, 100_000)

STRINGS = (
    "",
    " ",
    "\x00",
    "pod\x00name",
    "line\nbreak\r\n\tand tab",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe\u202c",
    "\u2066isolate\u2069\u200f",
    "\ufeffbom",
    "\u2028\u2029\x85",
    "zero\u200bwidth\u200djoiner",
    "\ud800",
    "lone \udfff surrogate",
    "\U0001f525" * 300,
    "e\u0301" * 600,
    "\uffff\ufdd0\U0010ffff",
    "\u0660\u0661\u0662",
    "none",
    "null",
    "NaN",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "{{ .Message }}",
    "'; DROP TABLE incidents; --",
    "*_~`<@U123|x> <!channel>",
    "a" * 253,
    "a" * 254,
    "x" * 5_000,
    "shop-prod\n",
    "default/nginx/extra",
    "eks-ip-remediator:cluster=shop-prod",
    "eks-ip-remediator:cluster=\u202e",
    'pod="' * 500,
    "eniconfigs.crd.k8s.amazonaws.com " * 400,
    "max ENI limit " * 800,
)
TIMES = (
    "0001-01-01T00:00:00+23:59",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:01Z",
    "0001-01-03T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59.999999Z",
    "0000-00-00T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-03-02T24:00:00Z",
    "2026-03-02T08:14:60Z",
    "2026-03-02",
    "2026-W10-1",
    "20260302T081402Z",
    "2026-03-02T08:14:02",
    "2026-03-02T08:14:02.123456789Z",
    "-2026-03-02T08:14:02Z",
    "+12026-03-02T08:14:02Z",
    "2026-03-02T08:14:02+99:99",
    "2026-03-02T08:14:02.212+0000",
    "\u0662\u0660\u0662\u0666-03-02T08:14:02Z",
    "2026-03-02T08:14:02\ud800",
)
# What the parsers look at: a change elsewhere changes nothing.
READ = frozenset(
    re.findall(
        r"\S+",
        """
    ClusterName NodeName description metrics timestamp value
    clusterName creationTimestamp eventTime firstTimestamp host kind lastObservedTime lastTimestamp message name
    namespace reason reportingComponent reportingInstance topology.kubernetes.io/zone uid
    cause cluster excerpt first_seen id last_seen node pod source strength time zone
    log logEvents logGroup
    firstSeen format lastSeen
    regarding note series attributes resource tags body object event labels title
    AlarmName NewStateValue Trigger Dimensions alerts annotations expression query
    eventName errorCode requestParameters key subnetId StatusMessage issues code affectedEntities
    action_id block_id response_url type username
    """,
    )
)
NUMBERS = (
    0,
    -1,
    1,
    -62135596800000,
    253402300799999,
    2**31,
    2**53,
    2**63,
    -(2**63) - 1,
    2**64,
    10**25,
    10**400,
    0.1,
    -0.0,
    1e308,
    1772439242118,
)
# As text, because json.dumps writes none of them.
LITERALS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    "1e-400",
    "9" * 4_000,
    "9" * 5_000,
    "0.1e9999999999",
    "-0",
    "01",
    "1.",
    "tru",
    '"\\ud800"',
    '"\\u0000"',
    '"\\x"',
    "[" * 30 + "]" * 30,
    "{}",
    "[]",
    "",
)


def value(rng: Random) -> Any:
    """Any JSON value, mostly small."""
    kind = rng.randrange(12)
    if kind < 4:
        return text(rng)
    if kind < 6:
        return rng.choice(NUMBERS)
    if kind < 8:
        return rng.choice((None, True, False))
    if kind < 10:
        return [value(rng) for _ in range(rng.randrange(3))]
    return {text(rng): value(rng) for _ in range(rng.randrange(3))}


def text(rng: Random) -> str:
    """Hostile text, a time, words of the classification, or random characters of any plane."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(STRINGS)
    if kind == 3:
        return rng.choice(TIMES)
    if kind < 6:
        return rng.choice(WORDINGS).example + rng.choice(("", " ", rng.choice(STRINGS)))
    return "".join(chr(rng.randrange(0x110000 if rng.random() < 0.5 else 0x180)) for _ in range(rng.randrange(40)))


def edit(document: Any, rng: Random) -> None:
    """Change one part of a document, at any depth: another value, another type, gone, or in an unexpected place."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return
        key = rng.choice(keys)
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            place = inner
            continue
        break
    change = rng.randrange(6)
    if change == 0:
        del place[key]
    elif change == 1 and isinstance(place, dict):
        place[text(rng)] = inner
    elif change == 2:
        place[key] = rng.choice(([inner], {"inner": inner}, str(inner), [inner] * 20))
    else:
        place[key] = value(rng)


def reword(document: Any, rng: Random) -> None:
    """Change one of the values that the parsers look at."""
    places = [place for place in _objects(document) if not READ.isdisjoint(place)]
    if places:
        place = rng.choice(places)
        key = rng.choice([key for key in place if key in READ])
        place[key] = text(rng) if rng.random() < 0.8 else value(rng)


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
        if isinstance(one, dict | list):
            waiting.extend(one.values() if isinstance(one, dict) else one)


def damage(document: str, rng: Random) -> str:
    """The document's text, broken as transport and hand editing break it."""
    at = rng.randrange(len(document) + 1)
    change = rng.randrange(7)
    if change == 0:
        return document[:at]
    if change == 1:
        return document[at:]
    if change == 2:
        return document[:at] + chr(rng.randrange(0x300)) + document[at + 1 :]
    if change == 3:
        return document[:at] + document
    return _after(document, rng, '": ' if change < 6 else "{", _literal if change < 6 else _twice)


def _after(document: str, rng: Random, mark: str, make: Callable[[str, Random], str]) -> str:
    """The document with something put in behind a random `mark`."""
    start = document.find(mark, rng.randrange(len(document) + 1))
    if start < 0:
        return document
    end = start + len(mark)
    return document[:end] + make(document[end:], rng)


def _literal(rest: str, rng: Random) -> str:
    """A literal in the place of the value that `rest` begins with, or of a part of it."""
    cut = min(at for at in (rest.find(","), rest.find("}"), len(rest)) if at >= 0)
    return rng.choice(LITERALS) + rest[cut:]


def _twice(rest: str, rng: Random) -> str:
    """A member before the others whose key may come again."""
    key = rng.choice(("reason", "source", "detail", "cluster", "clusterName", "message", "logEvents", "involvedObject"))
    return f"{json.dumps(key)}: {json.dumps(value(rng))}, {rest}"


def deep(document: str, rng: Random, levels: int) -> str:
    """The document with a nested value, of arrays or of objects."""
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    nested = opening * levels + "1" + closing * levels
    return _after(document, rng, '": ', lambda rest, _: nested + rest[_end_of_value(rest) :])


def deeply_nested(document: str) -> bool:
    return "[" * 400 in document or '{"a":' * 400 in document


def _end_of_value(rest: str) -> int:
    try:
        return json.JSONDecoder().raw_decode(rest)[1]
    except ValueError:
        return 0


def huge(document: Any, rng: Random) -> str:
    """The document with ten million characters in the place of a text."""
    unit = rng.choice(("a", "\u202e", "\U0001f525", 'pod="a', "9", " ", "aws-cni ", "\\", "{"))
    filler = unit * (HUGE // len(unit))
    place = document
    while isinstance(place, dict) and place:
        key = rng.choice(list(place))
        if not isinstance(place[key], dict):
            place[key] = filler
            break
        place = place[key]
    return json.dumps(document, ensure_ascii=False)


def mutant(sample: str, rng: Random) -> str:
    """A document made from a sample: now and then the sample itself, mostly one that is wrong somewhere."""
    kind = rng.random()
    if kind < 0.02:
        return sample
    if kind < 0.25:
        return damage(sample, rng)
    if kind < 0.27:
        return json.dumps(value(rng))
    if kind < 0.28:
        return deep(sample, rng, rng.choice(DEPTHS) + rng.randrange(-3, 4))
    document = json.loads(sample)
    if kind < 0.2801:
        return huge(document, rng)
    for _ in range(1 + int(rng.expovariate(0.7))):
        change = reword if rng.random() < 0.6 else edit
        change(document, rng)
    edited = json.dumps(document)
    return damage(edited, rng) if kind > 0.97 else edited
