"""Queries: what to label next, one JSON object per line, by rank."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from math import isfinite
from typing import Any

from al_plugin.errors import LabelError
from al_plugin.foreign import parsed
from al_plugin.schemas import refuse_newer, schema

SCHEMA = schema("query")
KINDS = ("query", "random", "gold", "relabel")
_LONGEST = 12
_TEXTS, _COUNTS, _NUMBERS = (
    ("query_id", "sample_id", "kind", "reason", "schema"),
    ("rank", "annotators"),
    ("score", "propensity"),
)


@dataclass(frozen=True)
class QueryRow:
    """One sample to label.

    ``kind`` query (the strategy's pick), random (uniform share, with its inclusion probability in
    ``propensity``), gold or relabel. ``score`` is null where the model gave none.
    """

    query_id: str
    sample_id: str
    rank: int
    score: float | None
    kind: str
    annotators: int
    propensity: float | None
    reason: str
    schema: str = SCHEMA


def query_ids(round_number: int, sample_ids: Sequence[str]) -> list[str]:
    """Ids ``rNNNN-<hash>``, NNNN being the label round that will answer.

    The hash covers the sample id and the whole list of samples, so that another query of the same
    round, even one that shares a sample, never shares an id.
    """
    whole = blake2b("\n".join(sample_ids).encode(), digest_size=16).digest()
    return [
        f"r{round_number:04d}-{blake2b(sample.encode(), digest_size=6, key=whole).hexdigest()}" for sample in sample_ids
    ]


def round_of(query_id: str) -> int:
    """The label round a query id names; LabelError where it has another form."""
    head, dash, tail = query_id.partition("-")
    if dash and tail and head[:1] == "r" and head[1:].isascii() and head[1:].isdigit() and len(head) < _LONGEST:
        return int(head[1:])
    raise LabelError(f"query id {query_id!r} is not of the form rNNNN-<hash>")


def to_jsonl(rows: Sequence[QueryRow]) -> bytes:
    """One object per line, keys sorted, UTF-8, LF."""
    lines = (json.dumps(asdict(row), sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def from_jsonl(content: bytes, where: str) -> tuple[QueryRow, ...]:
    """Rows of a query file, or LabelError naming the file and line."""
    known = {field.name for field in fields(QueryRow)}
    rows: list[QueryRow] = []
    # Not str.splitlines, which also breaks at marks that a sample id may hold.
    lines = content.removesuffix(b"\n").split(b"\n") if content.strip() else []
    for number, line in enumerate(lines, start=1):
        try:
            values = parsed(line.decode())
            refuse_newer(values.get("schema"), f"{where} line {number}")
            row = QueryRow(**_checked({key: value for key, value in values.items() if key in known}))
        except (ValueError, TypeError, AttributeError) as error:
            raise LabelError(f"{where} line {number} is not a query row ({error})") from error
        if row.schema.partition("/")[0] != "query":
            raise LabelError(f"{where} line {number} has schema {row.schema!r}, not {SCHEMA}")
        rows.append(row)
    return tuple(rows)


def _checked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same values, or ValueError where one is not of its field's type or range."""
    for name, value in values.items():
        counts = type(value) is int and 0 <= value < 2**31
        number = value is None or (type(value) in (int, float) and abs(value) < 2**53 and isfinite(value))
        fits = isinstance(value, str) if name in _TEXTS else counts if name in _COUNTS else number
        if not fits:
            raise ValueError(f"{name} is {value!r:.80}")
    return values
