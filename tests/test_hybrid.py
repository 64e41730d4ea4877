"""ALFA-Mix, DropQuery, SEALS, discriminative batches and learned scores: closed forms, brute force, properties."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from al_plugin.math.interpolation import class_means, flipped, steps_towards
from al_plugin.math.logistic import fit_logistic, logits
from al_plugin.math.representatives import nearest_to_centers
from al_plugin.strategies.score.learned import mal, vaal
from al_plugin.strategies.score.uncertainty import margin
from al_plugin.strategies.score.words import egl_word
from al_plugin.strategies.select.discriminative import discriminative
from al_plugin.strategies.select.dropped import drop_query, often_changed
from al_plugin.strategies.select.interpolation import alfa_mix
from al_plugin.strategies.select.shortlist import seals


def log_softmax(values: np.ndarray) -> np.ndarray:
    return values - np.logaddexp.reduce(values, axis=1, keepdims=True)


def linear_world(seed: int, *, classes: int = 3, width: int = 4, samples: int = 50) -> dict[str, np.ndarray]:
    """A linear head, a pool with its predictions, and labelled samples of every class."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(classes, width)), rng.normal(size=classes)
    points, known = rng.normal(size=(samples, width)) * 2, rng.normal(size=(3 * classes, width)) * 2
    return {
        "log_probs": log_softmax(points @ weight.T + bias),
        "embeddings": points,
        "labeled_embeddings": known,
        "labels": np.arange(3 * classes) % classes,
        "head_weight": weight,
    }


def alfa(world: dict[str, np.ndarray], n: int, seed: int = 0, **knobs: float) -> np.ndarray:
    return alfa_mix(**world, n=n, rng=np.random.default_rng(seed), **knobs)


def eligible(world: dict[str, np.ndarray], epsilon: float) -> np.ndarray:
    anchors = class_means(world["labeled_embeddings"], world["labels"])
    return flipped(world["log_probs"], world["embeddings"], anchors, world["head_weight"], epsilon)


def by_autograd(world: dict[str, np.ndarray], epsilon: float) -> np.ndarray:
    """The flip set with torch's gradient and the quotient for alpha, written out sample by sample."""
    weight, found = torch.from_numpy(world["head_weight"]), []
    bias = torch.from_numpy(world["log_probs"][0] - world["head_weight"] @ world["embeddings"][0])
    for row in world["embeddings"]:
        z = torch.from_numpy(row).requires_grad_()
        said = int((weight @ z + bias).argmax())
        loss = torch.nn.functional.cross_entropy((weight @ z + bias)[None], torch.tensor([said]))
        gradient = torch.autograd.grad(loss, z)[0]
        flips = False
        for label in np.unique(world["labels"]):
            gap = torch.from_numpy(world["labeled_embeddings"][world["labels"] == label].mean(axis=0)) - z.detach()
            alpha = (epsilon * gap.norm() * gradient / (gradient.norm() * gap)).clamp(0, 1)
            flips |= int((weight @ (z.detach() + alpha * gap) + bias).argmax()) != said
        found.append(flips)
    return np.array(found)


@pytest.mark.parametrize("seed", range(6))
def test_alfa_candidates_are_exactly_the_flip_set(seed: int) -> None:
    world = linear_world(seed)
    for epsilon in (0.05, 0.2, 0.5):
        assert (eligible(world, epsilon) == by_autograd(world, epsilon)).all()
    assert 0 < eligible(world, 0.2).sum() < 50


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=60)
def test_alfa_step_of_zero_has_no_candidates(seed: int, classes: int) -> None:
    """Also in float32, and where predictions and head do not belong together."""
    world = linear_world(seed, classes=classes)
    world["log_probs"] = world["log_probs"][::-1].astype(np.float32)
    assert not eligible(world, 0.0).any()
    lowest = np.argsort(-margin(world["log_probs"]), kind="stable")[:7]
    assert alfa(world, 7, epsilon=0.0).tolist() == lowest.tolist()


@given(st.integers(0, 10_000), st.floats(0.01, 2.0))
@settings(max_examples=100)
def test_alfa_linear_head_flips_iff_the_first_order_margin_is_crossed(seed: int, epsilon: float) -> None:
    """Two classes, one far anchor up the loss, so alpha is not cut: flip iff log p_y / p_o < ε ‖z* - z‖ ‖w_o - w_y‖."""
    rng = np.random.default_rng(seed)
    weight, z = rng.normal(size=(2, 3)), rng.normal(size=3)
    logs = log_softmax((weight @ z + rng.normal(size=2))[None])
    said = int(logs[0].argmax())
    way = weight[1 - said] - weight[said]
    gap = way / np.linalg.norm(way) * rng.uniform(0.1, 5)
    reach = epsilon * np.linalg.norm(gap)
    crossed = logs[0].max() - logs[0].min() < min(reach, np.linalg.norm(gap)) * np.linalg.norm(way)
    assert bool(flipped(logs, z[None], (z + gap)[None], weight, epsilon)[0]) == crossed


@given(st.integers(0, 10_000), st.floats(0.0, 3.0))
@settings(max_examples=80)
def test_alfa_steps_stay_between_point_and_anchor_and_climb(seed: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    points, anchor, gradients = rng.normal(size=(20, 4)), rng.normal(size=4), rng.normal(size=(20, 4))
    points[0, 1], gradients[1] = anchor[1], 0.0  # no way to go in one dimension; no gradient
    steps = steps_towards(points, anchor, gradients, epsilon)
    moved = points + steps
    assert (moved >= np.minimum(points, anchor) - 1e-12).all()
    assert (moved <= np.maximum(points, anchor) + 1e-12).all()
    assert (steps * gradients >= 0).all()
    assert not steps[1].any()
    assert steps[0, 1] == 0


def test_alfa_two_classes_more_step_more_candidates() -> None:
    world = linear_world(1, classes=2)
    sets = [eligible(world, epsilon) for epsilon in (0.0, 0.05, 0.1, 0.3, 0.6, 1.0)]
    assert all((small <= large).all() for small, large in pairwise(sets))
    assert 0 < sets[2].sum() < sets[-1].sum()


def test_alfa_skips_a_class_without_labels() -> None:
    """The authors' code takes the mean of all labelled samples for a missing class; there is no such anchor here."""
    world = linear_world(2)
    kept = world["labels"] != 1
    known = {"labeled_embeddings": world["labeled_embeddings"][kept], "labels": world["labels"][kept]}
    anchors = class_means(**dict(zip(("embeddings", "labels"), known.values(), strict=True)))
    assert anchors.shape == (2, 4)
    np.testing.assert_allclose(anchors[1], known["labeled_embeddings"][known["labels"] == 2].mean(axis=0))
    none = {"labeled_embeddings": np.empty((0, 4)), "labels": np.empty(0, dtype=int)}
    assert not eligible(world | none, 1.0).any()
    assert len(set(alfa(world | none, 5).tolist())) == 5


@pytest.mark.parametrize("seed", range(10))
def test_alfa_fewer_candidates_than_asked_are_filled_with_distinct_others(seed: int) -> None:
    """The authors' fallback draws with replacement from everything unlabelled, so a batch can hold fewer samples."""
    world = linear_world(seed)
    found = eligible(world, 0.1 / 2)  # epsilon / sqrt(D)
    n = int(found.sum()) + 8
    picks = alfa(world, n, epsilon=0.1)
    assert len(set(picks.tolist())) == n
    assert set(np.flatnonzero(found)) <= set(picks.tolist())
    filled = picks[found.sum() :]
    others = np.flatnonzero(~found)
    assert filled.tolist() == others[np.argsort(-margin(world["log_probs"][others]), kind="stable")][:8].tolist()


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=40)
def test_representatives_are_one_per_cluster(seed: int, k: int) -> None:
    """k distinct positions in order, also where many points are copies."""
    points = np.random.default_rng(seed).integers(-2, 3, size=(30, 2)).astype(float)
    picks = nearest_to_centers(points, k, np.random.default_rng(seed))
    assert len(set(picks.tolist())) == k
    assert (np.diff(picks) > 0).all()


def test_representatives_of_far_blobs() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(20, 3)) + 1000 * i for i in range(4)])
    picks = nearest_to_centers(points, 4, np.random.default_rng(1))
    for blob, pick in enumerate(picks):
        own = points[20 * blob : 20 * blob + 20]
        assert pick == 20 * blob + ((own - own.mean(axis=0)) ** 2).sum(axis=1).argmin()


# --- DropQuery -------------------------------------------------------------------------------


def test_drop_query_nothing_changed_is_a_random_fill() -> None:
    """Rate 0: every pass agrees, nobody is eligible, and exactly n distinct samples are drawn by the seed."""
    logs = log_softmax(np.random.default_rng(0).normal(size=(40, 3)))
    same = np.tile(logs.argmax(axis=1), (3, 1))
    assert len(often_changed(np.zeros(40, dtype=int), 3, 10)) == 0
    draws = {tuple(drop_query(logs, same, np.ones((40, 2)), 6, np.random.default_rng(seed))) for seed in range(10)}
    assert len(draws) == 10
    assert all(len(set(draw)) == 6 for draw in draws)


@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(1, 200))
@settings(max_examples=100)
def test_drop_query_candidates_are_monotone_in_changes(seed: int, passes: int, wanted: float) -> None:
    """Whoever changed at least as often as a candidate is one; a sample that never changed is none."""
    changes = np.random.default_rng(seed).integers(passes + 1, size=60)
    found = often_changed(changes, passes, wanted)
    out = np.setdiff1d(np.arange(60), found)
    assert (changes[found] > 0).all()
    if len(found):
        assert (changes[out] < changes[found].min()).all()
    assert len(found) >= min(wanted, (changes > 0).sum())
    assert (np.diff(changes[found]) <= 0).all()
    more = often_changed(np.minimum(changes + 1, passes), passes, 0)
    assert set(often_changed(changes, passes, 0).tolist()) <= set(more.tolist())


@pytest.mark.parametrize(("passes", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (20, 7)])
def test_drop_query_needs_more_than_a_third(passes: int, needed: int) -> None:
    """Three passes: more than one, as in the paper."""
    assert needed > passes / 3 >= needed - 1
    assert often_changed(np.arange(passes + 1), passes, 0).tolist() == list(range(passes, needed - 1, -1))


def test_drop_query_relaxes_step_by_step() -> None:
    changes = np.array([6, 5, 4, 3, 2, 1, 0])
    assert [len(often_changed(changes, 6, wanted)) for wanted in (0, 4, 5, 6, 7)] == [4, 4, 5, 6, 6]


def test_drop_query_ignores_the_length_of_embeddings() -> None:
    rng = np.random.default_rng(3)
    logs, dropped = log_softmax(rng.normal(size=(60, 3))), rng.integers(3, size=(3, 60))
    points = rng.normal(size=(60, 4))
    scaled = points * 2.0 ** rng.integers(-3, 4, size=(60, 1))
    one, other = (drop_query(logs, dropped, p, 5, np.random.default_rng(1)) for p in (points, scaled))
    assert one.tolist() == other.tolist()
    assert set(one.tolist()) <= set(np.flatnonzero((dropped != logs.argmax(axis=1)).any(axis=0)).tolist())


# --- SEALS -----------------------------------------------------------------------------------

RNG = np.random.default_rng(4)
SCORES, POINTS, KNOWN = RNG.permutation(80) / 128, RNG.normal(size=(80, 3)), RNG.normal(size=(5, 3))


def competing(known: np.ndarray, k: int, points: np.ndarray = POINTS) -> set[int]:
    distances = ((known[:, None] - points[None]) ** 2).sum(axis=2)
    return set(np.argsort(distances, axis=1, kind="stable")[:, :k].ravel().tolist())


@pytest.mark.parametrize("n", [1, 7, 80])
def test_seals_with_all_neighbours_is_the_base_strategy(n: int) -> None:
    assert seals(SCORES, POINTS, KNOWN, n, neighbours=80).tolist() == np.argsort(-SCORES)[:n].tolist()
    assert seals(SCORES, POINTS, KNOWN[:0], n, neighbours=1).tolist() == np.argsort(-SCORES)[:n].tolist()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_seals_picks_the_best_neighbours_then_the_best_of_the_rest(k: int) -> None:
    near = competing(KNOWN, k)
    picks = seals(SCORES, POINTS, KNOWN, 80, neighbours=k)
    assert set(picks[: len(near)].tolist()) == near
    assert (np.diff(SCORES[picks[: len(near)]]) < 0).all()
    assert (np.diff(SCORES[picks[len(near) :]]) < 0).all()


def test_seals_candidates_grow_less_what_is_labelled() -> None:
    """A pick becomes labelled and leaves the pool: the others that competed still do."""
    left, known = np.arange(80), KNOWN
    before = competing(known, 4)
    for _ in range(10):
        pick = left[seals(SCORES[left], POINTS[left], known, 1, neighbours=4)[0]]
        known = np.concatenate([known, POINTS[pick : pick + 1]])
        left = left[left != pick]
        after = set(left[list(competing(known, 4, POINTS[left]))].tolist())
        assert before - {int(pick)} <= after
        before = after


# --- discriminative --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_logistic_equals_a_general_optimiser(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, targets, weights = rng.normal(size=(80, 4)), rng.random(80) < 0.3, rng.uniform(0.5, 2, size=80)

    def loss(beta: np.ndarray) -> float:
        signed = np.where(targets, 1, -1) * (features @ beta[:4] + beta[4])
        return float((weights * np.logaddexp(0, -signed)).sum() + 0.35 * (beta[:4] ** 2).sum())

    ours = fit_logistic(features, targets, weights, penalty=0.7)
    theirs = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(ours, theirs.x, atol=1e-5)
    elsewhere = fit_logistic(features, targets, weights, penalty=0.7, start=rng.normal(size=5) * 5)
    np.testing.assert_allclose(elsewhere, ours, atol=1e-5)
    np.testing.assert_allclose(logits(features, ours), features @ ours[:4] + ours[4], atol=1e-12)


@pytest.mark.parametrize("penalty", [1e-4, 1.0, 1e4])
def test_logistic_is_finite_on_separable_data(penalty: float) -> None:
    features = np.concatenate([np.full((50, 2), 5.0), np.full((3, 2), -5.0)])
    beta = fit_logistic(features, np.arange(53) < 50, np.ones(53), penalty=penalty)
    assert np.isfinite(beta).all()
    assert logits(features, beta)[0] > logits(features, beta)[-1]


@pytest.mark.parametrize("seed", range(5))
def test_discriminative_asks_where_nothing_is_labelled(seed: int) -> None:
    """Labelled from one blob, unlabelled from two: the first picks are of the other one."""
    rng = np.random.default_rng(seed)
    here, there = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + np.array([6.0, 0, 0])
    picks = discriminative(np.concatenate([here, there]), rng.normal(size=(20, 3)), 6, batches=1)
    assert (picks >= 60).all()


def test_discriminative_counts_its_picks_as_labelled() -> None:
    """Two blobs without labels on opposite sides: one batch takes from the farther, several take from both."""
    rng = np.random.default_rng(1)
    far, near = rng.normal(size=(40, 2)) + np.array([9.0, 0.0]), rng.normal(size=(40, 2)) + np.array([0.0, 7.0])
    middle = rng.normal(size=(60, 2))
    points = np.concatenate([far, near, middle])
    known = rng.normal(size=(30, 2))
    blobs = [np.bincount(discriminative(points, known, 20, batches=b) // 40, minlength=2)[:2] for b in (1, 10)]
    assert blobs[1].min() > blobs[0].min()


def test_discriminative_without_labels_starts_in_keyed_order() -> None:
    points = np.random.default_rng(2).normal(size=(30, 3))
    picks = discriminative(points, points[:0], 10, batches=5)
    assert picks[:2].tolist() == [0, 1]
    assert len(set(picks.tolist())) == 10


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=40)
def test_discriminative_gives_n_whatever_the_batches(seed: int, n: int, batches: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(-2, 3, size=(30, 2)).astype(float)
    assert len(set(discriminative(points, points[:4], n, batches=batches).tolist())) == n


# --- learned scores --------------------------------------------------------------------------


def test_vaal_asks_the_lowest_discriminator_first() -> None:
    odds = np.array([0.9, 0.1, 0.5, 0.0, 1.0])
    assert np.argsort(-vaal(odds)).tolist() == np.argsort(odds).tolist()


def test_mal_puts_unlabelled_looking_samples_first_each_side_by_entropy() -> None:
    """Two by two: taken for labelled or not, sure or not."""
    sure, unsure = np.log([0.98, 0.01, 0.01]), np.log([0.34, 0.33, 0.33])
    logs, odds = np.array([unsure, sure, unsure, sure]), np.array([0.9, 0.9, 0.1, 0.1])
    assert np.argsort(-mal(logs, odds)).tolist() == [2, 3, 0, 1]


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=60)
def test_mal_sides_do_not_overlap(seed: int, classes: int) -> None:
    """Even the surest unlabelled-looking sample comes before the most doubtful labelled-looking one."""
    rng = np.random.default_rng(seed)
    logs = log_softmax(rng.normal(size=(40, classes)) * 4)
    logs[:2] = -np.log(classes)
    logs[2:4] = np.where(np.arange(classes) == 0, 0.0, -np.inf)
    odds = rng.random(40)
    odds[:4] = [0.2, 0.8, 0.2, 0.5]
    scores, taken = mal(logs, odds), odds < 0.5
    assert scores[taken].min() >= 0
    assert scores[taken].max() <= np.log(classes)
    assert scores[~taken].max() <= -1
    assert scores[~taken].min() >= -np.log(classes) - 1


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_egl_word_is_the_expectation(seed: int) -> None:
    """Between the shortest and the longest gradient; linear in them; the certain class alone where p is one-hot."""
    rng = np.random.default_rng(seed)
    logs, lengths = log_softmax(rng.normal(size=(30, 4))), rng.random((30, 4))
    logs[0] = [0.0, -np.inf, -np.inf, -np.inf]
    scores = egl_word(logs, lengths)
    assert (scores >= lengths.min(axis=1) - 1e-12).all()
    assert (scores <= lengths.max(axis=1) + 1e-12).all()
    assert scores[0] == lengths[0, 0]
    np.testing.assert_allclose(egl_word(logs, 8 * lengths), 8 * scores)
    np.testing.assert_allclose(scores, (np.exp(logs) * lengths).sum(axis=1), rtol=1e-12)
