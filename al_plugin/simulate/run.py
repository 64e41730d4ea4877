"""One simulated campaign: an arm with one seed, from the first labels to the last budget."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from al_plugin import campaign
from al_plugin.axes import Floats, Ints
from al_plugin.campaign import Targets
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Inputs, Labeled, Model, Scoreboard
from al_plugin.math.sampling import id_hashes, keyed_order, mixed_keys
from al_plugin.rounds import seeds
from al_plugin.rounds.copies import pool_copies
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import Scored, score
from al_plugin.rounds.select import Asked, select
from al_plugin.rounds.train import Trained, train
from al_plugin.schemas import schema
from al_plugin.settings import Params
from al_plugin.simulate.data import Data
from al_plugin.simulate.plan import Arm, Plan, Seeds, seeds_of
from al_plugin.strategies.registry import Strategy

SCHEMA = schema("simulated_run")
MEASURED = ("accuracy", "balanced_accuracy", "nll", "ece")
_OF_TRAINING = ("pool_dispersion", "pool_flips")


def run(data: Data, params: Params, plan: Plan, arm: Arm, number: int) -> dict[str, Any]:
    """Metrics by number of labels of one seed, and a hash of the picks in their order."""
    own = seeds_of(plan.root, number, arm)
    pool, truth, evaluation = data.split(own.split)
    labeled = first_labels(pool, truth, plan, own.start).tolist()
    digest = sha256()
    alike = pool_copies(pool).get("within", [])
    curve: dict[str, list[Any]] = {name: [] for name in ("labels", *MEASURED)}
    first = 1 if plan.start else 0
    for round_number in range(first, first + plan.rounds + 1):
        # By id, as merging leaves them.
        rows = np.array(sorted(labeled, key=pool.ids.__getitem__), dtype=np.int64)
        known = Labeled([str(sample_id) for sample_id in pool.ids[rows]], truth[rows])
        strategies = arm.strategies(known.per_class(len(data.classes)))
        by_train, by_score, by_select = strategies
        task = params.train.settings()
        if not set(_OF_TRAINING) & {*by_score.signals, *by_select.signals}:
            task["dynamics_every"] = 0  # only looks on
        task |= {"threads": 1, "seed": seeds.number(own.model, round_number, "train")}
        knobs = params.knobs_of(by_train)
        trained = train(pool, known, evaluation, data.classes, by_train, task, knobs, round_number)
        if len(labeled):
            curve["labels"].append(len(labeled))
            for name in MEASURED:
                curve[name].append(trained.metrics["eval"][name])
        if len(labeled) == plan.end:
            break
        picks = _picked(pool, known, trained, strategies, params, plan, own, round_number, alike)
        digest.update("\0".join(picks).encode() + b"\1")
        labeled += pool.positions(picks).tolist()
    return {"schema": SCHEMA, "arm": arm.name, "seed": number, "picks": digest.hexdigest(), **curve}


def first_labels(pool: Pool, truth: Ints, plan: Plan, seed: int) -> Ints:
    """Positions of the first labels, drawn at random; ``balanced``: class by class in turn."""
    order = keyed_order(mixed_keys(id_hashes(pool.ids), seed), pool.ids)
    if plan.balanced:
        of_class = truth[order]
        turn = np.empty(len(order), dtype=np.int64)
        for label in np.unique(of_class):
            turn[of_class == label] = np.arange((of_class == label).sum())
        order = order[np.argsort(turn, kind="stable")]
    return order[: plan.start]


def _picked(
    pool: Pool,
    known: Labeled,
    trained: Trained,
    strategies: list[Strategy],
    params: Params,
    plan: Plan,
    own: Seeds,
    round_number: int,
    alike: Sequence[Sequence[str]],
) -> list[str]:
    """Sample ids of the next query, in order."""
    _, by_score, by_select = strategies
    named = {*by_score.signals, *by_select.signals}
    inputs = Inputs(
        pool,
        known,
        _targets(pool, params, own.strategy, round_number) if "target_mc_log_probs" in named else None,
        _answers(pool, known) if "annotations" in named else None,
    )
    model = Model(trained.card, trained.weights, campaign.signals_of(trained.dynamics))
    sampling = Sampling(own.strategy, params.score.passes, params.score.posterior, params.score.precision)
    scored = score(model, inputs, sampling, by_score, by_select, params.knobs_of(by_score))
    chosen = select(
        _board(pool, scored),
        _signals(scored),
        known,
        set(known.sample_ids),
        by_select,
        params.knobs_of(by_select),
        Asked(plan.n, params.select.random_share, 1, round_number, own.strategy),
        "",
        alike=alike,
    )
    return [row.sample_id for row in chosen.rows]


def _targets(pool: Pool, params: Params, seed: int, round_number: int) -> Floats:
    asked = Targets(params.score.target, params.score.targets, seeds.number(seed, round_number, "targets"))
    return campaign.read_targets(asked, pool, params)


def _answers(pool: Pool, known: Labeled) -> Ints:
    """One annotator who is right (N, 1), -1 where not asked."""
    found = np.full((len(pool), 1), -1, dtype=np.int32)
    found[pool.positions(known.sample_ids), 0] = known.labels
    return found


def _board(pool: Pool, scored: Scored) -> Scoreboard:
    (table,) = scored.tables.values()
    return campaign.board_of(table, pool.ids)


def _signals(scored: Scored) -> Mapping[str, np.ndarray]:
    (of_part,) = scored.signals.values()
    return {**of_part, **scored.shared}
