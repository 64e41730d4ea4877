"""Training dynamics as streams equal their definitions on the whole record."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.dynamics import DispersionStream, ForgettingStream

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=120)


@st.composite
def records(draw):
    """Per sample the outcomes of its presentations, and a schedule of batches of distinct samples."""
    samples = draw(st.integers(1, 6))
    epochs = draw(st.integers(0, 9))
    correct = draw(
        st.lists(st.lists(st.booleans(), min_size=samples, max_size=samples), min_size=epochs, max_size=epochs)
    )
    orders = [draw(st.permutations(range(samples))) for _ in range(epochs)]
    return samples, np.array(correct, dtype=np.bool_).reshape(epochs, samples), orders, draw(st.integers(1, samples))


def streamed(samples, correct, orders, batch):
    stream = ForgettingStream(samples)
    for row, order in zip(correct, orders, strict=True):
        for start in range(0, samples, batch):
            positions = np.array(order[start : start + batch])
            stream.present(positions, row[positions])
    return stream


@REPEATABLE
@given(records())
def test_forgetting_stream_equals_the_record(record):
    """Events, first learned and never learned, recomputed from the whole record of each sample."""
    samples, correct, _, _ = record
    stream = streamed(*record)
    for sample in range(samples):
        told = correct[:, sample].tolist()
        events = sum(before and not after for before, after in pairwise(told))
        assert stream.presented[sample] == len(told)
        assert stream.forgotten[sample] == events <= len(told) // 2
        assert stream.first_learned[sample] == (told.index(True) if any(told) else -1)
        assert stream.never_learned[sample] == (not any(told))
        assert stream.unforgettable[sample] == (any(told) and events == 0)


@REPEATABLE
@given(records(), st.randoms(use_true_random=False))
def test_order_within_an_epoch_does_not_matter(record, random):
    """Any order of samples and any batch size give the same dynamics."""
    samples, correct, orders, batch = record
    other = [random.sample(list(order), len(order)) for order in orders]
    here, there = streamed(samples, correct, orders, batch), streamed(samples, correct, other, samples)
    for name in ("presented", "forgotten", "first_learned"):
        assert getattr(here, name).tolist() == getattr(there, name).tolist()


def test_learning_is_not_forgetting():
    """Only right-then-wrong counts: wrong-then-right is learning, and wrong twice is one event."""
    stream = ForgettingStream(1)
    for correct in (False, True, False, False, True):
        stream.present(np.array([0]), np.array([correct]))
    assert (stream.forgotten.tolist(), stream.first_learned.tolist()) == ([1], [1])
    assert not stream.unforgettable[0]
    assert not stream.never_learned[0]


def test_a_sample_out_of_the_batch_is_untouched():
    """Only presented samples change."""
    stream = ForgettingStream(3)
    stream.present(np.array([2]), np.array([True]))
    stream.present(np.array([2]), np.array([False]))
    assert stream.presented.tolist() == [0, 0, 2]
    assert stream.forgotten.tolist() == [0, 0, 1]
    assert stream.first_learned.tolist() == [-1, -1, 0]
    assert stream.never_learned.tolist() == [True, True, False]


PREDICTIONS = st.integers(2, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.integers(1, 5).flatmap(
            lambda samples: st.lists(
                st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples), min_size=1, max_size=9
            )
        ),
    )
)


def recorded(classes, epochs):
    stream = DispersionStream(len(epochs[0]), classes)
    for row in epochs:
        stream.record(np.array(row))
    return stream


@REPEATABLE
@given(PREDICTIONS)
def test_dispersion_stream_equals_the_record(drawn):
    """1 - share of the modal label, recomputed from all epochs, within [0, 1 - 1 / min(E, C)]."""
    classes, epochs = drawn
    stream = recorded(classes, epochs)
    for sample, told in enumerate(zip(*epochs, strict=True)):
        counts = [told.count(label) for label in range(classes)]
        assert stream.dispersion()[sample] == 1.0 - max(counts) / len(epochs)
        assert stream.modal_label()[sample] == counts.index(max(counts))
    assert stream.epochs == len(epochs)
    assert (stream.dispersion() >= 0).all()
    assert (stream.dispersion() <= 1.0 - 1.0 / min(len(epochs), classes)).all()


@REPEATABLE
@given(PREDICTIONS, st.randoms(use_true_random=False))
def test_dispersion_ignores_class_names_and_epoch_order(drawn, random):
    """Renumbering the classes and reordering the epochs change nothing."""
    classes, epochs = drawn
    names = random.sample(range(classes), classes)
    other = [[names[label] for label in row] for row in random.sample(epochs, len(epochs))]
    assert recorded(classes, other).dispersion().tolist() == recorded(classes, epochs).dispersion().tolist()


def test_constant_predictions_have_no_dispersion():
    """The same label in every epoch: 0."""
    assert recorded(3, [[0, 2]] * 7).dispersion().tolist() == [0.0, 0.0]


def test_dispersion_before_the_first_epoch():
    """Nothing recorded: NaN, not 0."""
    assert np.isnan(DispersionStream(3, 2).dispersion()).all()
