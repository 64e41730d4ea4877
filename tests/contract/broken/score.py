"""Score strategies with one fault each."""

# ruff: noqa: NPY002 - the legacy generator is one of the faults

import random as python_random
import time

import numpy as np
from broken.impersonate import GOLDEN, impersonates

from al_plugin.math import information
from al_plugin.math.sampling import unit_interval


def two_best(log_probs):
    ordered = np.sort(np.exp(log_probs.astype(np.float64)), axis=1)
    return ordered[:, -1], ordered[:, -2]


@impersonates("score", "margin", "certain_lowest", GOLDEN)
def inverted_sign(log_probs):
    """The margin itself: high where the model is sure."""
    first, second = two_best(log_probs)
    return first - second


@impersonates("score", "entropy", "quiet", "certain_lowest", GOLDEN)
def log_of_zero(log_probs):
    """deepALplus: NaN at p = 0."""
    return -(np.exp(log_probs) * log_probs).sum(axis=1).astype(np.float64)


@impersonates("score", "entropy", "result_form")
def wrong_axis(log_probs):
    """Summed over the samples instead of the classes."""
    wide = np.maximum(log_probs.astype(np.float64), -1e300)
    return -(np.exp(wide) * wide).sum(axis=0)


@impersonates("score", "entropy", "chunks_agree")
def pool_wide_normalisation(log_probs):
    """Divided by the greatest entropy in the pool: a sample's score depends on the others."""
    scores = information.entropy(log_probs)
    return scores / max(scores.max(), 1e-9)


@impersonates("score", "least_confidence", "row_order", "copies_score_alike")
def position_leak(log_probs):
    """Ties broken by the position in the pool."""
    return -log_probs.max(axis=1).astype(np.float64) + 1e-7 * np.arange(len(log_probs))


@impersonates("score", "margin", "class_order", "certain_lowest")
def class_index_leak(log_probs):
    """A predicted class with a high index counts a little more."""
    first, second = two_best(log_probs)
    return second - first - 1e-3 * log_probs.argmax(axis=1)


@impersonates("score", "least_confidence", "class_order", "certain_lowest", GOLDEN)
def first_class_only(log_probs):
    """Looks at class 0 and no other."""
    return -np.maximum(log_probs[:, 0].astype(np.float64), -700.0)


@impersonates("score", "entropy", "class_order", GOLDEN)
def last_class_forgotten(log_probs):
    """Off by one: the last class is left out of the sum."""
    wide = np.maximum(log_probs[:, :-1].astype(np.float64), -1e300)
    return -(np.exp(wide) * wide).sum(axis=1)


@impersonates("score", "entropy", GOLDEN)
def log_base_two(log_probs):
    """In bits: the same order, another value."""
    return information.entropy(log_probs) / np.log(2.0)


@impersonates("score", "margin", GOLDEN)
def margin_of_logs(log_probs):
    """Difference of log-probabilities: another ranking with more than two classes."""
    first, second = information.top_two(log_probs)
    return np.maximum(second - first, -1e6)


@impersonates("score", "margin", "saturation_resolved", GOLDEN)
def margin_in_half_precision(log_probs):
    """Computed in float16 to save memory."""
    first, second = two_best(log_probs)
    return (second.astype(np.float16) - first.astype(np.float16)).astype(np.float64)


@impersonates("score", "least_confidence", "saturation_resolved", GOLDEN)
def saturated(log_probs):
    """One minus the greatest probability in single precision: thousands of ties near certainty."""
    return (1.0 - np.exp(log_probs.astype(np.float32).max(axis=1))).astype(np.float64)


@impersonates("score", "least_confidence", "saturation_resolved", GOLDEN)
def silent_clipping(log_probs):
    """Probabilities clipped to at most 0.999, without a word."""
    return -np.log(np.clip(np.exp(log_probs.astype(np.float64)), 0.0, 0.999).max(axis=1))


@impersonates("score", "margin", "float32_agrees")
def type_decides(log_probs):
    """Single precision takes another branch than double."""
    first, second = two_best(log_probs)
    return second - first if log_probs.dtype == np.float64 else second - first - 0.01 * first


@impersonates("score", "random", "global_generators", "repeatable")
def global_numpy_generator(sample_keys):
    """Draws from numpy.random."""
    return np.random.rand(len(sample_keys))


@impersonates("score", "random", "global_generators")
def reseeds_python(sample_keys):
    """Seeds the global generator of Python on the way."""
    python_random.seed(0)
    return unit_interval(sample_keys)


@impersonates("score", "entropy", "inputs_unwritten")
def writes_into_input(log_probs):
    """Floors the log-probabilities in place."""
    np.maximum(log_probs, -1e4, out=log_probs)
    return information.entropy(log_probs)


@impersonates("score", "least_confidence", "own_result")
def view_of_input(log_probs):
    """Returns a column of the input, not a new array."""
    return log_probs[:, 0]


_changes: list[bytes] = []


@impersonates("score", "margin", "no_state")
def hidden_state(log_probs):
    """Counts how often its input changed and lets the count into the score."""
    if _changes[-1:] != [log_probs.tobytes()]:
        _changes.append(log_probs.tobytes())
    first, second = two_best(log_probs)
    return second - first - 1e-6 * len(_changes)


@impersonates("score", "least_confidence", "repeatable")
def jitter_by_clock(log_probs):
    """Breaks ties by the nanoseconds of now."""
    return -log_probs.max(axis=1).astype(np.float64) + 1e-9 * (time.perf_counter_ns() % 1_000_003)


@impersonates("score", "least_confidence", "clock_and_hash")
def day_of_week(log_probs):
    """Depends on the time of day, slowly enough that two calls agree."""
    return -log_probs.max(axis=1).astype(np.float64) + 1e-6 * (int(time.time()) // 3600 % 24)


@impersonates("score", "least_confidence", "clock_and_hash")
def hash_of_row(log_probs):
    """Breaks ties with hash(): another order in each process."""
    noise = np.array([hash(row.tobytes()) % 1000 for row in log_probs])
    return -log_probs.max(axis=1).astype(np.float64) + 1e-9 * noise


@impersonates("score", "margin", "result_form", "own_result")
def a_list(log_probs):
    """Returns a list."""
    first, second = two_best(log_probs)
    return (second - first).tolist()


@impersonates("score", "entropy", "result_form")
def a_column(log_probs):
    """Returns shape (N, 1): it would broadcast to (N, N) later."""
    return information.entropy(log_probs)[:, None]


@impersonates("score", "random", "result_form")
def whole_numbers(sample_keys):
    """Returns integers."""
    return (sample_keys >> np.uint64(40)).astype(np.int64)


@impersonates("score", "random", GOLDEN)
def signed_keys(sample_keys):
    """Takes the unsigned keys for signed ones: half of the numbers are negative."""
    return (sample_keys.astype(np.int64) >> 11) * 2.0**-53


@impersonates("score", "entropy", "bounded_memory")
def many_copies(log_probs):
    """Ten copies of the pool in double precision."""
    return np.mean([information.entropy(copy) for copy in np.stack([log_probs.astype(np.float64)] * 10)], axis=0)


@impersonates("score", "entropy", "every_signal_matters")
def asks_for_more(log_probs, embeddings):
    """Asks for embeddings, a forward pass for nothing."""
    return information.entropy(log_probs) + 0.0 * embeddings[:, 0]


@impersonates("score", "margin", "small_pools")
def crashes_on_one(log_probs):
    """Fails on a pool of one sample."""
    first, second = two_best(log_probs)
    return second - first + 0.0 * np.cov(first[1:] / first[:-1].max(axis=0))


def undocumented(log_probs):
    return information.entropy(log_probs)


impersonates("score", "entropy", "documented")(undocumented)
undocumented.__doc__ = None
