"""Finished runs, one file each under the content of what they were computed from."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from al_plugin import __version__, layout, store
from al_plugin.errors import DataError
from al_plugin.history import digest_of, digests_of
from al_plugin.named import source_of
from al_plugin.settings import Params
from al_plugin.simulate.data import Data
from al_plugin.simulate.plan import Arm, Plan
from al_plugin.simulate.run import MEASURED, SCHEMA, run
from al_plugin.simulate.workers import Outcome, outcomes

FOLDER = f"{layout.PRIVATE}/simulate"


@dataclass(frozen=True)
class Shared:
    """What every run is handed."""

    data: Data
    params: Params
    plan: Plan


@dataclass(frozen=True)
class Finished:
    """A run that ended: its result, or the message of its failure; ``fresh`` where it was computed now."""

    arm: Arm
    seed: int
    result: dict[str, Any] | None
    failure: str = ""
    fresh: bool = True


def key_of(shared: Shared) -> str:
    """Hash of data, budgets, root seed, settings and code version: what a run depends on besides arm and seed."""
    params, plan = shared.params, shared.plan
    sections = {name: asdict(getattr(params, name)) for name in ("score", "select")}
    sections["train"] = params.train.settings() | {"knobs": dict(params.train.knobs)}
    document = {
        "data": shared.data.digest,
        "plan": [plan.root, plan.start, plan.n, plan.rounds, plan.balanced],
        # Which strategies take part is the arm's business.
        "params": {name: {k: v for k, v in section.items() if k != "strategy"} for name, section in sections.items()},
        "own": _own_code(params, plan),
        "targets": _targets(params),
        "version": __version__,
    }
    return sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def finished(shared: Shared, jobs: int) -> Iterator[Finished]:
    """Every (arm, seed) of the plan: those on file first, then the others as they end, each filed at once."""
    folder = Path(FOLDER, key_of(shared))
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two that simulate the same, the second finds it done
        yield from _finished(shared, jobs, folder)


def _finished(shared: Shared, jobs: int, folder: Path) -> Iterator[Finished]:
    missing: list[tuple[Arm, int]] = []
    for number in range(shared.plan.seeds):
        for arm in shared.plan.arms:
            known = _read(folder, arm, number)
            if known is None:
                missing.append((arm, number))
            else:
                yield Finished(arm, number, known, fresh=False)
    for outcome in outcomes(_work, shared, missing, jobs):
        yield _filed(folder, outcome)


def _work(shared: Shared, item: tuple[Arm, int]) -> dict[str, Any]:
    return run(shared.data, shared.params, shared.plan, *item)


def _filed(folder: Path, outcome: Outcome) -> Finished:
    arm, number = outcome.item
    if not outcome.failure:
        store.write_json(_path(folder, arm, number), outcome.result)
    return Finished(arm, number, outcome.result, outcome.failure)


def _read(folder: Path, arm: Arm, number: int) -> dict[str, Any] | None:
    """The run on file, or None where there is none that can be read."""
    try:
        found = store.read_json(_path(folder, arm, number), "run it")
    except DataError:
        return None
    asked = {"schema": SCHEMA, "arm": arm.name, "seed": number}
    return found if all(found.get(name) == value for name, value in asked.items()) and _is_whole(found) else None


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Whether it holds what ``run`` gives: the picks, and as many numbers of each metric as budgets."""
    columns = [found.get(name) for name in ("labels", *MEASURED)]
    lists = [column for column in columns if isinstance(column, list) and all(type(x) in (int, float) for x in column)]
    return isinstance(found.get("picks"), str) and len(lists) == len(columns) and len({len(c) for c in lists}) == 1


def _path(folder: Path, arm: Arm, number: int) -> Path:
    return folder / f"{quote(arm.name, safe='+')}-{number:04d}.json"


def _own_code(params: Params, plan: Plan) -> Mapping[str, str]:
    """Hash of the modules that a run imports by name: strategies, the network, and what a knob names (an estimator)."""
    names: list[str] = [part for arm in plan.arms for part in arm.recipe.split("+")]
    sections = (params.train, params.score, params.select)
    knobs = [value for section in sections for knobs in section.knobs.values() for value in knobs.values()]
    names += [params.train.network, *(value for value in knobs if isinstance(value, str))]
    files = {name.partition(":")[0]: source_of(name) for name in sorted(names) if ":" in name}
    return {module: digest_of(path) for module, path in files.items() if path is not None}


def _targets(params: Params) -> Mapping[str, str]:
    """Hash of every file of the target inputs where they are not the pool: tables, arrays beside them, images."""
    if params.score.target == layout.POOL:
        return {}
    return digests_of(Path(params.score.target))
