"""Label rounds: the query that was asked and the files that answered it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from al_plugin.data.answers import Answer, batch_number
from al_plugin.data.queries import QueryRow
from al_plugin.errors import LabelError

# Round, file stem, query id, annotator.
Key = tuple[int, str, str, str]


@dataclass(frozen=True)
class AnswerFile:
    """A filed batch: its round, its file name and its answers in file order."""

    round: int
    name: str
    answers: tuple[Answer, ...]

    @property
    def stem(self) -> str:
        """The name of this file alone."""
        return self.name.removesuffix(".csv")

    @property
    def names(self) -> tuple[str, str]:
        """The names other answers use to supersede it: its own, and the one it shares with other clones' files."""
        number, annotator = batch_number(self.name)
        return self.stem, f"b{number:02d}--{annotator}"

    def key(self, answer: Answer) -> Key:
        """What identifies one of its answers among all filed ones: round, file, query, annotator."""
        return self.round, self.stem, answer.query_id, answer.annotator

    @property
    def batch(self) -> int:
        """Number of the batch, from its name."""
        return batch_number(self.name)[0]


@dataclass(frozen=True)
class LabelRound:
    """One folder ``data/labels/round_NNNN``."""

    number: int
    query: tuple[QueryRow, ...]
    files: tuple[AnswerFile, ...]


def refuse_gaps(numbers: Iterable[int]) -> None:
    """LabelError unless the round numbers are 1, 2, ..., R."""
    have = sorted(numbers)
    if have != list(range(1, len(have) + 1)):
        # The last may be any number that a folder's name can hold: the first few gaps are looked for, not all.
        missing = sorted(set(range(1, len(have) + 7)) - set(have))[:6]
        missing = [number for number in missing if number < have[-1]]
        raise LabelError(
            f"label rounds are not contiguous: have {_listed(have)}, missing {_listed(missing)}",
            change="pull the missing rounds (git pull; dvc pull data/labels.dvc where labels live in DVC)",
        )


def refuse_altered(folder: str, found: Mapping[str, str], promised: Mapping[str, str], *, pull: str) -> None:
    """LabelError unless files and their SHA-256 are exactly those the manifests promise.

    ``found`` and ``promised`` map file name to digest; ``pull`` says how to get missing files.
    """
    missing = sorted(promised.keys() - found.keys())
    if missing:
        raise LabelError(f"{folder} lacks {_listed(missing)}, which data/manifests promises", change=pull)
    strangers = sorted(found.keys() - promised.keys())
    if strangers:
        raise LabelError(
            f"{folder} holds {_listed(strangers)}, which no manifest names",
            change="file answers with `al labels add FILE`; after an interrupted one, run it again",
        )
    altered = sorted(name for name in promised if found[name] != promised[name])
    if altered:
        raise LabelError(
            f"{folder}: {_listed(altered)} was altered after it was filed",
            change="restore it with git checkout (or dvc checkout) and file a correction that supersedes it",
        )


def refuse_batch_gaps(folder: str, names: Sequence[str]) -> None:
    """LabelError unless each annotator's batches are numbered 1, 2, ... without gaps.

    A number may stand twice: each clone numbers after the batches that it knows.
    """
    by_annotator: dict[str, set[int]] = {}
    for name in names:
        number, annotator = batch_number(name)
        by_annotator.setdefault(annotator, set()).add(number)
    for annotator, have in sorted(by_annotator.items()):
        if sorted(have) != list(range(1, len(have) + 1)):
            raise LabelError(
                f"{folder}: batches of {annotator} are not contiguous: have {_listed(sorted(have))}",
                change="pull the missing files",
            )


def _listed(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")
