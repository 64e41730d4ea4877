"""One rule for `auto` and for people, and a simulation that overrules it only with evidence."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import al, blobs, stage
from hypothesis import given
from hypothesis import strategies as st

from al_plugin import layout, store
from al_plugin.data.pool import sample_table
from al_plugin.math.redundancy import near_duplicates
from al_plugin.recommend import Seen, recommended
from al_plugin.simulate.analysis import Question, analysed
from al_plugin.simulate.results import FOLDER
from al_plugin.strategies import recipes
from al_plugin.strategies.recipes import Facts, resolve, suited


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6))
def test_auto_asks_the_same_rule(counts: list[int]) -> None:
    """As `auto` was before there was a rule to share: words and all."""
    found = resolve("auto", {}, counts)
    total, unseen, needed = sum(counts), counts.count(0), 5 * len(counts)
    if total < needed or unseen:
        why = f"auto: cold start, {total} labels ({needed} wanted), {unseen} classes unseen"
        assert found == recipes.Triple("single", "margin", "typiclust", why)
    else:
        why = f"auto: margin, {total} labels and every class seen"
        assert found == recipes.Triple("single", "margin", "top", why)
    assert suited(Facts(counts)).recipe == ("margin" if found.select == "top" else "typiclust")


@pytest.mark.parametrize(
    ("facts", "recipe"),
    [
        (Facts((9, 9), 50, 0.0), "margin"),
        (Facts((9, 9), 1000, 0.0), "cluster_margin"),
        (Facts((9, 9), 50, 0.21), "badge"),
        (Facts((9, 9), 50, 0.2), "margin"),
        (Facts((9, 0), 1000, 0.9), "typiclust"),
        (Facts((5, 4), 50, None), "typiclust"),
        (Facts((5, 5), None, None), "margin"),
    ],
)
def test_rules(facts: Facts, recipe: str) -> None:
    assert suited(facts).recipe == recipe
    assert recipe in recipes.RECIPES


# Near copies


def test_copies_are_counted() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 30)).astype(np.float32)
    assert near_duplicates(points, rng) == 0.0
    assert near_duplicates(np.repeat(points, 2, axis=0), rng) == 1.0
    half = np.concatenate([points, points[:200] + np.float32(1e-4)])
    assert near_duplicates(half, rng) == pytest.approx(400 / 600)
    assert near_duplicates(np.ones((50, 3), dtype=np.float32), rng) == 1.0
    assert near_duplicates(points[:2], rng) == 0.0


def test_near_copies_by_brute_force() -> None:
    points = np.random.default_rng(1).normal(size=(120, 2)).astype(np.float32)
    gaps = np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=2)
    typical = np.median(gaps[~np.eye(120, dtype=bool)])
    np.fill_diagonal(gaps, np.inf)
    exact = (gaps.min(axis=1) < 0.05 * typical).mean()
    # The typical distance is taken from 120 random pairs, so a few decisions may differ.
    assert near_duplicates(points, np.random.default_rng(2)) == pytest.approx(exact, abs=0.1)


# Simulation


def document(**arms: float) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    runs = {
        name: [{"labels": [10, 20], "accuracy": [0.5 + gain + d, 0.7 + gain + d]} for d in rng.normal(size=8) * 0.004]
        for name, gain in {"random": 0.0, **arms}.items()
    }
    return {
        "key": "k",
        "plan": {"seeds": 8, "budgets": [10, 20]},
        "data": {"per_class": [20, 20]},
        "results": analysed(runs, Question()),
    }


def data_seen(*counts: int, n: int = 10, evaluation: int = 400) -> Seen:
    return Seen(Facts(counts, n, 0.0), tuple("abcdef"[: len(counts)]), 500, evaluation)


def test_without_a_simulation_the_rule_stands() -> None:
    found = recommended(data_seen(20, 20), None)
    assert found.recipe == "margin"
    assert "al recommend --simulate" in found.evidence[0]


def test_a_clearly_better_arm_is_named() -> None:
    found = recommended(data_seen(20, 20), document(margin=0.02, uherding=0.06, badge=0.04))
    assert found.recipe == "uherding"
    assert any(re.search(r"better than margin: \+[34]\.\d\d points \(\+", reason) for reason in found.reasons)
    assert any(text.startswith("  uherding: +") and "better" in text for text in found.evidence)


def test_an_arm_that_may_be_better_is_not() -> None:
    found = recommended(data_seen(20, 20), document(margin=0.05, uherding=0.051))
    assert found.recipe == "margin"
    assert "the simulation finds it better than random, and no arm better than it" in found.reasons


def test_random_is_named_where_the_rule_loses_to_it() -> None:
    assert recommended(data_seen(20, 20), document(margin=-0.05)).recipe == "random"


def test_a_cold_start_is_not_overruled() -> None:
    found = recommended(data_seen(3, 0), document(margin=0.05, uherding=0.08))
    assert found.recipe == "typiclust"
    assert any("does not decide here" in text for text in found.evidence)


def test_a_rule_that_was_not_simulated_stands() -> None:
    found = recommended(data_seen(20, 20), document(uherding=0.08))
    assert found.recipe == "margin"
    assert "margin was not simulated" in found.reasons


def test_cautions() -> None:
    found = recommended(data_seen(300, 10, n=300, evaluation=400), document(margin=0.05))
    text = " ".join(found.cautions)
    assert "400 evaluation samples tell an accuracy of 90 % to ± 2.9 points" in text
    assert "30 times the labels of the rarest" in text
    assert "select.n is 300, and 190 samples are left" in text
    assert "made on 40 labels, now there are 310" in text


# The command


def test_before_the_first_round(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("recommend") == 0
    said = capsys.readouterr().out
    assert "recipe    typiclust" in said
    assert "cold start, 0 labels (15 wanted), 3 classes unseen" in said
    assert not Path(FOLDER).exists()


def test_with_labels_and_a_small_simulation(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("recommend", "--simulate") == 1
    assert "this campaign has no labels yet" in capsys.readouterr().err
    for _ in range(3):
        al("oracle")
        for name in ("merge_labels", "train", "score", "select_query"):
            assert stage(name) == 0
    capsys.readouterr()
    assert al("recommend", "--simulate") == 0
    said = capsys.readouterr().out
    (document_path,) = Path(FOLDER).glob("*/simulation.json")
    key = json.loads(document_path.read_text())["key"]
    assert f"simulation {key}, 5 seeds" in said
    assert "now auto" in said
    assert al("recommend") == 0
    assert capsys.readouterr().out == said


def test_a_pool_of_copies(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    for _ in range(2):
        al("oracle")
        for name in ("merge_labels", "train", "score", "select_query"):
            assert stage(name) == 0
    ids, features, _ = blobs(90, 0, "copy")
    store.write_table(Path(layout.POOL, "part-00002.parquet"), sample_table(ids, features))
    capsys.readouterr()
    assert al("recommend") == 0
    said = capsys.readouterr().out
    assert "redundant 100% of the pool has a near copy" in said
    assert "recipe    badge" in said
