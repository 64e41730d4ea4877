"""Items e: BatchBALD; and EPIG, ActiveLab of g."""

from typing import Any

import numpy as np
import torch

from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, log_probs, our_score, our_select

MEMBERS, CLASSES, CONFIGURATIONS = 100, 10, 10_000
SAMPLED = "exact for 5 picks, then sampled"


def skactiveml(inputs: Inputs) -> Run:
    probs = np.exp(inputs["mc_log_probs"]).astype(np.float64)
    pool = shims.load("skactiveml.pool")

    def run(n: int) -> Array:
        gains = pool.batch_bald(probs.copy(), n, n_MC_samples=CONFIGURATIONS, random_state=0)
        picks: Array = np.nanargmax(gains, axis=1)
        return picks

    return run


def redux(inputs: Inputs) -> Run:
    batchbald = shims.load("batchbald_redux.batchbald")
    found = torch.from_numpy(np.ascontiguousarray(inputs["mc_log_probs"].transpose(1, 0, 2)))

    def run(n: int) -> Array:
        torch.manual_seed(0)
        batch = batchbald.get_batchbald_batch(found, n, CONFIGURATIONS, dtype=torch.double)
        return np.array(batch.indices)

    return run


def batch_item(key: str, rows: int, share: float) -> Item:
    def work(count: int) -> Work:
        sizes = [min(CLASSES**drawn, CONFIGURATIONS) for drawn in range(10)]
        return Work(
            flop=sum(2.0 * size * MEMBERS * CLASSES * count for size in sizes),
            logs=sum(1.0 * size * CLASSES * count for size in sizes),
        )

    return Item(
        key=key,
        title=f"BatchBALD T={MEMBERS}, C={CLASSES}, {CONFIGURATIONS} configurations, N={rows}, n=10",
        inputs=lambda count: {"mc_log_probs": log_probs(MEMBERS if count > 100 else 12, count, CLASSES)},
        rows=rows,
        small_rows=30,
        n=10,
        small_n=3,
        contestants=(
            our_select("batch_bald", configurations=CONFIGURATIONS),
            Contestant("skactiveml", skactiveml, library="scikit-activeml", share=share, note=SAMPLED),
            Contestant("batchbald_redux", redux, library="batchbald_redux", share=share, note=SAMPLED),
        ),
        work=work,
        goal=Goal(10, None, 50),
        agree="picks" if rows == 500 else "batch",
    )


def epig_inputs(count: int) -> dict[str, Array]:
    return {"mc_log_probs": log_probs(20, count, 10), "target_mc_log_probs": log_probs(20, 100, 10, seed=9)}


def epig_baal(inputs: Inputs) -> Run:
    heuristic = shims.load("baal.active.heuristics.heuristics").EPIG()
    pool, target = (
        np.ascontiguousarray(np.exp(inputs[name]).transpose(1, 2, 0))
        for name in ("mc_log_probs", "target_mc_log_probs")
    )
    return lambda _: heuristic.compute_score(pool, target)


EPIG = Item(
    key="epig",
    title="EPIG 20x1e4x10, 100 targets",
    inputs=epig_inputs,
    rows=10_000,
    small_rows=100,
    contestants=(our_score("epig"), Contestant("baal", epig_baal, library="baal")),
    work=lambda count: Work(flop=2.0 * count * 20 * 10 * 1000, logs=1e4 * count),
    goal=Goal(2, None, 50),
)


def annotated(count: int) -> dict[str, Array]:
    rng = np.random.default_rng(10)
    answers = rng.integers(10, size=(count, 3))
    return {
        "log_probs": log_probs(count, 10),
        "annotations": np.where(rng.random((count, 3)) < 0.7, answers, -1),
    }


def cleanlab(inputs: Inputs) -> Run:
    multiannotator: Any = shims.load("cleanlab.multiannotator")
    probs, given = np.exp(inputs["log_probs"].astype(np.float64)), inputs["annotations"]
    probs /= probs.sum(axis=1, keepdims=True)
    some = (given >= 0).any(axis=1)
    labels = np.where(given < 0, np.nan, given)[some]

    def run(_: int) -> Array:
        scores = np.empty(len(probs))
        scores[some], scores[~some] = multiannotator.get_active_learning_scores(labels, probs[some], probs[~some])
        return scores

    return run


ACTIVE_LAB = Item(
    key="active-lab",
    title="ActiveLab 2e4x3",
    inputs=annotated,
    rows=20_000,
    small_rows=300,
    contestants=(
        our_score("active_lab"),
        # It also fits a temperature and weighs annotators twice: tests/peers compares where that changes nothing.
        Contestant("cleanlab", cleanlab, library="cleanlab", checked=False),
    ),
    work=lambda count: Work(read=count * 10 * 4),
)

ITEMS = (batch_item("batch-bald", 500, 1.0), batch_item("batch-bald-1e4", 10_000, 0.05), EPIG, ACTIVE_LAB)
