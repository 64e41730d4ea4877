"""Selection when samples cost different amounts of money."""

import numpy as np

from al_plugin.axes import FloatsN, Ints, Picks
from al_plugin.math.sampling import best_first

# Sums of money are compared to this share, so that ten times 0.1 pays for 1.
_ROUNDING = 1e-9


def value_per_cost(scores: FloatsN, costs: FloatsN) -> FloatsN:
    """(score - lowest score) / cost, (N,): what a unit of money buys; costs are positive.

    Scores of any sign are measured from the lowest candidate's, which is worth nothing.
    """
    found: FloatsN = (scores - scores.min(initial=np.inf)) / costs
    return found


def payable(costs: FloatsN, money: float, most: int) -> Picks:
    """The first ``most`` positions that can be paid one after the other; one that cannot is passed over."""
    left = money * (1.0 + _ROUNDING)
    paid: list[int] = []
    for position, cost in enumerate(costs.tolist()):
        if len(paid) == most:
            break
        if cost <= left:
            paid.append(position)
            left -= cost
    return np.array(paid, dtype=np.int64)


def knapsack(values: FloatsN, costs: FloatsN, money: float, most: int) -> Ints:
    """Positions of at most ``most`` samples with the largest sum of values that ``money`` pays, best value first.

    Exact, by branch and bound (HiGHS); values are ≥ 0. Of equally good sets one, the same every time.
    """
    affordable = np.flatnonzero((costs <= money * (1.0 + _ROUNDING)) & (values > 0))
    if not len(affordable) or most == 0:
        return np.empty(0, dtype=np.int64)
    # In units of the money, since the solver's tolerance is an absolute one.
    worth, price = values[affordable] / values[affordable].max(), costs[affordable] / money
    taken = affordable[_packed(worth, price, 1.0 + _ROUNDING, most)]
    picks: Ints = taken[np.argsort(-values[taken], kind="stable")]
    return picks


def _packed(worth: FloatsN, price: FloatsN, money: float, most: int) -> np.ndarray:
    """Which to take, (N,). With prices on money and on places most samples are out or in without branching.

    At prices (λ, μ) no set is worth more than λ·money + μ·most + Σ max(0, worth - λ·price - μ), so a sample
    whose margin is further from 0 than that is from a set at hand can only be out, or in.
    """
    per_money = _price_of_money(worth, price, money, most)
    order, per_place = _at(worth - per_money * price, most)
    margin = worth - per_money * price - per_place
    rest = np.setdiff1d(np.argsort(-margin, kind="stable")[: 4 * most + 64], order, assume_unique=False)
    order = np.concatenate([order, rest[np.argsort(-margin[rest], kind="stable")]])
    first = order[payable(price[order], money, most)]
    bound = per_money * money + per_place * most + np.maximum(margin, 0.0).sum()
    gap = bound - worth[first].sum() + 1e-9
    sure = margin > gap
    open_ = np.flatnonzero(~sure & (margin >= -gap))
    taken = sure.copy()
    if len(open_):
        taken[open_] = _branched(
            worth[open_], price[open_], max(0.0, money - price[sure].sum()), int(most - sure.sum())
        )
    return taken if worth[taken].sum() >= worth[first].sum() else np.isin(np.arange(len(worth)), first)


def _price_of_money(worth: FloatsN, price: FloatsN, money: float, most: int) -> float:
    """The least λ ≥ 0 at which the best ``most`` samples by worth - λ·price can be paid, by bisection."""

    def cost(per_money: float) -> float:
        return float(price[_at(worth - per_money * price, most)[0]].sum())

    if cost(0.0) <= money:
        return 0.0
    low, high = 0.0, float((worth / price).max())
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if cost(middle) > money else (low, middle)
    return high


def _at(margin: FloatsN, most: int) -> tuple[Ints, float]:
    """The ``most`` largest positive margins, and the next one's value or 0: the price of a place."""
    chosen = best_first(margin, min(most, len(margin)))
    chosen = chosen[margin[chosen] > 0]
    full = len(chosen) == most
    return chosen, float(margin[chosen[-1]]) if full else 0.0


def _branched(worth: FloatsN, price: FloatsN, money: float, most: int) -> np.ndarray:
    from scipy.optimize import Bounds, LinearConstraint, milp

    found = milp(
        -worth,
        constraints=LinearConstraint(np.stack([price, np.ones(len(price))]), ub=[money, most]),
        bounds=Bounds(0, 1),
        integrality=np.ones(len(worth)),
        options={"mip_rel_gap": 0.0},
    )
    return np.asarray(np.round(found.x).astype(bool))
