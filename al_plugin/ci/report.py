"""The check of label batches as Markdown, for a job's summary, an artifact or a comment."""

from collections.abc import Iterable, Iterator, Sequence

from al_plugin.ci.check import BadRow, Checked
from al_plugin.ci.words import cell, sentence

# GitHub takes 65,536 characters in a comment, GitLab a million.
_LONGEST = 60_000


def markdown(found: Checked, rows: int = 50, *, quarantine: bool = False) -> str:
    """Verdict, counts, and at most ``rows`` entries of each list. Text of people is shown, never interpreted."""
    text = "\n".join(_lines(found, rows, quarantine=quarantine)) + "\n"
    if len(text) <= _LONGEST:
        return text
    whole, _, _ = text[:_LONGEST].rpartition("\n")
    return f"{whole}\n\nThe rest does not fit here; `al ci check` prints all of it.\n"


def verdict(found: Checked, *, quarantine: bool = False) -> str:
    """One line for people."""
    if found.problems or (found.refused and not quarantine):
        counted = (_count(len(found.problems), "problem"), f"{_count(len(found.refused), 'answer')} refused")
        return ", ".join(text for text in counted if not text.startswith("0 "))
    if not found.batches:
        return "no new label batch"
    answers = sum(batch.answers for batch in found.batches)
    said = f"{_count(len(found.batches), 'new label batch')}, {_count(answers, 'answer')}"
    return f"{said}, {len(found.refused)} of them for the quarantine" if found.refused else f"{said}, all in order"


def _lines(found: Checked, rows: int, *, quarantine: bool) -> Iterator[str]:
    bad = bool(found.problems or (found.refused and not quarantine))
    yield f"### Label batches: {'not in order' if bad else 'in order'}"
    yield ""
    yield f"{verdict(found, quarantine=quarantine).capitalize()}, against {found.base[:12]}."
    yield from _section("Problems", [f"- {sentence(text)}" for text in found.problems], rows)
    if found.refused:
        yield from _table("Refused answers", ("file", "row", "sample", "label", "by", "why, what to do"))
        yield from (_refused(row) for row in found.refused[:rows])
        yield from _more(found.refused, rows)
    if found.batches:
        yield from _table("New batches", ("file", "by", "answers", "labelled", "refused", "agreement"))
        for batch in found.batches[:rows]:
            figures = (batch.answers, batch.labelled, batch.refused, _share(batch.agreement))
            yield _row(cell(batch.path), ", ".join(cell(name) for name in batch.annotators[:3]), *figures)
        yield from _more(found.batches, rows)
        yield ""
        classes = sorted(found.per_class.items(), key=lambda item: (-item[1], item[0]))
        counts = ", ".join(f"{cell(name)} {count}" for name, count in classes[:rows])
        yield f"Labels: {counts or 'none'}. Agreement with other annotators: {_share(found.agreement)}."
    yield from _section("Warnings", [f"- {sentence(text)}" for text in found.warnings], rows)
    yield from _section("Notes", [f"- {sentence(text)}" for text in found.notes], rows)


def _refused(row: BadRow) -> str:
    why = "; ".join(f"{reason}: {remedy}" for reason, remedy in zip(row.reasons, row.remedies, strict=True))
    return _row(cell(row.path), row.row, cell(row.sample_id), cell(row.label), cell(row.annotator), sentence(why))


def _section(title: str, lines: Sequence[str], rows: int) -> Iterator[str]:
    if lines:
        yield from ("", f"#### {title}", "", *lines[:rows])
        yield from _more(lines, rows)


def _table(title: str, heads: Sequence[str]) -> Iterator[str]:
    yield from ("", f"#### {title}", "", _row(*heads), _row(*("---" for _ in heads)))


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(text) for text in cells)} |"


def _more(listed: Sequence[object], rows: int) -> Iterable[str]:
    return ("", f"... and {len(listed) - rows} more") if len(listed) > rows else ()


def _share(value: float | None) -> str:
    return "none to compare" if value is None else f"{value:.0%}"


def _count(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("h") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
