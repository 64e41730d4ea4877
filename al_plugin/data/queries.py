"""Queries: what to label next, one JSON object per line, by rank."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b

from al_plugin.errors import LabelError
from al_plugin.schemas import refuse_newer, schema

SCHEMA = schema("query")
KINDS = ("query", "random", "gold", "relabel")


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
    if dash and tail and head[:1] == "r" and head[1:].isascii() and head[1:].isdigit():
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
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        try:
            values = json.loads(line)
            row = QueryRow(**{key: value for key, value in values.items() if key in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise LabelError(f"{where} line {number} is not a query row ({error})") from error
        if not isinstance(row.query_id, str) or not isinstance(row.sample_id, str):
            raise LabelError(f"{where} line {number} has an id that is no text")
        refuse_newer(row.schema, f"{where} line {number}")
        if not isinstance(row.schema, str) or row.schema.partition("/")[0] != "query":
            raise LabelError(f"{where} line {number} has schema {row.schema!r}, not {SCHEMA}")
        rows.append(row)
    return tuple(rows)
