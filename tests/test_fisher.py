"""BAIT, variance reduction and expected error reduction against whole matrices, autograd and retraining."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from al_plugin.errors import StrategyError
from al_plugin.math import expected_error, fisher, labeled_head
from al_plugin.math.distinct import distinct_rows
from al_plugin.math.trace_greedy import trace_greedy
from al_plugin.strategies.score.reduction import expected_error_reduction, variance_reduction
from al_plugin.strategies.select.fisher import bait
from al_plugin.strategies.select.stability import noise_stability

RISKS = ("log", "zero_one")
METHODS = (bait, variance_reduction, expected_error_reduction)


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def world(seed, n=12, labeled=4, classes=3, width=2):
    """log_probs, embeddings, labeled_log_probs, labeled_embeddings of one linear head."""
    rng = np.random.default_rng(seed)
    h, w = rng.normal(size=(n + labeled, width)), 2 * rng.normal(size=(width, classes))
    logs = log_softmax(h @ w + rng.normal(size=classes))
    return logs[:n], h[:n], logs[n:], h[n:]


def blocks(logs):
    p = np.exp(logs)
    return np.stack([np.diag(one) - np.outer(one, one) for one in p])


def whole(class_blocks, hidden):
    """Σ_x B(x) ⊗ h hᵀ as C (D + 1) rows, product by product."""
    h1 = np.c_[hidden, np.ones(len(hidden))]
    return sum((np.kron(b, np.outer(h, h)) for b, h in zip(class_blocks, h1, strict=True)), 0.0)


def prior(logs, hidden, penalty, classes, width):
    return penalty * np.eye(classes * (width + 1)) + (whole(blocks(logs), hidden) if len(logs) else 0.0)


def lifted(matrix, classes):
    """From contrasts of the classes back to C (D + 1) rows."""
    basis = np.kron(fisher.contrasts(classes), np.eye(len(matrix) // (classes - 1)))
    return basis @ matrix @ basis.T


# --- the kernel ------------------------------------------------------------------------------


def head_gradients(logits_of, weight):
    return torch.autograd.functional.jacobian(logits_of, weight)


@pytest.mark.parametrize("seed", range(5))
def test_information_is_the_expected_square_of_the_gradient(seed):
    """I(x) == E_y g gᵀ by autograd, of rank C - 1; contrasts of the classes lose nothing."""
    rng = np.random.default_rng(seed)
    h = torch.tensor(np.append(rng.normal(size=3), 1.0))
    weight = torch.tensor(rng.normal(size=(4, 4)))
    logs = torch.log_softmax(weight @ h, 0)
    jacobian = head_gradients(lambda w: torch.log_softmax(w @ h, 0), weight).reshape(4, -1)
    expected = (jacobian.T * logs.exp()) @ jacobian
    found = fisher.weighted_gram(
        fisher.head_inputs(h[None, :-1].numpy()), 3, lambda rows: fisher.class_blocks(logs.numpy()[None][rows])
    )
    np.testing.assert_allclose(lifted(found, 4), expected.numpy(), atol=1e-12)
    assert np.linalg.matrix_rank(lifted(found, 4), tol=1e-9) == 3


@pytest.mark.parametrize("seed", range(5))
def test_variance_matrix_is_that_of_autograd(seed):
    """A(u) == Σ_c ∇p_c ∇p_cᵀ."""
    from al_plugin.math.output_variance import pool_variance

    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(3, 2))
    weight = torch.tensor(rng.normal(size=(3, 3)))
    logs, expected = [], 0.0
    for h in torch.tensor(np.c_[hidden, np.ones(3)]):
        logs.append(torch.log_softmax(weight @ h, 0).numpy())
        jacobian = head_gradients(lambda w, h=h: torch.softmax(w @ h, 0), weight).reshape(3, -1)
        expected = expected + (jacobian.T @ jacobian).numpy()
    counts = np.array([1, 1, 1])
    np.testing.assert_allclose(
        lifted(pool_variance(np.array(logs), hidden, counts), 3), expected / 3, rtol=1e-10, atol=1e-13
    )


def test_delta_method_is_the_variance_of_small_posteriors():
    """tr(A F⁻¹) is the summed variance of the probabilities when W ~ N(W₀, F⁻¹) is tight."""
    from al_plugin.math.output_variance import pool_variance

    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(5, 2)), rng.normal(size=(3, 3))
    h1 = np.c_[hidden, np.ones(5)]
    logs = log_softmax(h1 @ weight.T)
    f = prior(logs, hidden, 200.0, 3, 2)
    draws = rng.multivariate_normal(weight.ravel(), np.linalg.inv(f), size=40_000).reshape(-1, 3, 3)
    probs = np.exp([log_softmax(h1 @ w.T) for w in draws[:20_000]])
    a = lifted(pool_variance(logs, hidden, np.ones(5, dtype=int)), 3)
    assert probs.var(axis=0).sum(axis=1).mean() == pytest.approx(np.trace(a @ np.linalg.inv(f)), rel=0.03)


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_sums_and_forms_are_those_of_whole_products(seed, n, k, width):
    rng = np.random.default_rng(seed)
    inputs, roots = rng.normal(size=(n, width)), rng.normal(size=(n, k, k))
    weights = roots @ roots.swapaxes(1, 2)
    total = sum(np.kron(b, np.outer(h, h)) for b, h in zip(weights, inputs, strict=True))
    found = fisher.weighted_gram(inputs, k, lambda rows: weights[rows])
    np.testing.assert_allclose(found, total, atol=1e-9)
    square = rng.normal(size=(k * width, k * width))
    square = square + square.T
    forms = fisher.quadratic_forms(inputs, fisher.form_coefficients(square, width))
    for form, h in zip(forms, inputs, strict=True):
        across = np.kron(np.eye(k), h[:, None])
        np.testing.assert_allclose(form, across.T @ square @ across, atol=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([1, -1]))
@settings(max_examples=50, deadline=None)
def test_woodbury_is_the_inverse_with_one_sample_more_or_less(seed, sign):
    logs, hidden, *_ = world(seed, n=5, classes=3, width=2)
    g, inputs = fisher.class_blocks(logs), fisher.head_inputs(hidden)
    matrix = np.eye(6) + fisher.weighted_gram(inputs, 2, lambda rows: g[rows])
    inverted = np.linalg.inv(matrix)
    across = np.kron(np.eye(2), inputs[0][:, None])
    core = fisher.woodbury_cores((across.T @ inverted @ across)[None], g[:1], sign)[0]
    found = inverted - sign * inverted @ across @ core @ across.T @ inverted
    own = np.kron(g[0], np.outer(inputs[0], inputs[0]))
    np.testing.assert_allclose(found, np.linalg.inv(matrix + sign * own), rtol=1e-7, atol=1e-10)


def test_nearly_certain_predictions_keep_their_digits():
    """p (1 - p) at doubt 1e-14 is 1e-14 to many digits; at doubt 0 all is exactly 0."""
    doubt = 1e-14
    g = fisher.class_blocks(np.array([[np.log1p(-doubt), np.log(doubt)], [0.0, -np.inf]]))
    assert g[0, 0, 0] == pytest.approx(2 * doubt, rel=1e-12)
    assert g[1, 0, 0] == 0.0


def test_blocks_of_rows_change_nothing_but_the_last_bits(monkeypatch):
    given_, scores = world(3, n=40), {}
    for rows, elements in ((512, 1 << 17), (7, 40)):
        monkeypatch.setattr(fisher, "_ROWS", rows)
        for module in (expected_error, labeled_head):
            monkeypatch.setattr(module, "_ELEMENTS", elements)
        monkeypatch.setattr(expected_error, "_ROWS", min(rows, 16))
        scores[rows] = (variance_reduction(*given_), expected_error_reduction(*given_), bait(*given_, 6))
    for one, other in zip(scores[512], scores[7], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_distinct_rows_do_not_know_the_order_of_the_pool():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 3, size=(50, 2)), rng.integers(0, 2, size=(50, 1))
    rows, groups, sizes = distinct_rows(one, two)
    table = np.c_[one, two]
    np.testing.assert_array_equal(table[rows][groups], table)
    np.testing.assert_array_equal(np.bincount(groups), sizes)
    order = rng.permutation(50)
    again, *_ = distinct_rows(one[order], two[order])
    np.testing.assert_array_equal(table[order][again], table[rows])


# --- what all three promise ------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_head_that_is_too_large_is_refused_before_any_work(method):
    """Ten million rows that no method could read in the time of this test."""
    many, few = 10_000_000, 5
    logs, hidden = np.broadcast_to(np.float32(-2.3), (many, 10)), np.broadcast_to(np.float32(1), (many, 600))
    handed = (logs, hidden, logs[:few], hidden[:few], *((20,) if method is bait else ()))
    with pytest.raises(StrategyError, match=r"10 classes and 600 hidden units has 6010 rows, limit is 5000.*hidden"):
        method(*handed)


def test_too_many_candidates_times_classes_are_refused_before_any_work():
    logs, hidden = np.broadcast_to(np.float32(-5.3), (1_000_000, 200)), np.broadcast_to(np.float32(1), (1_000_000, 4))
    with pytest.raises(StrategyError, match="smaller pool"):
        bait(logs, hidden, logs[:3], hidden[:3], 10)


def outcome(method, handed, **knobs):
    return method(*handed, *((4,) if method is bait else ()), **knobs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_renumbered_classes_and_rotated_features_change_nothing(method, seed):
    logs, hidden, known, at = world(seed, n=20, classes=4, width=3)
    rng = np.random.default_rng(seed)
    here = outcome(method, (logs, hidden, known, at))
    order = rng.permutation(4)
    np.testing.assert_allclose(outcome(method, (logs[:, order], hidden, known[:, order], at)), here, rtol=1e-8)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(outcome(method, (logs, hidden @ turn, known, at @ turn)), here, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_no_label_is_ever_read(method):
    """Nothing that depends on the truth of a candidate is asked for."""
    names = set(inspect.signature(method).parameters)
    assert {"log_probs", "embeddings", "labeled_log_probs", "labeled_embeddings"} <= names
    assert not {"labels", "annotations", "task"} & names


# --- BAIT ------------------------------------------------------------------------------------


def objective(handed, chosen, penalty=1.0):
    logs, hidden, known, at = handed
    classes, width = logs.shape[1], hidden.shape[1]
    matrix = prior(known, at, penalty, classes, width) + whole(blocks(logs[chosen]), hidden[chosen])
    return np.trace(np.linalg.solve(matrix, whole(blocks(logs), hidden)))


def greedy(handed, n, forward, penalty=1.0):
    """Every inverse anew."""
    chosen = []
    for _ in range(forward):
        free = [i for i in range(len(handed[0])) if i not in chosen]
        chosen.append(min(free, key=lambda i: objective(handed, [*chosen, i], penalty)))
    while len(chosen) > n:
        chosen.remove(min(chosen, key=lambda i: objective(handed, [c for c in chosen if c != i], penalty)))
    return chosen


def traced(handed, n, forward, penalty=1.0):
    logs, hidden, known, at = handed
    g, inputs = fisher.class_blocks(logs), fisher.head_inputs(hidden)
    goal = fisher.weighted_gram(inputs, g.shape[1], lambda rows: g[rows])
    return trace_greedy(inputs, g, fisher.prior_information(known, at, penalty), goal, n, forward)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([1.0, 1.5, 2.0, 3.0]), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_bait_is_the_naive_greedy(seed, n, oversample, classes):
    handed = world(seed, n=9, labeled=seed % 3, classes=classes)
    forward = min(9, round(oversample * n))
    assert bait(*handed, n, oversample=oversample).tolist() == greedy(handed, n, max(n, forward))


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_pruning_can_change_the_batch(seed):
    """Otherwise the comparison above would not see it."""
    handed = world(seed, n=10, labeled=0)
    assert set(greedy(handed, 3, 6)) != set(greedy(handed, 3, 3))
    assert bait(*handed, 3).tolist() == greedy(handed, 3, 6)


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0, 100.0])
def test_gains_are_the_changes_of_the_trace(penalty):
    """The trace after each addition, carried along by rank C - 1 updates, is that of a new inverse;
    it falls strictly."""
    handed = world(5, n=200, labeled=0, classes=4, width=5)
    picks, traces = traced(handed, 40, 40, penalty)
    anew = [objective(handed, picks[:k].tolist(), penalty) for k in range(1, 41)]
    np.testing.assert_allclose(traces[1:], anew, rtol=1e-6)
    assert (np.diff(traces) < 0).all()


@given(st.integers(1, 12), st.integers(0, 12), st.floats(1.0, 100.0), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_pruning_returns_exactly_n(size, n, oversample, labeled):
    n = min(n, size)
    picks = bait(*world(size, n=size, labeled=labeled), n, oversample=oversample)
    assert picks.dtype == np.int64
    assert len(picks) == len(set(picks.tolist())) == n


@pytest.mark.parametrize(("size", "n"), [(5, 3), (5, 5), (1, 1), (7, 4)])
def test_peer_crash_where_twice_the_batch_exceeds_the_pool(size, n):
    """JordanAsh/badge's BAIT fails when 2 n > N; here the greedy stops at N."""
    assert len(bait(*world(0, n=size), n)) == n


def test_equal_points_gain_less_each_time():
    logs, hidden, known, at = world(2, n=1)
    copies = (np.repeat(logs, 6, axis=0), np.repeat(hidden, 6, axis=0), known, at)
    picks, traces = traced(copies, 6, 6)
    assert picks.tolist() == list(range(6))
    assert (np.diff(-np.diff(traces)) < 0).all()


def test_copies_of_a_pick_wait_and_the_first_stays_after_pruning():
    logs, hidden, known, at = world(4, n=6)
    copies = (np.tile(logs, (3, 1)), np.tile(hidden, (3, 1)), known, at)
    picks = bait(*copies, 4).tolist()
    for pick in picks:
        assert set(range(pick % 6, pick, 6)) <= set(picks[: picks.index(pick)])


def test_certain_candidates_are_picked_last_in_order():
    logs, hidden, known, at = world(6, n=8)
    logs[[1, 4]] = [0.0, -np.inf, -np.inf]
    assert bait(*(logs, hidden, known, at), 8).tolist()[-2:] == [1, 4]


def test_the_batch_beats_the_top_of_single_gains():
    """Two tight clusters: one gain at a time fills a batch from one of them."""
    rng = np.random.default_rng(0)
    hidden = np.concatenate(
        [[5.0, 0.0] + 0.01 * rng.normal(size=(10, 2)), [0.0, 4.0] + 0.01 * rng.normal(size=(10, 2))]
    )
    logs = np.full((20, 2), np.log(0.5))
    handed = (logs, hidden, logs[:0], hidden[:0])
    single = np.argsort([objective(handed, [i]) for i in range(20)])[:2]
    assert len(set(single // 10)) == 1
    assert len(set(bait(*handed, 2) // 10)) == 2


# --- variance reduction ----------------------------------------------------------------------


def brute_variance(handed, penalty=1.0):
    logs, hidden, known, at = handed
    b = blocks(logs)
    a = whole(b @ b, hidden) / len(logs)
    f = prior(known, at, penalty, logs.shape[1], hidden.shape[1])
    before = np.trace(np.linalg.solve(f, a))
    return np.array(
        [before - np.trace(np.linalg.solve(f + whole(b[i : i + 1], hidden[i : i + 1]), a)) for i in range(len(logs))]
    )


@given(
    st.integers(0, 10_000), st.integers(1, 10), st.integers(0, 4), st.integers(2, 4), st.sampled_from([0.1, 1.0, 9.0])
)
@settings(max_examples=50, deadline=None)
def test_variance_reduction_is_that_of_new_inverses(seed, n, labeled, classes, penalty):
    handed = world(seed, n=n, labeled=labeled, classes=classes)
    scores = variance_reduction(*handed, regularisation=penalty)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores, brute_variance(handed, penalty), rtol=1e-7, atol=1e-11)


def test_variance_reduction_is_zero_for_certain_predictions_only():
    logs, hidden, known, at = world(1)
    logs[[0, 5]] = [[0.0, -np.inf, -np.inf], [-np.inf, 0.0, -np.inf]]
    scores = variance_reduction(logs, hidden, known, at)
    assert np.flatnonzero(scores == 0).tolist() == [0, 5]


def test_the_same_sample_again_brings_less():
    logs, hidden, known, at = world(2)
    gains = []
    for _ in range(4):
        gains.append(variance_reduction(logs, hidden, known, at)[3])
        known, at = np.r_[known, logs[3:4]], np.r_[at, hidden[3:4]]
    assert (np.diff(gains) < 0).all()


def test_copies_weigh_in_the_pool():
    """The mean is over the pool's rows, not over the different ones."""
    logs, hidden, known, at = world(7)
    rows = np.r_[np.arange(12), 0, 0, 0]
    copied = (logs[rows], hidden[rows], known, at)
    np.testing.assert_allclose(variance_reduction(*copied), brute_variance(copied), rtol=1e-8)
    assert not np.allclose(variance_reduction(*copied)[:12], variance_reduction(logs, hidden, known, at), rtol=1e-3)


def test_libact_bug_labelled_set_missing_from_the_information():
    """libact's Fisher matrix holds the candidate alone; with it known samples bring as much as new ones."""
    logs, hidden, known, at = world(8, labeled=30)
    alone = variance_reduction(logs, hidden, known[:0], at[:0])
    assert (variance_reduction(logs, hidden, known, at) < alone).all()


def test_libact_bug_variance_of_the_labelled_set_instead_of_the_pool():
    """One direction is in the pool, another among the labelled: what helps the pool scores higher."""
    half = np.full((21, 2), np.log(0.5))
    hidden = np.r_[np.tile([[2.0, 0.0]], (20, 1)), [[0.0, 2.0]]]
    labeled = np.tile([[0.0, 2.0]], (5, 1))
    scores = variance_reduction(half, hidden, half[:5], labeled)
    assert scores[0] > 5 * scores[20]


def test_libact_bug_penalty_that_is_always_one_and_cut_to_an_integer():
    """`1.0/sigma*sigma` is 1, and sigma is read into an int; here 0.25 and 0.75 differ, and as they should."""
    handed = world(9)
    for penalty in (0.25, 0.75):
        np.testing.assert_allclose(variance_reduction(*handed, regularisation=penalty), brute_variance(handed, penalty))
    assert not np.allclose(
        variance_reduction(*handed, regularisation=0.25), variance_reduction(*handed, regularisation=0.75)
    )


def test_libact_bug_sign_of_the_blocks_across_classes():
    """Blocks of two different classes are -p_i p_j h hᵀ: with the other sign I(x) misses rank C - 1."""
    logs, hidden, *_ = world(0, n=1)
    matrix = lifted(fisher.prior_information(logs, hidden, 0.0), 3)
    p, h = np.exp(logs[0]), np.append(hidden[0], 1.0)
    np.testing.assert_allclose(matrix[:3, 3:6], -p[0] * p[1] * np.outer(h, h), atol=1e-14)


# --- expected error reduction ----------------------------------------------------------------


def risk(logs, loss):
    p = np.exp(log_softmax(logs))
    if loss == "zero_one":
        return 1 - p.max(axis=1)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)


def updated(handed, i, y, penalty, steps=2):
    """The change of all weights by label y of sample i, with whole matrices: a Newton step, shortened by a line
    search on the quadratic model and the sample's own loss; then steps with its matrix and the true curvature."""
    logs, hidden, known, at = handed
    classes, width = logs.shape[1], hidden.shape[1]
    f = prior(known, at, penalty, classes, width)
    hessian = f + whole(blocks(logs[i : i + 1]), hidden[i : i + 1])
    h1, at1, truth = np.append(hidden[i], 1.0), np.c_[at, np.ones(len(at))], np.eye(classes)[y]
    step = -np.linalg.solve(hessian, np.outer(np.exp(logs[i]) - truth, h1).ravel())

    def slope(t):
        change = step.reshape(classes, -1) @ h1
        return t * step @ f @ step + (np.exp(log_softmax((logs[i] + t * change)[None]))[0] - truth) @ change

    # To 2⁻¹⁰: the middle of the cell that holds the root.
    weight = step * (1.0 if slope(1.0) <= 0 else (np.floor(brentq(slope, 0.0, 1.0, xtol=1e-14) * 1024) + 0.5) / 1024)
    for _ in range(steps):
        w = weight.reshape(classes, -1)
        own, others = log_softmax((logs[i] + w @ h1)[None]), log_softmax(known + at1 @ w.T)
        gradient = penalty * w + np.outer(np.exp(own[0]) - truth, h1) + (np.exp(others) - np.exp(known)).T @ at1
        now = prior(others, at, penalty, classes, width) + whole(blocks(own), hidden[i : i + 1])
        down = np.linalg.solve(hessian, gradient.ravel())
        if gradient.any():
            weight = weight - (gradient.ravel() @ down) / (down @ now @ down) * down
    return weight.reshape(classes, -1)


def explicit(handed, loss, penalty, aims):
    logs, hidden, *_ = handed
    h1 = np.c_[hidden, np.ones(len(hidden))]
    scores = np.zeros(len(logs))
    for i in range(len(logs)):
        for y in range(logs.shape[1]):
            weight = updated(handed, i, y, penalty)
            scores[i] -= np.exp(logs[i, y]) * risk(logs[aims] + h1[aims] @ weight.T, loss).mean()
    return scores


@given(st.integers(0, 10_000), st.integers(2, 4), st.sampled_from(["log", "zero_one"]), st.sampled_from([0.1, 1.0]))
@settings(max_examples=30, deadline=None)
def test_expected_error_is_that_of_explicit_steps(seed, classes, loss, penalty):
    handed = world(seed, n=8, labeled=seed % 4, classes=classes)
    scores = expected_error_reduction(*handed, loss=loss, regularisation=penalty)
    np.testing.assert_allclose(scores, explicit(handed, loss, penalty, np.arange(8)), rtol=1e-8, atol=1e-12)
    worst = np.log(classes) if loss == "log" else 1 - 1 / classes
    assert ((scores <= 0) & (scores >= -worst - 1e-12)).all()


def trained(hidden, targets, penalty, classes):
    """The minimum of Σ cross-entropy + penalty / 2 ‖W‖², by Newton steps to convergence."""
    h1 = np.c_[hidden, np.ones(len(hidden))]
    weight = np.zeros((classes, h1.shape[1]))
    for _ in range(100):
        logs = log_softmax(h1 @ weight.T)
        gradient = ((np.exp(logs) - np.eye(classes)[targets]).T @ h1 + penalty * weight).ravel()
        hessian = penalty * np.eye(weight.size) + whole(blocks(logs), hidden)
        step = np.linalg.solve(hessian, gradient)
        size = min(1.0, 2.0 / np.linalg.norm(step))
        weight = weight - size * step.reshape(weight.shape)
        if np.linalg.norm(gradient) < 1e-10:
            return weight
    raise AssertionError("no convergence")


def retrained(seed, loss):
    """A problem of three classes, and the scores of Roy & McCallum: the head trained anew for each sample and label."""
    rng = np.random.default_rng(seed)
    centers = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    truth = rng.integers(0, 3, size=48)
    hidden = centers[truth] + rng.normal(size=(48, 2))
    weight = trained(hidden[:24], truth[:24], 1.0, 3)
    pool = np.c_[hidden[24:], np.ones(24)]
    logs = log_softmax(np.c_[hidden, np.ones(48)] @ weight.T)
    scores = np.zeros(24)
    for i in range(24):
        for y in range(3):
            again = trained(np.r_[hidden[:24], hidden[24 + i : 25 + i]], np.r_[truth[:24], y], 1.0, 3)
            scores[i] -= np.exp(logs[24 + i, y]) * risk(pool @ again.T, loss).mean()
    return (logs[24:], hidden[24:], logs[:24], hidden[:24]), scores


def rank_correlation(one, other):
    return np.corrcoef(np.argsort(np.argsort(one)), np.argsort(np.argsort(other)))[0, 1]


@pytest.mark.parametrize("loss", ["log", "zero_one"])
@pytest.mark.parametrize("seed", range(3))
def test_scores_rank_like_retraining(loss, seed):
    handed, expected = retrained(seed, loss)
    assert rank_correlation(expected_error_reduction(*handed, loss=loss), expected) > 0.95
    many = expected_error_reduction(*handed, loss=loss, steps=100)
    np.testing.assert_allclose(many, expected, rtol=1e-8)


def test_a_plain_newton_step_would_not():
    """Why there is more than one step: classes well apart, one step ranks by chance or in reverse."""
    handed, expected = retrained(1, "log")
    logs, hidden, known, at = handed
    f, h1 = prior(known, at, 1.0, 3, 2), np.c_[hidden, np.ones(24)]
    plain = np.zeros(24)
    for i in range(24):
        hessian = f + whole(blocks(logs[i : i + 1]), hidden[i : i + 1])
        for y in range(3):
            step = np.linalg.solve(hessian, np.outer(np.eye(3)[y] - np.exp(logs[i]), h1[i]).ravel()).reshape(3, 3)
            plain[i] -= np.exp(logs[i, y]) * risk(logs + h1 @ step.T, "log").mean()
    assert rank_correlation(plain, expected) < 0.5


def test_a_certain_candidate_leaves_the_risk_as_it_is():
    logs, hidden, known, at = world(3)
    logs[2] = [-np.inf, 0.0, -np.inf]
    scores = expected_error_reduction(logs, hidden, known, at)
    assert scores[2] == pytest.approx(-risk(np.maximum(logs, -700), "log").mean(), rel=1e-12)


def test_peer_nan_where_a_probability_is_zero():
    """ALiPy takes log p unguarded."""
    logs, hidden, known, at = world(3)
    logs[:4] = np.log([0.5, 0.5, 1.0]) - np.array([0.0, 0.0, np.inf])
    for loss in ("log", "zero_one"):
        assert np.isfinite(expected_error_reduction(logs, hidden, known, at, loss=loss)).all()


def test_peer_loss_compared_by_identity():
    """modAL tests the name of the loss with `is`: a word made at run time is none it knows."""
    handed = world(3)
    word = str(np.array("zero_one"))
    assert word is not RISKS[1]
    np.testing.assert_array_equal(
        expected_error_reduction(*handed, loss=word), expected_error_reduction(*handed, loss="zero_one")
    )


def test_enormous_steps_stay_finite():
    """No penalty to speak of and no label: logits move by thousands."""
    logs, hidden, known, at = world(3, labeled=0)
    assert np.isfinite(expected_error_reduction(logs, 100 * hidden, known, 100 * at, regularisation=1e-4)).all()


def test_targets_are_evenly_spaced_rows():
    """Sorted by embedding; a pool of pairs of copies with every second row is the pool of singles."""
    handed = world(11, n=10)
    order = np.lexsort((handed[1][:, 1], handed[1][:, 0]))
    found = expected_error_reduction(*handed, targets=5)
    np.testing.assert_allclose(found, explicit(handed, "log", 1.0, order[::2]), rtol=1e-9)
    logs, hidden, known, at = handed
    pairs = expected_error_reduction(np.repeat(logs, 2, axis=0), np.repeat(hidden, 2, axis=0), known, at, targets=10)
    np.testing.assert_allclose(pairs[::2], expected_error_reduction(*handed), rtol=1e-12)
    np.testing.assert_array_equal(
        expected_error_reduction(*handed, targets=10), expected_error_reduction(*handed, targets=999)
    )


# --- noise stability -------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_noise_stability_is_k_center_from_the_longest_row(seed, n):
    rows = np.random.default_rng(seed).integers(-3, 4, size=(15, 4)).astype(np.float32)
    picks = noise_stability(rows, n)
    expected = [int((rows**2).sum(axis=1).argmax())]
    while len(expected) < n:
        apart = ((rows[:, None] - rows[expected][None]) ** 2).sum(-1).min(axis=1)
        apart[expected] = -1
        expected.append(int(apart.argmax()))
    assert picks.tolist() == expected
