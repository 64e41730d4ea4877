"""One round without a person at the keyboard: pull, reproduce, judge, open the next query, push, commit.

Every step finds what an earlier, killed run did, or does it. Data are pushed before Git is, so that
no commit promises what the remote does not have.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_plugin import campaign, commands, layout, ledger, repair, store, waiting
from al_plugin.ci import gates, repository
from al_plugin.ci.gates import Verdict
from al_plugin.ci.words import sentence
from al_plugin.config import check_version
from al_plugin.data.answers import Answer, for_people
from al_plugin.data.queries import QueryRow, from_jsonl
from al_plugin.errors import CampaignError
from al_plugin.settings import Params
from al_plugin.stage import load_params
from al_plugin.tracking import promote

# Outputs that the round is judged and told by.
_READ = (
    *(layout.LABEL_METRICS, layout.TRAIN_METRICS, layout.SCORE_METRICS, layout.SELECT_METRICS),
    *(layout.CARD, layout.TRAINING_CURVE, layout.QUERY),
)


@dataclass(frozen=True)
class Plan:
    """What to do beside reproducing: ``push`` includes ``commit``; ``author`` as ``NAME <MAIL>``."""

    commit: bool = False
    push: bool = False
    promote: bool = False
    out: Path | None = None
    author: str | None = None
    remote: str = "origin"
    branch: str | None = None


@dataclass(frozen=True)
class Summary:
    """What became of the round. ``opened`` is the file of the open query, None where none is open."""

    round: int
    labels: int
    quarantined: int
    verdicts: tuple[Verdict, ...]
    query: int
    opened: str | None
    sheet: Path | None
    commit: str | None
    pushed: bool
    promotion: str | None
    notes: tuple[str, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Gates that the round does not pass."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passes)


def run(plan: Plan, say: Callable[[str], None]) -> Summary:
    """The round of the label batches that are here. A gate that fails stops the query, not the commit."""
    commands.require_git()
    commands.require_dvc()
    identity = repository.identity(plan.author) if plan.commit or plan.push else {}
    with _alone() as held:
        for line in repair.mended():  # a runner that keeps its clone may have been killed in an earlier round
            say(line)
        branch = (plan.branch or repository.branch()) if plan.push else ""
        if plan.commit or plan.push:
            repository.refuse_changes()
        has_remote = bool(commands.dvc("remote", "list"))
        if plan.push and not has_remote:
            raise CampaignError("no DVC remote is configured, so data cannot be pushed", change="dvc remote add -d ...")
        params = load_params()
        check_version(params)
        _reproduce(held, say, has_remote=has_remote)
        notes: list[str] = []
        verdicts, query = _judge(params, notes, compare=plan.promote or params.gate.max_drop is not None)
        number, labels, aside = campaign.read_round(), int(_labels()["labels"]), int(_labels()["quarantined"])
        opened = bool(ledger.filed_queries(number + 1))
        if query and not opened and all(verdict.passes for verdict in verdicts):
            with waiting.filing():
                ledger.file_query()
            opened = True
            # select watches the folder of queries; it says the same again, and dvc.lock is right.
            _repro(held, has_remote=has_remote)
        if plan.push:
            say("dvc push")
            commands.dvc("push")
        message = _message(number, labels, verdicts, opened=opened)
        commit = repository.commit(identity, message) if identity else None
        if plan.push:
            say(f"git push {plan.remote} {branch}")
            repository.push(plan.remote, branch)
        promotion = _promotion(params, verdicts[0]) if plan.promote and _fitted() else None
        sheet = _sheet(plan.out, number + 1, query) if plan.out and opened else None
        filed = ", ".join(map(str, ledger.filed_queries(number + 1))) if opened else None
        summary = Summary(
            number, labels, aside, verdicts, len(query), filed, sheet, commit, plan.push, promotion, tuple(notes)
        )
        if plan.out:
            lines = (f"- {sentence(line)}\n" for line in told(summary))
            store.write_bytes(plan.out / "summary.md", "".join(lines).encode())
        return summary


def judge(params: Params, *, compare: bool = True) -> tuple[Verdict, tuple[str, ...]]:
    """The quality gate on the round in the working tree, and notes on how it was judged."""
    notes: list[str] = []
    trained = store.read_json(layout.TRAIN_METRICS, "run dvc repro")
    value = gates.measure(trained, params.gate.metric)
    compared = gates.reference(params, notes) if compare and value is not None else None
    return gates.quality(params.gate, value, compared), tuple(notes)


def told(summary: Summary) -> Iterator[str]:
    """The summary in lines; nothing in it comes from people's answers."""
    aside = f", {summary.quarantined} answers in quarantine" if summary.quarantined else ""
    yield f"round {summary.round}: {summary.labels} labels{aside}"
    for verdict in summary.verdicts:
        yield f"{verdict.gate} {'passes' if verdict.passes else 'FAILS'}: {verdict.text}"
    if summary.promotion:
        yield summary.promotion
    if summary.commit:
        yield f"committed as {summary.commit[:9]}{' and pushed' if summary.pushed else ''}"
    yield from summary.notes
    if summary.opened:
        yield f"query {summary.round + 1} is open: {summary.query} samples, {summary.opened}"
        if summary.sheet:
            yield f"to fill in: {summary.sheet.name}, then al labels add {summary.sheet.name}"
    elif summary.failed:
        yield "no query was opened; see docs/ci.md on gates"
    else:
        yield "no query: every sample is labelled or pending"


def _judge(params: Params, notes: list[str], *, compare: bool) -> tuple[tuple[Verdict, ...], tuple[QueryRow, ...]]:
    content = store.read_bytes(layout.QUERY, "run dvc repro")
    query = from_jsonl(content, layout.QUERY)
    quality, said = judge(params, compare=compare)
    notes += said
    is_open = bool(ledger.filed_queries(campaign.read_round() + 1))
    return (quality, gates.budget(params.gate, int(_labels()["votes"]), query, is_open=is_open)), query


def _reproduce(held: int, say: Callable[[str], None], *, has_remote: bool) -> None:
    if has_remote:
        pointers = commands.git("ls-files", "-z", "--", "*.dvc").split("\0")
        inputs = [path for path in pointers if path]
        if inputs:
            say("dvc pull of the inputs")
            commands.dvc("pull", "--", *inputs)
    ledger.read_rounds()  # refuses a clone that lacks labels, before anything is computed
    say("dvc repro")
    _repro(held, has_remote=has_remote)
    missing = [path for path in (*_READ, layout.POOL) if not Path(path).exists()]
    if missing and has_remote:
        commands.dvc("pull", "--", *missing)


def _repro(held: int, *, has_remote: bool) -> None:
    # What did not change need not be here: it is pulled where a stage that runs wants it.
    commands.dvc_aloud("repro", *(("--pull", "--allow-missing") if has_remote else ()), held=(held,))


def _labels() -> dict[str, Any]:
    return store.read_json(layout.LABEL_METRICS, "run dvc repro")


def _promotion(params: Params, quality: Verdict) -> str:
    # Not a model that is a little worse, though the gate lets it pass: by and by the champion would sink.
    return "not promoted: worse than the champion" if quality.worse else promote.promote(params).message


def _fitted() -> bool:
    return bool(campaign.read_card()["fitted"])


def _message(number: int, labels: int, verdicts: Sequence[Verdict], *, opened: bool) -> str:
    head = f"Round {number}: {labels} labels" + (f", query {number + 1} opened" if opened else "")
    body = "\n".join(f"{one.gate} {'passes' if one.passes else 'fails'}: {one.text}" for one in verdicts)
    return f"{head}\n\n{body}"


def _sheet(folder: Path, number: int, query: Sequence[QueryRow]) -> Path:
    """The open query as a CSV to fill in; one that is there already is left alone."""
    path = folder / f"{layout.round_folder(number)}.csv"
    if not path.exists():
        blank = [Answer(row.query_id, row.sample_id, "", "", "") for row in query]
        store.write_bytes(path, for_people(blank, campaign.read_shown([row.sample_id for row in query])))
    return path


@contextmanager
def _alone() -> Iterator[int]:
    """The lock on rounds of this clone, as a file descriptor; a DVC that outlived its caller still holds it."""
    path = Path(layout.PRIVATE, "locks", "ci.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        waiting.take(descriptor, "another round of this clone")
        yield descriptor
    finally:
        os.close(descriptor)
