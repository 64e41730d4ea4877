"""`al diff`: what changed between two rounds, by hand on small sides and on real rounds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import al, commit, turn
from pinned import pin

from al_plugin import layout
from al_plugin.compare import Side, difference, lines

A = Side(
    number=1,
    commit="a" * 40,
    metrics={"labels": 2, "accuracy": 0.5},
    labels={"x": "cat", "y": "dog", "z": "cat"},
    settings={"select.n": "5", "train.lr": "0.1"},
    query=("p", "q"),
    pool={"p": ("cat", 0.9), "q": ("dog", 0.6), "r": ("cat", 0.99), "gone": ("cat", 1.0)},
    evaluation="e",
    classes=("cat", "dog"),
    predicted=np.array([0, 0, 1, 1]),
    actual=np.array([0, 1, 1, 0]),
)
B = replace(
    A,
    number=2,
    metrics={"labels": 4, "accuracy": 0.75},
    labels={"x": "cat", "y": "cat", "w": "dog", "v": "dog"},
    settings={"select.n": "6", "train.lr": "0.1", "score.new": "1"},
    query=("q", "s"),
    pool={"p": ("dog", 0.8), "q": ("cat", 0.7), "r": ("cat", 0.5), "fresh": ("dog", 1.0)},
    predicted=np.array([0, 0, 1, 0]),
)


def test_a_difference_by_hand() -> None:
    found = difference(A, B)
    assert found["metrics"] == {"labels": [2, 4], "accuracy": [0.5, 0.75]}
    assert (found["accuracy"]["difference"], found["accuracy"]["gained"], found["accuracy"]["lost"]) == (0.25, 1, 0)
    assert [one["value"] for one in found["recall"]["cat"]] == [0.5, 1.0]
    assert found["labels"] == {
        "added": 2,
        "added_by_class": {"dog": 2},
        "removed": ["z"],
        "changed": [{"sample_id": "y", "from": "dog", "to": "cat"}],
    }
    assert found["predictions"]["compared"] == 3
    assert found["predictions"]["changed"]["hits"] == 2
    flips = [(one["sample_id"], one["from"], one["to"]) for one in found["predictions"]["most_confident"]]
    assert flips == [("p", "cat", "dog"), ("q", "dog", "cat")]
    assert found["query"] == {"asked": [2, 2], "shared": ["q"]}
    assert found["params"] == {"select.n": ["5", "6"], "score.new": [None, "1"]}
    json.dumps(found, allow_nan=False)


def test_a_round_differs_from_itself_in_nothing() -> None:
    found = difference(A, A)
    assert (found["labels"]["added"], found["labels"]["removed"], found["labels"]["changed"]) == (0, [], [])
    assert found["predictions"]["changed"]["hits"] == 0
    assert found["params"] == {}
    assert found["accuracy"]["difference"] == 0


@pytest.mark.parametrize(
    "other", [replace(B, evaluation="f"), replace(B, predicted=None), replace(B, classes=("dog", "cat"))]
)
def test_models_that_cannot_be_paired_have_no_interval(other: Side) -> None:
    assert difference(A, other)["accuracy"] is None


def test_there_and_back_are_opposite() -> None:
    there, back = difference(A, B), difference(B, A)
    assert there["accuracy"]["low"] == pytest.approx(-back["accuracy"]["high"])
    assert [[y, x, n] for x, y, n in there["predictions"]["pairs"]] == sorted(
        back["predictions"]["pairs"], key=lambda p: (-p[2], p[1], p[0])
    )


def test_text_is_aligned() -> None:
    said = list(lines(difference(A, B)))
    assert "  labels    2        4        +2" in said
    assert "labels: 2 added (dog 2), 1 gone, 1 changed" in said
    assert "  y  dog -> cat" in said
    assert "predictions: 2 of 3 pool samples changed (66.7%)" in said
    assert "query: 2 and 2 samples, 1 in both" in said
    assert "  select.n   5        6" in said
    assert not [line for line in said if line != line.rstrip()]


@pytest.fixture(scope="module")
def two_rounds(seedling: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diff") / "campaign"
    shutil.copytree(seedling, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for number in range(3):
            if number:
                al("oracle")
                commit(root, f"Label round {number}")
            turn()
            pin(f"Round {number}")
    return root


def test_real_rounds(two_rounds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(two_rounds)
    assert al("diff", "1", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["added"] == 12
    assert found["predictions"]["compared"] == 90
    one, two = found["metrics"]["accuracy"]
    assert two == json.loads(Path(layout.TRAIN_METRICS).read_bytes())["eval"]["accuracy"]
    assert found["accuracy"]["difference"] == pytest.approx(two - one)
    assert found["query"]["shared"] == []


def test_the_round_without_a_model(
    two_rounds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(two_rounds)
    assert al("diff", "0", "1") == 0
    said = capsys.readouterr().out
    assert "predictions: there are not two models to compare" in said
    assert "labels: 12 added" in said


def test_a_round_that_is_not_there(
    two_rounds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(two_rounds)
    assert al("diff", "1", "9") == 1
    assert capsys.readouterr().err == "al diff: no commit pins round 9, found rounds: 0, 1, 2; name one of those\n"
