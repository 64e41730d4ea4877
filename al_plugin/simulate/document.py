"""The record of a simulation: what was asked, on what, what came of it, and what to keep in mind."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from al_plugin import __version__
from al_plugin.math.distinct import copied
from al_plugin.simulate.analysis import SCHEMA, Question, analysed
from al_plugin.simulate.data import PREFLIGHT, Data
from al_plugin.simulate.plan import REFERENCE, Arm
from al_plugin.simulate.results import Finished, Shared, key_of

# Beyond this share of the pool the arms draw together because little is left to choose from.
_CROWDED = 0.6


def document(shared: Shared, done: Sequence[Finished], question: Question) -> dict[str, Any]:
    """Everything that is known, as plain values. Arms with a failed run are listed and not compared."""
    data, plan, params = shared.data, shared.plan, shared.params
    failed = sorted((one for one in done if one.failure), key=lambda one: (one.arm.name, one.seed))
    broken = {one.arm.name for one in failed}
    whole = [arm for arm in plan.arms if arm.name not in broken]
    runs = {
        arm.name: [one.result for one in sorted(done, key=lambda one: one.seed) if one.arm == arm and one.result]
        for arm in whole
    }
    return {
        "schema": SCHEMA,
        "key": key_of(shared),
        "version": __version__,
        "data": _described(data),
        "plan": {
            "arms": [arm.name for arm in plan.arms],
            "seeds": plan.seeds,
            "root": plan.root,
            "start": plan.start,
            "n": plan.n,
            "rounds": plan.rounds,
            "budgets": plan.budgets,
        },
        "question": asdict(question),
        "settings": params.train.settings() | {"random_share": params.select.random_share},
        "strategies": {arm.name: _parts(arm, data) for arm in plan.arms},
        "results": analysed(runs, question) if REFERENCE in runs else None,
        "failures": [{"arm": one.arm.name, "seed": one.seed, "message": one.failure} for one in failed],
        "notes": _notes(shared, whole),
    }


def _described(data: Data) -> dict[str, Any]:
    pool, evaluation = data.sizes()
    return {
        "source": data.source,
        "digest": data.digest,
        "pool": pool,
        "evaluation": evaluation,
        "evaluation_share": data.share or None,
        "per_class": np.bincount(data.labels, minlength=len(data.classes)).tolist(),
        "classes": list(data.classes),
    }


def _parts(arm: Arm, data: Data) -> dict[str, str]:
    triple = arm.triple([10**6] * len(data.classes))
    return {"train": triple.train, "score": triple.score, "select": triple.select}


def _notes(shared: Shared, arms: Sequence[Arm]) -> list[str]:
    data, plan, notes = shared.data, shared.plan, []
    if data.source == PREFLIGHT:
        notes.append(
            "the simulated pool is what earlier queries asked for, not a random sample: "
            "on fresh data the arms may rank otherwise"
        )
    missing = _missing(data)
    if missing:
        notes.append(f"no label of the pool is {', '.join(missing)}: no arm can learn what is not there")
    if data.evaluation is not None:
        unseen = [name for i, name in enumerate(data.classes) if not (data.evaluation.labels == i).any()]
        if unseen:
            notes.append(f"the evaluation set holds no {', '.join(unseen)}: nothing is measured on it")
    copies = _copies(data)
    if copies:
        notes.append(f"{copies} evaluation samples are exact copies of pool samples: the metric flatters every arm")
    methods = {arm.name: _parts(arm, data)["train"] for arm in arms}
    own = [f"{name} ({method})" for name, method in methods.items() if method != "single"]
    if own:
        notes.append(f"{', '.join(own)} train otherwise: their differences hold model and choice together")
    if shared.params.select.random_share:
        notes.append(
            f"select.random_share: {shared.params.select.random_share:.0%} of every query is random in all arms"
        )
    used = plan.end / data.sizes()[0]
    if used > _CROWDED:
        notes.append(
            f"the last budget is {used:.0%} of the pool: little is left to choose from, and arms draw together"
        )
    return notes


def _copies(data: Data) -> int:
    """Evaluation samples, of the first seed, whose features stand in the pool too."""
    pool, _, evaluation = data.split(0)
    return int(copied(evaluation.features, pool.features).sum())


def _missing(data: Data) -> list[str]:
    counts = np.bincount(data.labels, minlength=len(data.classes))
    return [name for name, count in zip(data.classes, counts, strict=True) if count == 0]
