"""Items b: scores of T posterior samples."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, log_probs, our_score

MEMBERS, CLASSES = 20, 10


def members(function: Callable[[Array], Any], axes: tuple[int, int, int] = (0, 1, 2)) -> Callable[[Inputs], Run]:
    """A function of probabilities (T, N, C) with the axes in the order that it wants."""

    def prepare(inputs: Inputs) -> Run:
        probs = np.ascontiguousarray(np.exp(inputs["mc_log_probs"]).transpose(axes))
        return lambda _: function(probs)

    return prepare


def redux(inputs: Inputs) -> Run:
    batchbald = shims.load("batchbald_redux.batchbald")
    found = torch.from_numpy(np.ascontiguousarray(inputs["mc_log_probs"].transpose(1, 0, 2)))
    return lambda _: (batchbald.compute_entropy(found) - batchbald.compute_conditional_entropy(found)).numpy()


def plain_bald(p: Array) -> Array:
    tensor = torch.from_numpy(p)
    mean = tensor.mean(0)
    total: Array = (-(mean * torch.log(mean)).sum(1) + (tensor * torch.log(tensor)).sum(2).mean(0)).numpy()
    return total


def committee_item(key: str, ours: str, peers: tuple[Contestant, ...], goal: Goal, *, logs: bool) -> Item:
    return Item(
        key=key,
        title=f"{ours.replace('_', ' ')} {MEMBERS}x1e6x{CLASSES}",
        inputs=lambda count: {"mc_log_probs": log_probs(MEMBERS, count, CLASSES)},
        rows=1_000_000,
        small_rows=400,
        contestants=(our_score(ours), *peers),
        work=lambda count: Work(
            read=MEMBERS * count * CLASSES * 4, logs=(MEMBERS + 1) * count * CLASSES if logs else 0
        ),
        goal=goal,
    )


BALD = (
    Contestant(
        "small-text",
        members(lambda p: shims.load("small_text.query_strategies.bayesian")._bald(p), (1, 0, 2)),
        library="small-text",
        as_ours=lambda t: t * math.log(2),
    ),
    Contestant(
        "skactiveml",
        members(lambda p: shims.load("skactiveml.pool").average_kl_divergence(p)),
        library="scikit-activeml",
    ),
    Contestant(
        "baal",
        members(lambda p: shims.load("baal.active.heuristics").BALD().get_uncertainties(p), (1, 2, 0)),
        library="baal",
    ),
    Contestant("batchbald_redux", redux, library="batchbald_redux", share=0.02),
    Contestant("torch p·log p", members(plain_bald), "plain", note="NaN at p = 0"),
)
STD = (
    Contestant(
        "modAL",
        members(lambda p: shims.load("modAL.dropout")._mean_standard_deviation(list(p))),
        library="modAL",
    ),
    Contestant("np.std", members(lambda p: p.std(axis=0).mean(axis=1)), "plain"),
)
RATIO = (
    Contestant(
        "skactiveml",
        members(lambda p: shims.load("skactiveml.pool").variation_ratios(p.argmax(axis=-1).T)),
        library="scikit-activeml",
    ),
)

ITEMS = (
    committee_item("bald", "bald", BALD, Goal(2, 5, 50), logs=True),
    committee_item("mean-std", "mean_std", STD, Goal(2, 5, 50), logs=True),
    committee_item("variation-ratio", "variation_ratio", RATIO, Goal(10, 5, 50), logs=False),
)
