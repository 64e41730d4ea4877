"""Entropy and the two best classes, against closed forms and brute force in plain floats and decimals."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.information import entropy, top_two
from al_plugin.strategies.score.uncertainty import least_confidence, margin, ratio

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=150)


CLASSES = st.integers(2, 7)
ROWS = st.integers(1, 6)


@st.composite
def distributions(draw, classes=CLASSES, rows=ROWS):
    """Rows of probabilities as log-probabilities; some are zero, some rows are one-hot."""
    c, n = draw(classes), draw(rows)
    weights = draw(
        st.lists(
            st.lists(st.integers(0, 1000), min_size=c, max_size=c).filter(any),
            min_size=n,
            max_size=n,
        )
    )
    table = np.array(weights, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.log(table / table.sum(axis=1, keepdims=True))


def decimal_entropy(row):
    with localcontext() as context:
        context.prec = 50
        logs = [Decimal(float(value)) for value in row if value > -math.inf]
        return float(-sum((log.exp() * log for log in logs), Decimal(0)))


@REPEATABLE
@given(distributions())
def test_entropy_is_the_sum(log_probs):
    """-Σ p log p with 0·log 0 = 0, to twelve digits, in decimal arithmetic."""
    expected = [min(max(decimal_entropy(row), 0.0), math.log(log_probs.shape[1])) for row in log_probs]
    np.testing.assert_allclose(entropy(log_probs), expected, rtol=1e-12, atol=1e-15)


@REPEATABLE
@given(distributions())
def test_entropy_lies_in_its_range(log_probs):
    """0 <= H <= log C, 0 exactly for one-hot rows."""
    values = entropy(log_probs)
    assert (values >= 0).all()
    assert (values <= np.log(log_probs.shape[1])).all()
    assert (values[(log_probs == 0).any(axis=1)] == 0).all()


def test_entropy_of_a_certain_prediction_is_plain_zero():
    """0.0, not the -0.0 that a table would show as "-0.00"."""
    assert not np.signbit(entropy(np.array([[0.0, -np.inf], [-np.inf, 0.0]]))).any()


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_entropy_of_the_uniform_distribution_is_the_greatest(classes):
    """H = log C."""
    np.testing.assert_allclose(entropy(np.full((1, classes), -np.log(classes))), np.log(classes), rtol=1e-15)


@REPEATABLE
@given(distributions(), st.randoms(use_true_random=False))
def test_class_and_row_order(log_probs, random):
    """Classes may be renumbered (up to rounding), rows move with their values (exactly)."""
    classes, rows = list(range(log_probs.shape[1])), list(range(len(log_probs)))
    random.shuffle(classes)
    random.shuffle(rows)
    np.testing.assert_allclose(entropy(log_probs[:, classes]), entropy(log_probs), rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(entropy(log_probs[rows]), entropy(log_probs)[rows])
    np.testing.assert_array_equal(top_two(log_probs[:, classes]), top_two(log_probs))


@REPEATABLE
@given(distributions(classes=st.just(4)), distributions(classes=st.just(3)))
def test_entropy_adds_up_for_independent_predictions(left, right):
    """H of a product distribution is the sum of the entropies."""
    pair = (left[:1, :, None] + right[:1, None, :]).reshape(1, -1)
    np.testing.assert_allclose(entropy(pair), entropy(left[:1]) + entropy(right[:1]), rtol=1e-12, atol=1e-14)


@REPEATABLE
@given(distributions(classes=st.integers(3, 6)))
def test_merging_two_classes_never_adds_entropy(log_probs):
    """Grouping: H decreases or stays when two classes are taken for one."""
    merged = np.concatenate([np.logaddexp(log_probs[:, :1], log_probs[:, 1:2]), log_probs[:, 2:]], axis=1)
    assert (entropy(merged) <= entropy(log_probs) + 1e-12).all()


@REPEATABLE
@given(distributions(rows=st.just(4)))
def test_entropy_is_concave(log_probs):
    """The entropy of the mean is at least the mean entropy."""
    with np.errstate(divide="ignore"):
        mean = np.log(np.exp(log_probs).mean(axis=0, keepdims=True))
    assert entropy(mean)[0] >= entropy(log_probs).mean() - 1e-12


@pytest.mark.parametrize("doubt", [1e-6, 1e-9, 1e-12, 1e-15])
def test_near_certainty(doubt):
    """At p = 1 - doubt the entropy is doubt (1 - log doubt), to its leading digits, and resolved from 0."""
    log_probs = np.array([[math.log1p(-doubt), math.log(doubt)]])
    expected = -(1 - doubt) * math.log1p(-doubt) - doubt * math.log(doubt)
    np.testing.assert_allclose(entropy(log_probs), expected, rtol=1e-12)
    assert entropy(log_probs)[0] > 0


def test_deepalplus_nan_at_zero_probability():
    """Peer bug: deepALplus computes p·log p as NaN where p = 0."""
    log_probs = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.exp(log_probs) * log_probs).any()
    np.testing.assert_array_equal(entropy(log_probs), [0.0, 0.0])


@REPEATABLE
@given(distributions())
def test_top_two_is_the_sorted_end(log_probs):
    """The last two of a sorted row."""
    ordered = [sorted(row.tolist()) for row in log_probs]
    first, second = top_two(log_probs)
    assert first.tolist() == [row[-1] for row in ordered]
    assert second.tolist() == [row[-2] for row in ordered]


def test_top_two_needs_two_classes():
    """One class has no second best."""
    with pytest.raises(ValueError, match="1 class"):
        top_two(np.zeros((3, 1)))


def peaked(rows, classes, gap, seed=0):
    """Float32 log-probabilities, good relatively, whose best class leads by ``gap`` nats."""
    logits = np.random.default_rng(seed).normal(size=(rows, classes))
    logits -= logits.max(axis=1, keepdims=True)
    best = logits == 0
    logits = np.where(best, 0.0, logits - gap)
    doubt = np.where(best, 0.0, np.exp(logits)).sum(axis=1, keepdims=True)
    return (logits - np.log1p(doubt)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 10, 65, 1000, 5000])
@pytest.mark.parametrize("gap", [0, 1, 14, 16, 40, 68, 75, 90, 110])
def test_single_precision_is_good_relatively(classes, gap):
    """Float32 input: 4e-7 of the entropy in decimal arithmetic on the same numbers, down to e^-110 and below."""
    log_probs = peaked(3, classes, gap)
    values = entropy(log_probs)
    # The exponentials of many classes are summed in double: enough for a seventh digit.
    wide = log_probs.astype(np.float64)
    expected = [decimal_entropy(row) for row in log_probs] if classes < 100 else -(np.exp(wide) * wide).sum(axis=1)
    np.testing.assert_allclose(values, expected, rtol=4e-7, atol=0)
    assert (values > 0).all()


def test_single_precision_tells_near_certain_predictions_apart():
    """Doubts of 1e-7 and less neither tie nor vanish nor change places."""
    doubt = np.geomspace(1e-30, 1e-7, 500)
    log_probs = np.stack([np.log1p(-doubt), np.log(doubt)], axis=1).astype(np.float32)
    assert (np.diff(entropy(log_probs)) > 0).all()
    assert (np.diff(margin(log_probs[doubt > 1e-15])) > 0).all()
    assert (np.diff(least_confidence(log_probs[doubt > 1e-30])) > 0).all()


POSITIONS = [entropy, margin, ratio, least_confidence]


@pytest.mark.parametrize("function", POSITIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 8, 10, 11, 63, 64, 65, 1000, 2500])
def test_copies_score_alike_wherever_they_stand(function, dtype, classes):
    """In the middle, at the end and in a last block of one row: the same bytes; inputs unwritten."""
    rows = 2 * (2**18 // classes) + 1
    kinds = peaked(3, classes, 1.0).astype(dtype)
    log_probs = kinds[np.arange(rows) % 3]
    before = log_probs.tobytes()
    values = function(log_probs)
    assert values.dtype == np.float64
    for kind in range(3):
        assert len(np.unique(values[kind::3])) == 1
        assert values[kind] == function(kinds[kind : kind + 1])[0]
    assert log_probs.tobytes() == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 10, 64, 65, 200])
def test_class_order_moves_no_more_than_last_bits(dtype, classes):
    """Few classes are summed in double whatever the input; many in the precision of the input."""
    log_probs = peaked(500, classes, 0.5).astype(dtype)
    order = np.random.default_rng(1).permutation(classes)
    moved = log_probs[:, order]
    loose = 5e-7 if classes > 64 and dtype == np.float32 else 1e-14
    np.testing.assert_allclose(entropy(moved), entropy(log_probs), rtol=loose)
    for exact in (margin, ratio, least_confidence):
        np.testing.assert_array_equal(exact(moved), exact(log_probs))


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_layout_and_precision_of_the_input_do_not_matter(classes):
    """Strided, Fortran-ordered and half-precision arrays are read as their numbers."""
    log_probs = peaked(50, classes, 0.5)
    padded = np.zeros((100, 2 * classes), dtype=np.float32)
    padded[::2, ::2] = log_probs
    for function in POSITIONS:
        expected = function(log_probs)
        np.testing.assert_array_equal(function(padded[::2, ::2]), expected)
        np.testing.assert_array_equal(function(np.asfortranarray(log_probs)), expected)
        half = log_probs.astype(np.float16)
        np.testing.assert_array_equal(function(half), function(half.astype(np.float64)))


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_impossible_classes_in_single_precision(classes):
    """log 0 beside ordinary rows: those keep their bytes, a one-hot row scores 0."""
    log_probs = peaked(20, classes, 0.5)
    before = entropy(log_probs)
    log_probs[7] = np.where(np.arange(classes) == 1, 0.0, -np.inf)
    after = entropy(log_probs)
    assert after[7] == 0
    np.testing.assert_array_equal(np.delete(after, 7), np.delete(before, 7))
    assert margin(log_probs)[7] == -1


def test_nothing_in_nothing_out():
    """A pool of no samples."""
    assert entropy(np.empty((0, 4))).shape == (0,)
    assert top_two(np.empty((0, 4)))[0].shape == (0,)
