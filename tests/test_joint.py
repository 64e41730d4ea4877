"""Joint information against entropies of fully listed joint distributions."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math import batch_bald as module
from al_plugin.math.batch_bald import batch_bald
from al_plugin.math.committee import mutual_information
from al_plugin.math.joint import Configurations, extended, information_left, no_labels
from al_plugin.math.target_information import expected_error_reduction, expected_information, joint_information
from al_plugin.strategies.score import target as scores
from al_plugin.strategies.select import joint as select

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


def predictions(t: int, n: int, c: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    """Log-probabilities (T, N, C); every fifth sample has a class of probability 0."""
    logits = np.random.default_rng(seed).normal(size=(t, n, c)) * sharpness
    logits[:, ::5, 0] = -np.inf
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))


def sure(classes: list[list[int]], c: int) -> np.ndarray:
    """Posterior samples (rows) that are certain of these classes."""
    return np.where(np.arange(c) == np.array(classes)[..., None], 0.0, -np.inf)


def nats(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def listed(log_probs: np.ndarray) -> np.ndarray:
    """(T, C^S): probability of every combination of labels under each posterior sample."""
    joint = np.ones((len(log_probs), 1))
    for one in np.exp(log_probs).transpose(1, 0, 2):
        joint = (joint[:, :, None] * one[:, None]).reshape(len(joint), -1)
    return joint


def together(log_probs: np.ndarray) -> float:
    """I(y_S; ω) by listing."""
    joint = listed(log_probs)
    return nats(joint.mean(axis=0)) - float(np.mean([nats(row) for row in joint]))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- configurations ------------------------------------------------------------------------------


def test_configurations_are_the_joint_distribution() -> None:
    """All of positive probability, with the posterior after each."""
    p, given = predictions(4, 4, 3, 1), no_labels(4)
    for at in range(4):
        given = extended(given, p[:, at], 1000, rng())
    joint = listed(p)
    joint = joint[:, joint.sum(axis=0) > 0]
    assert given.masses.shape == (joint.shape[1],) == (2 * 3**3,)
    assert given.drawn == 0
    ours = given.weights * given.masses
    np.testing.assert_allclose(
        ours[:, np.lexsort(ours)], (joint / 4)[:, np.lexsort(joint / 4)], rtol=1e-12, atol=1e-300
    )


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_drawn_configurations_keep_their_form(limit: int) -> None:
    """300 samples: no underflow, weights and masses sum to 1, never more than the limit (a peer needs limit >= T)."""
    given, p = no_labels(20), predictions(20, 300, 5, 2, sharpness=4)
    for at in range(300):
        given = extended(given, p[:, at], limit, rng(at))
    assert given.weights.shape[1] <= limit
    assert given.drawn == limit
    np.testing.assert_allclose(given.weights.sum(axis=0), 1, rtol=1e-12)
    assert given.masses.sum() == pytest.approx(1)


def test_drawing_is_unbiased_and_its_error_falls_with_the_square_root() -> None:
    p = predictions(6, 7, 3, 3, sharpness=1.0)

    def left(limit: int, seed: int) -> float:
        given, draws = no_labels(6), rng(seed)
        for at in range(6):
            given = extended(given, p[:, at], limit, draws)
        assert (given.drawn == 0) == (limit >= 3**6)
        return float(information_left(p[:, 6:], given)[0])

    exact = left(3**6, 0)
    errors = {m: np.array([left(m, seed) for seed in range(100)]) - exact for m in (16, 256)}
    spread = {m: e.std() for m, e in errors.items()}
    for m, error in errors.items():
        assert abs(error.mean()) < 4 * spread[m] / 10
    # Sixteen times as many: a quarter of the error, and strata make it no worse.
    assert spread[256] < 0.35 * spread[16]


@REPEATABLE
@given(SEEDS, st.integers(1, 6), st.integers(2, 4))
def test_information_left_is_the_mean_over_labels(seed: int, t: int, c: int) -> None:
    """E[I(y; ω | y_S)] = I(y, y_S; ω) - I(y_S; ω); float32 weights give it to 1e-6; chunks give the same bits."""
    p = predictions(t, 9, c, seed)
    found = {}
    for dtype in (np.float64, np.float32):
        given = no_labels(t, dtype)
        for at in range(3):
            given = extended(given, p[:, at], 10_000, rng())
        found[dtype] = information_left(p, given)
    chain = [together(p[:, [0, 1, 2, at]]) - together(p[:, :3]) for at in range(9)]
    np.testing.assert_allclose(found[np.float64], chain, atol=1e-12)
    np.testing.assert_allclose(found[np.float32], chain, atol=2e-6)
    pieces = [information_left(p[:, at : at + 2], given) for at in range(0, 9, 2)]
    assert np.concatenate(pieces).tolist() == found[np.float32].tolist()


# --- BatchBALD -----------------------------------------------------------------------------------


@REPEATABLE
@given(SEEDS, st.integers(2, 8))
def test_batch_of_one_is_bald(seed: int, t: int) -> None:
    p = predictions(t, 30, 4, seed)
    picks, gains, _ = batch_bald(p, 1, rng(), configurations=100)
    bald = mutual_information(p)
    assert picks.tolist() == [int(bald.argmax())]
    assert gains[0] == bald.max()


@REPEATABLE
@given(SEEDS, st.integers(2, 6))
def test_exact_gains_are_those_of_the_listed_joint(seed: int, t: int) -> None:
    """C = 3, four picks: each has the greatest gain of all, and the gains sum to I(y_S; ω)."""
    p = predictions(t, 12, 3, seed)
    picks, gains, saturated_at = batch_bald(p, 4, rng(), configurations=100)
    chosen: list[int] = []
    for pick, gain in zip(picks, gains, strict=True):
        left = [at for at in range(12) if at not in chosen]
        true = {at: together(p[:, [*chosen, at]]) - together(p[:, chosen]) for at in left}
        assert gain == pytest.approx(true[int(pick)], abs=3e-6)
        assert gain >= max(true.values()) - 3e-6
        chosen.append(int(pick))
    if saturated_at is not None:
        rest = [at for at in range(12) if at not in chosen]
        assert max(together(p[:, [*chosen, at]]) for at in rest) - together(p[:, chosen]) < 3e-6
    assert gains.sum() <= min(np.log(t), mutual_information(p)[picks].sum()) + 1e-5
    assert (np.diff(gains) <= 1e-6).all()


@pytest.mark.parametrize("configurations", [3**5, 40])
def test_lazy_is_as_good_as_evaluating_everyone(monkeypatch: pytest.MonkeyPatch, configurations: int) -> None:
    """Exactly: the same picks. Over drawn configurations bounds hold in the mean, and so does the result."""
    found = []
    for seed in range(10):
        p = predictions(12, 80, 3, seed, sharpness=1.0)
        lazy = batch_bald(p, 6, rng(), configurations=configurations)[0]
        with monkeypatch.context() as patched:
            patched.setattr(module, "_WAVE", 1000)
            full = batch_bald(p, 6, rng(), configurations=configurations)[0]
        if configurations == 3**5:
            assert lazy.tolist() == full.tolist()
        found.append(together(p[:, lazy]) / together(p[:, full]))
    assert np.mean(found) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_greedy_is_within_the_bound_of_the_optimum(seed: int) -> None:
    """a(S) >= (1 - 1/e) OPT, by trying every subset."""
    p = predictions(5, 10, 3, seed, sharpness=1.5)
    _, gains, _ = batch_bald(p, 3, rng(), configurations=100)
    best = max(together(p[:, list(subset)]) for subset in combinations(range(10), 3))
    assert gains.sum() >= (1 - 1 / np.e) * best


def test_a_copy_adds_nothing_where_members_are_sure_and_less_elsewhere() -> None:
    certain = sure([[0, 0], [1, 1], [0, 0], [2, 2]], 3)
    picks, gains, saturated_at = batch_bald(certain, 2, rng(), configurations=100)
    assert (picks.tolist(), saturated_at) == ([0], 1)
    assert gains[0] == pytest.approx(together(certain[:, :1]))
    p = np.repeat(predictions(6, 2, 3, 0)[:, 1:], 2, axis=1)
    _, gains, _ = batch_bald(p, 2, rng(), configurations=100)
    assert 0 < gains[1] < gains[0]


def test_copies_are_not_picked_together() -> None:
    """BALD's two best are copies, BatchBALD's are not; among copies the first is picked."""
    base = sure([[0, 0], [1, 0], [0, 1], [1, 1]], 2) * 0.9
    base = np.log(0.98 * np.exp(base) + 0.01)
    base[:, 1] = np.log(0.96 * np.exp(base[:, 1]) + 0.02)  # the second question is answered less surely
    p = base[:, [0, 0, 0, 1]]
    assert set(np.argsort(-mutual_information(p), kind="stable")[:2]) == {0, 1}
    assert select.batch_bald(p, 2, rng()).tolist() == [0, 3]


def test_a_probability_of_zero_spoils_nothing() -> None:
    """A peer's whole batch is garbage (NaN scores, picks 0, 1, 2) where one p is 0."""
    p = predictions(8, 20, 3, 4)
    assert np.isneginf(p).any()
    picks, gains, _ = batch_bald(p, 3, rng(), configurations=100)
    assert np.isfinite(gains).all()
    assert picks.tolist() != [0, 1, 2]


def test_the_input_is_not_clipped_in_place() -> None:
    """A peer writes into the caller's array."""
    p = predictions(5, 20, 3, 0)
    before = p.tobytes()
    select.batch_bald(p, 6, rng(), configurations=20)
    assert p.tobytes() == before


def test_the_best_sample_comes_first() -> None:
    """A peer draws one more than asked and drops the first pick."""
    p = predictions(5, 6, 3, 1)
    assert select.batch_bald(p, 6, rng())[0] == mutual_information(p).argmax()


def test_gains_stay_within_what_the_samples_know() -> None:
    """150 picks, T = 30: finite, no gain below 0, and log T is not passed by more than the error of the draw."""
    p = predictions(30, 400, 10, 5, sharpness=0.4).astype(np.float32)
    picks, gains, saturated_at = batch_bald(p, 150, rng(), configurations=500)
    assert len(picks) == (150 if saturated_at is None else saturated_at) > 20
    assert np.isfinite(gains).all()
    assert (gains > 0).all()
    assert gains.sum() < np.log(30) * 1.02


def test_a_saturated_batch_is_filled_in_proportion_to_bald() -> None:
    """Eight sure members are told apart by three questions; a fourth pick tells nothing more."""
    answers = [[a, b, c, a, b] for a, b, c in product((0, 1), repeat=3)]
    p = sure(answers, 2)
    p[:, 4] = np.log(0.5)
    _, gains, saturated_at = batch_bald(p, 5, rng(), configurations=100)
    assert saturated_at == 3
    assert gains.sum() == pytest.approx(np.log(8))
    noted = select.batch_bald(p, 5, rng())
    assert noted.picks.tolist() == [0, 1, 2, 3, 4]
    assert "8 posterior samples is used up after 3 of 5 picks" in noted.note
    # BALD of 3 and of a copy of it are alike, that of 4 is 0.
    fourth = [int(select.batch_bald(p[:, [0, 1, 2, 3, 4, 3]], 4, rng(seed)).picks[3]) for seed in range(200)]
    assert 60 < fourth.count(3) < 140
    assert fourth.count(3) + fourth.count(5) == 200


def test_a_gain_below_its_error_is_no_gain() -> None:
    """One configuration in four leaves a little to learn: drawn four times, that is within the error."""
    given = Configurations(np.array([[0.5, 1, 1, 1], [0.5, 0, 0, 0.0]]), np.full(4, 0.25), drawn=4)
    gain, error = module._gain(sure([[0], [1]], 2), given)
    assert gain == pytest.approx(np.log(2) / 4)
    assert error == pytest.approx(np.log(2) * np.sqrt(3) / 4 / 2)
    assert module._gain(sure([[0], [1]], 2), Configurations(given.weights, given.masses))[1] == 0


# --- targets -------------------------------------------------------------------------------------


def pairwise(p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """I(y_i; y*_j), (N, M), from the joint distribution of every pair."""
    joint = np.einsum("tnc,tmd->nmcd", np.exp(p), np.exp(targets)) / len(p)
    found = np.empty(joint.shape[:2])
    for n, m in np.ndindex(found.shape):
        one = joint[n, m]
        found[n, m] = nats(one.sum(axis=1)) + nats(one.sum(axis=0)) - nats(one.ravel())
    return found


def with_all(p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """I(y_i; y*_1..M), (N,), by listing."""
    known = listed(targets).mean(axis=0)
    found = []
    for at in range(p.shape[1]):
        both = listed(np.concatenate([p[:, at : at + 1], targets], axis=1)).mean(axis=0)
        found.append(nats(np.exp(p[:, at]).mean(axis=0)) + nats(known) - nats(both))
    return np.array(found)


@REPEATABLE
@given(SEEDS, st.integers(1, 6), st.integers(2, 4), st.integers(1, 4))
def test_epig_is_no_more_than_jepig_and_that_no_more_than_bald(seed: int, t: int, c: int, m: int) -> None:
    """0 <= mean EPIG <= max_j EPIG_j <= JEPIG <= BALD, and each equals its listed joint entropies."""
    p, targets = predictions(t, 7, c, seed), predictions(t, m, c, seed + 1)
    epig, jepig, pairs = scores.epig(p, targets), scores.jepig(p, targets), pairwise(p, targets)
    np.testing.assert_allclose(epig, pairs.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(jepig, with_all(p, targets), atol=1e-12)
    assert (epig >= 0).all()
    assert (epig <= pairs.max(axis=1) + 1e-12).all()
    assert (pairs.max(axis=1) <= jepig + 1e-12).all()
    assert (jepig <= mutual_information(p)).all()


@REPEATABLE
@given(SEEDS, st.integers(1, 6), st.integers(2, 4), st.integers(1, 5))
def test_error_reduction_is_that_of_reweighted_members(seed: int, t: int, c: int, m: int) -> None:
    """Both losses equal the risk now less the expected risk, label by label, and are no less than 0."""
    p, targets = np.exp(predictions(t, 5, c, seed)), np.exp(predictions(t, m, c, seed + 1))
    losses = {"log": nats, "zero_one": lambda q: 1 - q.max()}
    for name, loss in losses.items():
        wanted = np.zeros(5)
        for n, u in np.ndindex(5, m):
            wanted[n] += loss(targets[:, u].mean(axis=0)) / m
            for y in np.flatnonzero(p[:, n].sum(axis=0)):
                weights = p[:, n, y] / p[:, n, y].sum()
                wanted[n] -= p[:, n, y].mean() * loss(weights @ targets[:, u]) / m
        with np.errstate(divide="ignore"):
            found = scores.eer_committee(np.log(p), np.log(targets), loss=name)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        assert (found >= 0).all()


def test_log_loss_reduction_is_epig() -> None:
    p, targets = predictions(8, 30, 4, 0), predictions(8, 9, 4, 1)
    assert scores.eer_committee(p, targets, loss="log").tolist() == scores.epig(p, targets).tolist()


def test_members_that_agree_on_either_side_have_nothing_to_tell() -> None:
    p, targets = predictions(6, 10, 3, 0), predictions(6, 4, 3, 1)
    for one, other in ((p[[0] * 6], targets), (p, targets[[0] * 6])):
        for score in (scores.epig, scores.jepig, scores.eer_committee):
            np.testing.assert_allclose(score(one, other), 0, atol=1e-14)


def test_a_target_that_is_the_candidate_tells_all_where_members_are_sure() -> None:
    p = sure([[0], [1], [1], [2]], 3)
    np.testing.assert_allclose(scores.epig(p, p), mutual_information(p))
    np.testing.assert_allclose(scores.jepig(p, p), mutual_information(p))


def test_the_order_of_targets_does_not_matter() -> None:
    p, targets = predictions(6, 10, 3, 0), predictions(6, 5, 3, 1)
    for score in (scores.epig, scores.jepig, scores.eer_committee):
        np.testing.assert_allclose(score(p, targets), score(p, targets[:, ::-1]), atol=1e-13)


def test_drawn_label_combinations_come_close_to_all_of_them() -> None:
    p, targets = predictions(10, 40, 3, 0, sharpness=1.0), predictions(10, 8, 3, 1, sharpness=1.0)
    exact = joint_information(p, targets, rng(), configurations=3**8)
    drawn = joint_information(p, targets, rng(), configurations=500)
    assert 0 < np.abs(drawn - exact).max() < 0.02
    assert np.corrcoef(drawn, exact)[0, 1] > 0.99


def test_a_candidate_that_matters_to_no_target_scores_nothing() -> None:
    """BALD's best is an outlier that only itself depends on; epig ranks it last."""
    relevant = sure([[0], [0], [1], [1]], 2)
    outlier = sure([[0], [1], [0], [1]], 2)
    shared = np.log(0.8 * np.exp(relevant) + 0.1)
    p = np.concatenate([outlier, shared], axis=1)
    assert mutual_information(p).argmax() == 0
    for score in (scores.epig, scores.jepig, scores.eer_committee):
        found = score(p, relevant)
        assert found[0] == pytest.approx(0, abs=1e-15)
        assert found[1] > 0.1


def test_many_targets_and_classes_are_taken_in_blocks() -> None:
    """60 targets of 90 classes exceed a block; the scores are those of the targets one by one."""
    p, targets = predictions(4, 3, 90, 0), predictions(4, 60, 90, 1)
    for one in (expected_information, expected_error_reduction):
        each = np.mean([one(p, targets[:, at : at + 1]) for at in range(60)], axis=0)
        np.testing.assert_allclose(one(p, targets), each, atol=1e-12)


def test_targets_that_all_samples_agree_on_tell_nothing() -> None:
    """In single precision BALD alone is off by 1e-7, which would be ranked, and drawn by."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(5), size=(20, 50))).astype(np.float32)
        target = np.repeat(np.log(rng.dirichlet(np.ones(5), size=(1, 8))), 20, axis=0).astype(np.float32)
        assert expected_information(log_probs, target).max() < 1e-12
        assert joint_information(log_probs, target[:, :2], rng, configurations=10**6).max() < 1e-12
