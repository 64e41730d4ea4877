"""Rebuild a past round in a temporary clone and compare every output."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_plugin import commands, history, layout
from al_plugin.config import read_yaml
from al_plugin.errors import CampaignError

STAGES = ("merge-labels", "train", "score", "select")


@dataclass(frozen=True)
class Difference:
    """The first stage whose outputs differ, the outputs, and the inputs that differ (may be none)."""

    stage: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]


def replay(past: history.PastRound) -> tuple[int, Difference | None]:
    """Recompute a round from its data alone; the number of outputs compared, and what differs.

    The clone gets the source data (pool, evaluation set, labels) from this repository's DVC cache,
    never a stage's output and never the run-cache.
    """
    with clone_at(past.commit) as folder:
        sources = sorted(str(path.relative_to(folder)) for path in folder.glob("data/*.dvc"))
        if sources:
            pull(folder, *sources)
        commands.dvc("repro", "--no-run-cache", "select", cwd=folder)
        rebuilt = read_yaml((folder / layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK)
    return sum(len(past.lock["stages"][name].get("outs", [])) for name in STAGES), _first_difference(past.lock, rebuilt)


def pull(folder: Path, *targets: str) -> None:
    """Bring files of a past commit into its clone from this repository's cache, or say how to get them."""
    try:
        commands.dvc("pull", "--remote", "replayed", *targets, cwd=folder)
    except CampaignError:
        raise CampaignError(
            "files of that round are not in this machine's DVC cache", change="run dvc fetch --all-commits first"
        ) from None


@contextmanager
def clone_at(commit: str) -> Iterator[Path]:
    """A temporary clone at ``commit`` with its own empty cache and this repository's as remote."""
    root = Path.cwd()
    scratch = Path(tempfile.mkdtemp(prefix="al-replay-"))
    try:
        folder = scratch / "clone"
        top = commands.require_git()
        commands.git("clone", "--quiet", "--no-checkout", "--shared", str(top), str(folder), cwd=scratch)
        commands.git("checkout", "--quiet", "--detach", commit, cwd=folder)
        campaign = folder / root.relative_to(top)
        shutil.rmtree(campaign / ".dvc" / "cache", ignore_errors=True)
        remote = str(history.cache_folder().parent.parent.resolve())
        commands.dvc("remote", "add", "--local", "replayed", remote, cwd=campaign)
        yield campaign
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def round_or_error(number: int, rounds: dict[int, history.PastRound]) -> history.PastRound:
    """The past round, or CampaignError naming those there are."""
    if number not in rounds:
        have = ", ".join(str(n) for n in rounds) or "none"
        raise CampaignError(
            f"no commit pins round {number}, found rounds: {have}",
            change="commit dvc.lock after dvc repro" if not rounds else "name one of those",
        )
    return rounds[number]


def _first_difference(before: dict[str, Any], after: dict[str, Any]) -> Difference | None:
    for name in STAGES:
        old, new = before["stages"][name], after["stages"][name]
        outputs = _differing(old.get("outs", []), new.get("outs", []))
        if outputs:
            inputs = _differing(old.get("deps", []), new.get("deps", []))
            changed = [key for key in old.get("params", {}) if old["params"][key] != new.get("params", {}).get(key)]
            return Difference(name, outputs, (*inputs, *changed))
    return None


def _differing(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> tuple[str, ...]:
    found = {entry["path"]: entry.get("md5") for entry in new}
    return tuple(entry["path"] for entry in old if found.get(entry["path"]) != entry.get("md5"))
