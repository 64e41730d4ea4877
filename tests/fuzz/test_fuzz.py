"""Any bytes in place of a file: taken or refused in one line. `make fuzz` runs 10,000 cases of each reader."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import al, filed, fill, manifest_of, stage, tree, truth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import CARD, TARGETS, survives

from al_plugin import layout, store
from al_plugin.data.answers import digest

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


def batches(cases: int, *, forged: bool, capsys: pytest.CaptureFixture) -> None:
    """Broken batches through `al labels add`; ``forged``: put into the label round by hand with a manifest that fits."""
    assert al("query", "export", "q.csv") == 0
    fill(Path("q.csv"), Path("good.csv"), truth)
    seed = Path("good.csv").read_bytes()
    if forged:
        assert al("labels", "add", "good.csv") == 0
        batch = filed(1, "b01--ann")
        manifest = manifest_of(batch)
        seed = batch.read_bytes()
    shutil.copytree("data", "../kept")
    before = tree(Path())

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(_edit, min_size=1, max_size=4))
    def test(edits: list[tuple[str, int, int]]) -> None:
        content = edited(seed, edits, TARGETS["answers"].words)
        capsys.readouterr()
        if forged:
            batch.write_bytes(content)
            store.write_json(manifest, {"file": batch.name, "sha256": digest(content)})
            code = stage("merge_labels")
        else:
            Path("../bad.csv").write_bytes(content)
            code = al("labels", "add", "../bad.csv")
        said = capsys.readouterr()
        assert all(line.isprintable() and not line.startswith("::") for line in (said.out + said.err).splitlines())
        if code or not forged:
            now = tree(Path())
            assert code in (0, 1)
            if code and forged:
                now |= {name: before[name] for name in (batch.as_posix(), manifest.as_posix())}
            assert code == 0 or now == before
        else:
            ids = store.read_table(layout.LABELED, "").column("sample_id").to_pylist()
            assert len(set(ids)) == len(ids)
        shutil.rmtree("data")
        shutil.copytree("../kept", "data")
        for folder in ("merged", "metrics", "reports"):
            for name in [name for name in before if name.startswith(f"{folder}/")]:
                Path(name).write_bytes(before[name])
        assert sorted(os.listdir("..")) == sorted({"campaign", "kept", *(() if forged else ("bad.csv",))})

    test()


@pytest.mark.parametrize("forged", [False, True])
def test_a_broken_batch_is_taken_whole_or_not_at_all(
    forged: bool, first_round: Path, capsys: pytest.CaptureFixture
) -> None:
    batches(15, forged=forged, capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("forged", [False, True])
def test_hundreds_of_broken_batches(forged: bool, first_round: Path, capsys: pytest.CaptureFixture) -> None:
    batches(500, forged=forged, capsys=capsys)


_VALUES = (
    None,
    -1,
    0,
    10**9,
    1e308,
    "x",
    [],
    {},
    True,
    [1, 2],
    "linear",
    "cnn",
    "cosine",
    "estimator",
    "forest",
    "swag",
)
_KEYS = ("fitted", "classes", "network", "form", *CARD["network"], *CARD["form"], "calibration_temperature", "members")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_KEYS), st.one_of(st.just("drop"), st.sampled_from(_VALUES))), min_size=1, max_size=4
    )
)
def test_cards_of_any_value(changes: list[tuple[str, object]]) -> None:
    card = json.loads(json.dumps(CARD))
    for key, value in changes:
        for part in (card, card.get("network"), card.get("form")):
            if isinstance(part, dict) and (key in part or part is card.get("network")):
                part.pop(key, None)
                part.update({} if value == "drop" else {key: value})
    survives(TARGETS["card"], json.dumps(card).encode())
