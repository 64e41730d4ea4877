"""Copies within a query: one of each unless nothing else is left, the random share untouched."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import turn
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin import layout, store
from al_plugin.data.pool import Pool, sample_table
from al_plugin.data.sets import Labeled, Scoreboard
from al_plugin.math.distinct import copy_groups
from al_plugin.rounds.copies import pool_copies
from al_plugin.rounds.select import Asked, select
from al_plugin.strategies.registry import load


def brute(samples: np.ndarray) -> list[int]:
    """Groups of equal rows, numbered by their first; -1 for rows of their own."""
    rows = [tuple(row.tolist()) for row in samples]
    several = list(dict.fromkeys(row for row in rows if rows.count(row) > 1))
    return [several.index(row) if row in several else -1 for row in rows]


@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([np.uint8, np.float32, np.float64]))
@settings(max_examples=80, deadline=None)
def test_groups_are_those_of_brute_force(seed, width, dtype):
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2, size=(40, width)).astype(dtype)
    if dtype is not np.uint8:
        samples[rng.random(samples.shape) < 0.3] *= dtype(-1.0)  # -0.0 among them
    assert copy_groups(samples).tolist() == brute(samples)


def test_rows_whose_keys_meet_are_no_copies(monkeypatch):
    import al_plugin.math.distinct as module

    monkeypatch.setattr(module, "_keys", lambda rows: np.zeros(len(rows), dtype=np.uint64))
    samples = np.array([[1.0], [2.0], [1.0], [3.0]])
    assert copy_groups(samples).tolist() == [0, -1, 0, -1]


def test_keys_of_a_real_pool_seldom_meet():
    """Else a pool of a million would be compared row by row."""
    from al_plugin.math.distinct import _keys

    rng = np.random.default_rng(0)
    for rows in (
        rng.normal(size=(50_000, 4)).astype(np.float32),
        rng.integers(0, 16, size=(50_000, 16)).astype(np.float32),
        rng.integers(0, 4, size=(50_000, 30)).astype(np.uint8),
        np.eye(512, dtype=np.float32),
    ):
        different = len(np.unique(rows, axis=0))
        assert len(np.unique(_keys(rows))) == different


def test_a_pool_without_copies_says_nothing():
    pool = Pool(np.array(["a", "b"], dtype=object), np.eye(2, dtype=np.float32), {"p": 2})
    assert pool_copies(pool) == {}


IDS = np.array([f"s-{i:02d}" for i in range(30)], dtype=object)
# Five copies of each of four, and ten of their own; copies score highest.
ALIKE = [[str(IDS[5 * group + i]) for i in range(5)] for group in range(4)]
SCORES = np.r_[np.repeat([9.0, 8.0, 7.0, 6.0], 5), np.linspace(1, 0, 10)]


def ask(n: int, strategy: str = "top", share: float = 0.0, alike=ALIKE, seed: int = 0) -> list[tuple[str, str]]:
    board = Scoreboard(IDS, SCORES, [None] * 30, [None] * 30)
    asked = Asked(n, share, 1, 1, seed)
    labeled = Labeled([], np.empty(0, dtype=np.int64))
    rows = select(board, {}, labeled, set(), load("select", strategy), {}, asked, "test", alike=alike).rows
    return [(row.sample_id, row.kind) for row in rows]


def most_copies(asked: list[tuple[str, str]]) -> int:
    group_of = {sample: group for group, ids in enumerate(ALIKE) for sample in ids}
    return max(Counter(group_of[sample] for sample, _ in asked if sample in group_of).values(), default=0)


def test_the_best_ranked_list_would_be_all_copies():
    assert most_copies(ask(5, alike=())) == 5
    assert most_copies(ask(5)) == 1
    assert len(ask(14)) == 14
    assert most_copies(ask(14)) == 1


def test_copies_are_asked_where_nothing_else_is_left():
    assert most_copies(ask(15)) == 2
    assert len({sample for sample, _ in ask(30)}) == 30


@pytest.mark.parametrize("seed", range(20))
def test_no_copy_of_the_random_share_is_chosen_and_the_share_is_as_ever(seed):
    """The share is drawn from all candidates: its chances are what the control rests on."""
    asked = ask(8, share=0.5, seed=seed)
    free = ask(8, share=0.5, alike=(), seed=seed)
    drawn = [sample for sample, kind in asked if kind == "random"]
    assert drawn == [sample for sample, kind in free if kind == "random"]
    chosen = [sample for sample, kind in asked if kind == "query"]
    for ids in ALIKE:
        assert len(set(chosen) & set(ids)) <= (0 if set(drawn) & set(ids) else 1)


@pytest.mark.parametrize("strategy", ["random", "softmax"])
def test_strategies_with_known_chances_see_every_candidate(strategy):
    """LURE and the control count on them."""
    assert [ask(6, strategy, seed=s) for s in range(5)] == [ask(6, strategy, alike=(), seed=s) for s in range(5)]


def test_without_copies_the_query_is_the_same():
    assert ask(12, alike=[["s-00", "elsewhere"]]) == ask(12, alike=())


def test_through_the_stages(campaign: Path) -> None:
    table = store.read_table(layout.POOL + "/part-00000.parquet", "")
    ids = table.column("sample_id").to_pylist()
    rows = np.array(table.column("features").to_pylist())
    turn()
    assert "within" not in store.read_json(layout.EVAL_COPIES, "")
    rows[40:60] = rows[0]
    store.write_table(layout.POOL + "/part-00000.parquet", sample_table(ids, rows))
    text = Path(layout.PARAMS).read_text().replace("random_share: 0.1", "random_share: 0.0")
    Path(layout.PARAMS).write_text(text)
    turn()
    (alike,) = store.read_json(layout.EVAL_COPIES, "")["within"]
    assert alike == [ids[0], *ids[40:60]]
    asked = [json.loads(line)["sample_id"] for line in Path(layout.QUERY).read_text().splitlines()]
    assert len(asked) == 12
    assert len(set(asked) & set(alike)) <= 1
