"""Embeddings are encoded once: the key is the content, a broken file is computed anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_plugin import cache
from al_plugin.models.encoders import Encoder


@pytest.fixture(autouse=True)
def _root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Counting:
    """An encoder of texts by length and first letter that counts what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, samples):
        self.asked += samples
        return np.array([[len(one), ord(one[0])] for one in samples], dtype=np.float64)

    def encoder(self, name="mine:count", version="1"):
        return Encoder(name, "text", version, self)


def files():
    return sorted(cache._FOLDER.glob("*"))


def test_the_second_time_nothing_is_encoded():
    counting, texts = Counting(), ["one", "three", "five"]
    first = cache.encoded(counting.encoder(), texts)
    assert first.dtype == np.float32
    assert first.tolist() == [[3, 111], [5, 116], [4, 102]]
    assert np.array_equal(cache.encoded(counting.encoder(), texts), first)
    assert counting.asked == texts
    assert [path.suffix for path in files()] == [".npy"]
    assert np.array_equal(np.load(files()[0], allow_pickle=False), first), "any NumPy reads it"


@pytest.mark.parametrize("change", [{"name": "mine:other"}, {"version": "2"}])
def test_another_encoder_or_version_is_another_entry(change):
    counting = Counting()
    cache.encoded(counting.encoder(), ["a"])
    cache.encoded(counting.encoder(**change), ["a"])
    assert counting.asked == ["a", "a"]


@pytest.mark.parametrize("texts", [["b", "a"], ["ab"], ["a", "b", "c"], ["a"], ["a", "B"]])
def test_other_samples_are_another_entry(texts):
    counting = Counting()
    cache.encoded(counting.encoder(), ["a", "b"])
    assert cache.encoded(counting.encoder(), texts).tolist() == counting(texts).tolist()


@given(st.lists(st.text()), st.lists(st.text()))
def test_keys_are_equal_only_for_equal_samples(one, other):
    encoder = Counting().encoder()
    assert (cache.key(encoder, one) == cache.key(encoder, other)) == (one == other)


def flipped(content):
    return content[:130] + bytes([content[130] ^ 1]) + content[131:]


@pytest.mark.parametrize(
    "spoil", [lambda c: b"", lambda c: c[:-1], lambda c: c[:40], flipped, lambda c: b"\x80\x04K\x01." * 20]
)
def test_a_broken_entry_is_computed_anew(spoil):
    counting, texts = Counting(), ["one", "three", "five"]
    first = cache.encoded(counting.encoder(), texts)
    (path,) = files()
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    assert np.array_equal(cache.encoded(counting.encoder(), texts), first)
    assert counting.asked == texts * 2
    assert path.read_bytes() == whole


def test_growth_encodes_only_what_is_new(monkeypatch):
    """A pool that grows keeps its whole blocks, and work that was cut off goes on."""
    monkeypatch.setattr(cache, "_BLOCK", 4)
    counting, texts = Counting(), [f"text {i}" for i in range(9)]
    cache.encoded(counting.encoder(), texts[:8])
    grown = cache.encoded(counting.encoder(), texts)
    assert counting.asked == texts
    assert np.array_equal(grown, Counting().encoder().encode(texts))


def test_a_failure_leaves_no_entry():
    def fails(samples):
        raise OSError

    with pytest.raises(OSError):
        cache.encoded(Encoder("mine:fails", "text", "1", fails), ["a"])
    assert files() == []


def test_no_samples():
    assert cache.encoded(Counting().encoder(), []).shape[0] == 0
    assert files() == []
