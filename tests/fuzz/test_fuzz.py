"""Any bytes in place of a file: taken or refused in one line. `make fuzz` runs 10,000 cases of each reader."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import TARGETS, survives

LONG = 10_000
# Milliseconds a case takes decide how many fit into the bounded run.
SHORT = int(os.environ.get("AL_FUZZ_CASES", "60"))

_edit = st.tuples(
    st.sampled_from(("flip", "cut", "copy", "word", "drop", "byte")), st.integers(0, 2**32), st.integers(0, 2**32)
)


def edited(seed: bytes, edits: list[tuple[str, int, int]], words: tuple[bytes, ...]) -> bytes:
    """The seed after some edits; the numbers say where and what."""
    content = bytearray(seed)
    for kind, where, what in edits:
        at = where % (len(content) + 1)
        length = 1 + what % 16
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << what % 8
        elif kind == "byte" and at < len(content):
            content[at] = what % 256
        elif kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + length]
        elif kind == "copy":
            content[at:at] = content[max(0, at - 8 * length) : at]
        elif kind == "word" and words:
            content[at : at + what % 7] = words[what % len(words)]
    return bytes(content)


def hammered(name: str, cases: int) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    for seed in seeds:
        survives(target, seed)

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(seeds), st.lists(_edit, min_size=1, max_size=6))
    def test(seed: bytes, edits: list[tuple[str, int, int]]) -> None:
        survives(target, edited(seed, edits, target.words))

    test()


@pytest.mark.parametrize("name", TARGETS)
def test_a_bounded_share(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hammered(name, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_ten_thousand_cases(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hammered(name, LONG)
