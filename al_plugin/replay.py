"""Rebuild a past round in a temporary clone, or take what was kept of it, and compare every output."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from al_plugin import causes, clones, commands, history, layout, witness
from al_plugin.documents import read_yaml
from al_plugin.environment import differences, environment
from al_plugin.errors import AlError, CampaignError

_UNRECORDED = "the round recorded no environment: platform, library versions or thread count may differ"
_DAMAGED = "what is kept under those hashes has other content: remove it from the cache and run dvc fetch"


@dataclass(frozen=True)
class Replayed:
    """What became of a round: so many outputs were compared.

    ``stage`` is the first that differs, "" where none does, with its ``outputs`` that do; ``causes``
    what differs between then and now, the likeliest first; ``note`` what is not known of that.
    ``trouble`` is why it could not be rebuilt, else "".
    """

    compared: int
    stage: str = ""
    outputs: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    note: str = ""
    trouble: str = ""

    @property
    def identical(self) -> bool:
        """Whether everything was compared and is the same."""
        return not self.stage and not self.trouble


def recomputed(past: history.PastRound) -> Replayed:
    """Recompute a round from its data alone and compare.

    The clone gets the source data (pool, evaluation set, labels) from this repository's DVC cache or
    remote, never a stage's output and never the run-cache.
    """
    compared = len(history.outputs_of(past.lock))
    with clones.clone_at(past.commit) as folder:
        recorded = witness.environment_of(folder, past.number, past.outputs())
        shutil.rmtree(folder / layout.ENVIRONMENTS, ignore_errors=True)  # it is this one that train shall record
        rebuilt, trouble = past, ""
        try:
            clones.pull_sources(folder, past.lock)
        except AlError as error:
            return Replayed(compared, trouble=str(error))
        try:
            commands.dvc("repro", "--no-run-cache", "select", cwd=folder)
            lock = read_yaml((folder / layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK)
            rebuilt = history.PastRound(past.number, past.commit, lock)
        except AlError as error:
            trouble = str(error)
        stage, outputs = _first_difference(past, rebuilt)
        if not stage and not trouble:
            return Replayed(compared)
        found = tuple(causes.differing_inputs(past, folder, (stage,) if stage else history.STAGES))
        now = witness.environment_of(folder, past.number, rebuilt.outputs()) or environment(_device(past))
    known = () if recorded is None else tuple(differences(recorded, now))
    note = _UNRECORDED if recorded is None else "" if known else "the environment is the recorded one"
    return Replayed(compared, stage, outputs, (*found, *known), note, trouble)


def kept(past: history.PastRound) -> Replayed:
    """Compare what the DVC cache, or else the remote, has of a round's outputs with what its dvc.lock pins.

    Every file is hashed, nothing is computed. What is in neither is the ``trouble``.
    """
    outputs = history.outputs_of(past.lock)
    here = [history.cache_folder()]
    faults = {path: dict(_faults(path, digest, here)) for path, digest in outputs.items()}
    lacking = [path for path, found in faults.items() if "missing" in found.values()]
    trouble = ""
    if lacking and clones.remote() is not None:
        with clones.clone_at(past.commit) as folder:
            trouble = clones.fetch(folder, *lacking)
            places = [*here, clones.own_cache(folder)]
            faults |= {path: dict(_faults(path, outputs[path], places)) for path in lacking}
    missing = [path for found in faults.values() for path, fault in found.items() if fault == "missing"]
    lost = str(clones.nowhere(_listed(missing), trouble)) if missing else ""
    for stage in history.STAGES:
        own = (entry["path"] for entry in past.lock["stages"][stage].get("outs", []))
        damaged = tuple(path for out in own for path, fault in faults[out].items() if fault == "damaged")
        if damaged:
            return Replayed(len(outputs), stage, damaged, note=_DAMAGED, trouble=lost)
    return Replayed(len(outputs), trouble=lost)


def round_or_error(number: int, rounds: dict[int, history.PastRound]) -> history.PastRound:
    """The past round, or CampaignError naming those there are."""
    if number not in rounds:
        have = ", ".join(str(n) for n in rounds) or "none"
        raise CampaignError(
            f"no commit pins round {number}, found rounds: {have}",
            change="commit dvc.lock after dvc repro" if not rounds else "name one of those",
        )
    return rounds[number]


def _faults(path: str, digest: str, places: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(path, missing or damaged) of each file of an output that no cache holds with the content it is named by."""
    held = [place / digest[:2] / digest[2:] for place in places]
    held = [file for file in held if file.is_file()]
    good = next((file for file in held if history.digest_of(file) == digest.removesuffix(".dir")), None)
    if good is None:
        yield path, "damaged" if held else "missing"
    elif digest.endswith(".dir"):
        for entry in json.loads(good.read_bytes()):
            yield from _faults(f"{path}/{entry['relpath']}", entry["md5"], places)


def _first_difference(before: history.PastRound, after: history.PastRound) -> tuple[str, tuple[str, ...]]:
    now = history.outputs_of(after.lock)
    for name in history.STAGES:
        old = before.lock["stages"][name].get("outs", [])
        outputs = tuple(entry["path"] for entry in old if now.get(entry["path"]) != entry.get("md5"))
        if outputs:
            return name, outputs
    return "", ()


def _device(past: history.PastRound) -> str:
    """What train.device asked for."""
    pinned = past.lock["stages"]["train"].get("params", {}).get(layout.PARAMS, {})
    return str((pinned.get("train") or {}).get("device", "cpu"))


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more files" if len(paths) > 3 else "")
