"""Keyed order and draws, against whole-number arithmetic and known distributions."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from al_plugin.math.sampling import best_first, id_hashes, keyed_order, mixed_keys, spread, unit_interval

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=100)
IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=30, unique=True)
MASK = 2**64 - 1


def splitmix(word, seed):
    """The same in whole numbers modulo 2⁶⁴."""
    word = (word + seed * 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def objects(ids):
    return np.array([*ids, None], dtype=object)[:-1]


@pytest.mark.parametrize(
    ("word", "seed", "expected"),
    [
        (0, 1, 0xE220A8397B1DCDAF),  # the first output of splitmix64 from state 0, as published
        (1, 0, 0x5692161D100B05E5),
        (2**64 - 1, 12345, 0x6FD08070928C5BC4),
    ],
)
def test_mixed_keys_are_pinned(word, seed, expected):
    """Literal values: the order of candidates must never change between platforms or versions."""
    assert int(mixed_keys(np.array([word], dtype=np.uint64), seed)[0]) == splitmix(word, seed) == expected


@REPEATABLE
@given(st.lists(st.integers(0, MASK), min_size=1, max_size=20), st.integers(0, 2**63 - 1))
def test_mixed_keys_are_splitmix(words, seed):
    """Equal to the arithmetic of whole numbers for every key and seed; a key does not depend on the others."""
    keys = mixed_keys(np.array(words, dtype=np.uint64), seed)
    assert keys.tolist() == [splitmix(word, seed) for word in words]


def test_id_hashes_are_pinned():
    """A keyed BLAKE2b of 8 bytes, read as a little-endian number, on every platform."""
    ids = ["a", "ä", "sample-00017", ""]
    expected = [
        int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8, key=b"al_plugin sample id").digest(), "little")
        for i in ids
    ]
    assert id_hashes(ids).tolist() == expected
    assert id_hashes(ids).dtype == np.uint64
    assert id_hashes(["a"]).tolist() == [10479654382548261406]


@REPEATABLE
@given(IDS, st.integers(0, 2**63 - 1), st.randoms(use_true_random=False))
def test_keyed_order_goes_with_the_ids(ids, seed, random):
    """Whatever order the rows come in, the ids come out in the same order."""
    shuffled = list(ids)
    random.shuffle(shuffled)

    def ordered(names):
        return [names[i] for i in keyed_order(mixed_keys(id_hashes(names), seed), objects(names))]

    assert ordered(shuffled) == ordered(ids)
    assert sorted(ordered(ids)) == sorted(ids)


@REPEATABLE
@given(IDS, st.integers(1, 3), st.randoms(use_true_random=False))
def test_equal_keys_go_by_id(ids, distinct, random):
    """Keys that collide are ordered by id, so that the order of rows still does not matter."""
    keys = {name: np.uint64(len(name) % distinct) for name in ids}
    shuffled = list(ids)
    random.shuffle(shuffled)
    order = keyed_order(np.array([keys[name] for name in shuffled], dtype=np.uint64), objects(shuffled))
    assert [shuffled[i] for i in order] == sorted(ids, key=lambda name: (keys[name], name))


def test_orders_of_two_seeds_are_unrelated():
    """The rank correlation of the orders of neighbouring seeds is that of chance."""
    hashes = id_hashes([f"s{i}" for i in range(2000)])
    ranks = [np.argsort(np.argsort(mixed_keys(hashes, seed))) for seed in (7, 8)]
    assert abs(stats.spearmanr(*ranks).statistic) < 4.5 / np.sqrt(2000)


@pytest.mark.parametrize("seed", range(5))
def test_unit_interval_is_uniform(seed):
    """Kolmogorov-Smirnov at fixed seeds, ids that differ in their last digits only."""
    values = unit_interval(mixed_keys(id_hashes([f"sample-{i:06d}" for i in range(5000)]), seed))
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_unit_interval_ends():
    """0 for key 0, below 1 for the greatest key, exactly 53 bits."""
    keys = np.array([0, 2**11 - 1, 2**11, 2**63, MASK], dtype=np.uint64)
    assert unit_interval(keys).tolist() == [0.0, 0.0, 2.0**-53, 0.5, 1.0 - 2.0**-53]


@REPEATABLE
@given(st.integers(0, 200), st.data())
def test_spread_is_even(total, data):
    """Distinct places in order, and every stretch from the start holds its share, within a half."""
    special = data.draw(st.integers(0, total))
    places = spread(total, special).tolist()
    assert places == sorted(set(places))
    assert len(places) == special
    assert all(0 <= place < total for place in places)
    for seen in range(total + 1):
        share = seen * special / total if total else 0
        assert abs(sum(place < seen for place in places) - share) <= 0.5


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -np.inf, 0.5]), min_size=1, max_size=40), st.data())
def test_best_first_is_a_stable_sort(scores, data):
    """Ties at the cut go to the first position, as in a full sort."""
    n = data.draw(st.integers(0, len(scores)))
    values = np.array(scores)
    assert best_first(values, n).tolist() == np.argsort(-values, kind="stable")[:n].tolist()
