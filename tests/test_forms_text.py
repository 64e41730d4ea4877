"""Texts: the hashing beside a plain Python one, weights, what is empty."""

import math
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_forms import part, refused

from al_plugin.data.forms import form as forms
from al_plugin.data.forms.form import Settings

M = 2**64
BASE = 0x9E3779B97F4A7C15
TEXTS = [
    "What is an atom ?",
    "It's THE the the cat.",
    "a",
    "!",
    "日本語のテキスト",
    "ﬁne Ⅷ",
    "x" * 300,
    "naïve café 👍🏽",
]


def mixed(value: int, kind: int) -> int:
    value = (value + kind * 0x632BE59BD9B4E019) % M
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % M
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % M
    return value ^ (value >> 31)


def polynomial(values: list[int]) -> int:
    total = 0
    for value in values:
        total = (total * BASE + value) % M
    return total


def by_hand(text: str, width: int) -> list[float]:
    words = re.findall(r"\w+|[^\w\s]", unicodedata.normalize("NFKC", text).lower())
    padded = [[ord(letter) for letter in f" {word} "] for word in words]
    # A word's hash is the polynomial times the base, once more than its n-gram of characters.
    whole = [polynomial([*codes, 0]) for codes in padded]
    hashes = [mixed(value, 1) for value in whole]
    hashes += [mixed(polynomial(list(pair)), 2) for pair in pairwise(whole)]
    for codes in padded:
        for n in (3, 4, 5):
            hashes += [mixed(polynomial(codes[i : i + n]), 256 + n) for i in range(len(codes) - n + 1)]
    counts: Counter[int] = Counter()
    for value in hashes:
        counts[(value >> 32) % width] += -1 if value & 1 else 1
    row = [math.copysign(1 + math.log(abs(counts[i])), counts[i]) if counts[i] else 0.0 for i in range(width)]
    norm = math.sqrt(math.fsum(value * value for value in row))
    return [value / norm if norm else 0.0 for value in row]


def encoded(texts: list[str], width: int = 64) -> np.ndarray:
    held = part(text=texts)
    return forms.encode(forms.fit([held], Settings(text_features=width)), held)


@pytest.mark.parametrize("width", [1, 64, 1000])
def test_hashing_beside_plain_python(width: int) -> None:
    np.testing.assert_allclose(encoded(TEXTS, width), [by_hand(text, width) for text in TEXTS], rtol=1e-6)


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_any_text(texts: list[str]) -> None:
    rows = encoded(texts)
    np.testing.assert_allclose(rows, [by_hand(text, 64) for text in texts], rtol=1e-6)
    norms = np.linalg.norm(rows, axis=1)
    assert ((abs(norms - 1) < 1e-6) | (norms == 0)).all()


def test_blocks_of_texts_do_not_show() -> None:
    texts = [TEXTS[i % len(TEXTS)] + str(i) for i in range(150)] + ["long " * 70_000, "after"]
    whole = encoded(texts)
    for position in (0, 63, 64, 127, 128, 150, 151):
        np.testing.assert_array_equal(whole[position], encoded([texts[position]])[0])


def test_columns_collide_as_rarely_as_chance() -> None:
    """10,000 words on 4,096 columns: signs and columns are uniform (chi-square within 5 sigma)."""
    from al_plugin.data.forms.ngrams import counted

    words = [f"{i}" for i in range(10_000)]
    total, signs = np.zeros(4096), 0.0
    for _, counts in counted(words, 4096, (1, 1), (99, 99)):
        total += np.abs(counts).sum(axis=0)
        signs += counts.sum()
    assert total.sum() == 10_000
    chi2 = ((total - 10_000 / 4096) ** 2 / (10_000 / 4096)).sum()
    assert abs(chi2 - 4095) < 5 * math.sqrt(2 * 4095)
    assert abs(signs) < 5 * 100


def test_the_hash_depends_on_nothing_but_the_text() -> None:
    code = (
        "import hashlib, pyarrow as pa\n"
        "from al_plugin.data.forms.form import *\n"
        "p = Part(pa.table({'text': ['What is an atom ?', 'ü']}), 'p')\n"
        "print(hashlib.sha256(encode(fit([p], Settings()), p).tobytes()).hexdigest())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


def test_case_and_compatibility_forms_are_one() -> None:
    rows = encoded(["Ｆｉｎｅ CAFÉ", "fine cafe\u0301", "  fine\n\tcafé "])
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(*encoded(["dog bites man", "man bites dog"]))


@pytest.mark.parametrize("empty", [None, "", " \t\n", "\u3000\xa0"])
def test_empty_texts_are_named(empty: str | None) -> None:
    held = part(text=pa.array(["a", empty, "b", empty], pa.string()))
    refused(
        lambda: forms.encode(forms.fit([held], Settings()), held), "2 texts are empty", "first s1, s3", "pool part p"
    )


def test_text_columns_of_other_types() -> None:
    for column in (pa.array(["a", "b"], pa.large_string()), pa.array(["a", "b"]).dictionary_encode()):
        held = part(text=column)
        np.testing.assert_array_equal(forms.encode(forms.fit([held], Settings()), held), encoded(["a", "b"], 4096))
    held = part(text=[1, 2])
    refused(lambda: forms.encode(forms.fit([held], Settings()), held), "text holds int64")
