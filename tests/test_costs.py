"""Money: the ledger's mathematics by brute force, and queries that a budget pays."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import al, stage, turn
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin import layout, store
from al_plugin.math import costs

POOLS = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 20), min_size=n, max_size=n).map(lambda v: np.array(v, dtype=float)),
        st.lists(st.integers(1, 9), min_size=n, max_size=n).map(lambda v: np.array(v, dtype=float)),
        st.integers(0, 30),
        st.integers(0, n),
    )
)


@settings(deadline=None, max_examples=60)
@given(POOLS)
def test_the_knapsack_is_the_best_of_all_sets(pool: tuple) -> None:
    values, price, money, most = pool
    picks = costs.knapsack(values, price, money, most)
    assert len(set(picks)) == len(picks) <= most
    assert price[picks].sum() <= money
    assert (np.diff(values[picks]) <= 0).all()
    best = max(
        values[list(chosen)].sum()
        for size in range(most + 1)
        for chosen in itertools.combinations(range(len(values)), size)
        if price[list(chosen)].sum() <= money
    )
    assert values[picks].sum() == best


@given(POOLS)
def test_what_can_be_paid_is_paid_in_order(pool: tuple) -> None:
    _, price, money, most = pool
    expected, left = [], money
    for position, cost in enumerate(price):
        if len(expected) < most and cost <= left:
            expected.append(position)
            left -= cost
    assert costs.payable(price, money, most).tolist() == expected


def test_sums_of_tenths_are_money() -> None:
    assert len(costs.payable(np.full(20, 0.1), 1.0, 20)) == 10
    assert len(costs.knapsack(np.ones(20), np.full(20, 0.1), 1.0, 20)) == 10


def test_value_per_cost_does_not_depend_on_the_zero_of_the_score() -> None:
    scores, price = np.array([-0.5, -0.1, -0.3]), np.array([1.0, 4.0, 1.0])
    found = costs.value_per_cost(scores, price)
    assert found == pytest.approx([0.0, 0.1, 0.2])
    assert costs.value_per_cost(scores + 7, price) == pytest.approx(found)


def test_a_hundred_thousand_candidates_are_packed_in_seconds() -> None:
    rng = np.random.default_rng(0)
    values, price = rng.random(100_000), rng.uniform(0.5, 3.0, 100_000)
    picks = costs.knapsack(values, price, 60.0, 50)
    assert price[picks].sum() <= 60.0
    assert len(picks) <= 50
    ratio = np.argsort(-values / price)
    greedy = ratio[costs.payable(price[ratio], 60.0, 50)]
    assert values[picks].sum() >= values[greedy].sum()


@pytest.fixture
def priced(campaign: Path) -> dict[str, float]:
    """A campaign with one label round, whose pool says what a label costs: 1, 2, 3, 4 by turns."""
    price = {}
    for path in sorted(Path(layout.POOL).glob("*.parquet")):
        table = store.read_table(path, "")
        cost = [float(1 + int(name[2:]) % 4) for name in table.column("sample_id").to_pylist()]
        price |= dict(zip(table.column("sample_id").to_pylist(), cost, strict=True))
        store.write_table(path, table.append_column("cost", pa.array(cost)))
    set_select("random_share: 0.1", "random_share: 0.25")
    turn()
    al("oracle")
    set_select("recipe: auto", "recipe: margin")
    turn()
    return price


def set_select(old: str, new: str) -> None:
    text = Path(layout.PARAMS).read_text()
    assert old in text
    Path(layout.PARAMS).write_text(text.replace(old, new))


def candidates() -> dict[str, float]:
    """Score by unlabelled sample."""
    known = set(store.read_table(layout.LABELED, "").column("sample_id").to_pylist())
    rows = [row for table in store.read_parts(layout.SCORES, "").values() for row in table.to_pylist()]
    return {row["sample_id"]: row["score"] for row in rows if row["sample_id"] not in known}


def query() -> list[dict]:
    return [json.loads(line) for line in Path(layout.QUERY).read_text().splitlines()]


@pytest.mark.parametrize("rule", ["ratio", "knapsack"])
def test_a_query_keeps_to_its_budget_and_its_random_share(rule: str, priced: dict[str, float]) -> None:
    """The same random rows with the same propensity as without a budget; the rest is bought by the rule."""
    free = query()
    set_select("budget: null", "budget: 20")
    set_select("budget_rule: ratio", f"budget_rule: {rule}")
    assert stage("select_query") == 0
    rows = query()
    spent = sum(priced[row["sample_id"]] for row in rows)
    assert spent <= 20 < sum(priced[row["sample_id"]] for row in free)

    def drawn(rows: list[dict]) -> set[tuple[str, float]]:
        return {(row["sample_id"], row["propensity"]) for row in rows if row["kind"] == "random"}

    assert drawn(rows) == drawn(free)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    chosen = [row for row in rows if row["kind"] == "query"]
    taken = {name for name, _ in drawn(rows)}
    scores = {name: score for name, score in candidates().items() if name not in taken}
    worth = {name: score - min(scores.values()) for name, score in scores.items()}
    left = 20 - (spent - sum(priced[row["sample_id"]] for row in chosen))
    if rule == "ratio":
        found = [worth[row["sample_id"]] / priced[row["sample_id"]] for row in chosen]
        assert found == sorted(found, reverse=True)
        assert found[0] == max(value / priced[name] for name, value in worth.items())
    else:
        best = sum(worth[row["sample_id"]] for row in chosen)
        names = sorted(worth, key=lambda name: -worth[name] / priced[name])
        greedy = costs.payable(np.array([priced[name] for name in names]), left, 9)
        assert best >= sum(worth[names[position]] for position in greedy) - 1e-12


def test_another_strategy_goes_on_as_long_as_the_money_lasts(
    priced: dict[str, float], capsys: pytest.CaptureFixture
) -> None:
    set_select("recipe: margin", "recipe: coreset")
    assert stage("score") == 0
    assert stage("select_query") == 0
    free = [row["sample_id"] for row in query() if row["kind"] == "query"]
    set_select("budget: null", "budget: 20")
    assert stage("select_query") == 0
    rows = query()
    kept = [row["sample_id"] for row in rows if row["kind"] == "query"]
    assert kept == [name for name in free if name in kept]
    assert len(kept) < len(free)
    assert sum(priced[row["sample_id"]] for row in rows) <= 20
    assert f"the budget of 20 pays {len(rows)} of 12 samples" in capsys.readouterr().err


def test_a_budget_below_the_random_share_is_refused(priced: dict[str, float], capsys: pytest.CaptureFixture) -> None:
    set_select("budget: null", "budget: 2")
    assert stage("select_query") == 1
    said = capsys.readouterr().err
    assert "the random share of this query costs" in said
    assert "raise select.budget" in said


def test_a_budget_without_costs_is_refused(first_round: Path, capsys: pytest.CaptureFixture) -> None:
    set_select("budget: null", "budget: 20")
    assert stage("select_query") == 1
    assert "90 pool samples have no cost" in capsys.readouterr().err


def test_a_cost_that_is_no_price_is_refused(priced: dict[str, float], capsys: pytest.CaptureFixture) -> None:
    path = Path(layout.POOL, "part-00001.parquet")
    table = store.read_table(path, "").drop_columns(["cost"])
    store.write_table(path, table.append_column("cost", pa.array([0.0] * table.num_rows)))
    set_select("budget: null", "budget: 20")
    assert stage("select_query") == 1
    assert "are not positive numbers" in capsys.readouterr().err


def test_an_ample_budget_with_equal_costs_changes_nothing(priced: dict[str, float]) -> None:
    """Score per cost is then the score's order."""
    for path in sorted(Path(layout.POOL).glob("*.parquet")):
        table = store.read_table(path, "").drop_columns(["cost"])
        store.write_table(path, table.append_column("cost", pa.array([2.0] * table.num_rows)))
    before = query()
    set_select("budget: null", "budget: 1000")
    assert stage("select_query") == 0
    assert query() == before


@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1.0, 1e9])
def test_money_in_any_unit_is_never_overspent(scale: float) -> None:
    """The solver's tolerance is an absolute one: of eight at 1e-7 each, 3e-7 pay three."""
    assert len(costs.knapsack(np.arange(1.0, 9.0), np.full(8, scale), 3 * scale, 8)) == 3
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values, prices = rng.random(30), scale * (0.1 + rng.random(30))
        money = 5 * float(prices.mean())
        assert prices[costs.knapsack(values, prices, money, 30)].sum() <= money * (1 + 1e-6)
