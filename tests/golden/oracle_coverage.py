"""Oracles of the methods that represent the pool: density, covers, balls, clusters, determinants."""

from decimal import Decimal
from itertools import combinations

from oracle_base import EMBEDDINGS, PREDICTIONS, cosine, entropy, margin, probability, squared, stored_log

POINTS = [[1, 0], [9, 1], [8, -1], [0, 1], [1, 7], [-1, 6], [-5, 1], [-7, -2], [3, -8], [2, -9], [4, 3]]
SCORES = [0.5, 0.875, 0.25, 0.75, 1.0, 0.125, 0.625, 0.0, 0.375, 0.9375, 0.0625]
LABELED = [[3, -7], [5, 1]]


def density():
    """The mean over all pairs, one by one; a row of zeros has the cosine 0."""
    bases = {
        "entropy": entropy,
        "least_confidence": lambda row: 1 - max(map(probability, row)),
        "margin": lambda row: 1 + margin(row),
    }
    logs = [[stored_log(p) for p in row] for row in PREDICTIONS]
    written = [["-inf" if log == float("-inf") else log for log in row] for row in logs]

    def similarity(left, right):
        return cosine(left, right) if any(left) and any(right) else Decimal(1) / 2

    cases = []
    for base, beta in (("entropy", 1.0), ("least_confidence", 2.5), ("margin", 1.0), ("margin", 0.0)):
        scores = []
        for row, own in zip(logs, EMBEDDINGS, strict=True):
            mean = sum(similarity(own, other) for other in EMBEDDINGS) / len(EMBEDDINGS)
            scores.append(float(bases[base](row) * mean ** Decimal(beta)) + 0.0)
        cases.append(
            {
                "name": f"{base}, beta {beta}",
                "signals": {"log_probs": written, "embeddings": EMBEDDINGS},
                "knobs": {"base": base, "beta": beta},
                "expected": {"scores": scores, "tolerance": 1e-12},
            }
        )
    return cases


def greedily(points, value, n):
    """n positions, each time the one with the greatest value of the set; ties to the first."""
    taken = []
    while len(taken) < n:
        left = [one for one in range(len(points)) if one not in taken]
        taken.append(max(left, key=lambda one: (value((*taken, one)), -one)))
    return taken


def gap(left, right):
    """Squared distance of the unit vectors."""
    return 4 - 4 * cosine(left, right)


def labels(known):
    return known or {"empty": [0, 2]}


def uncertain():
    """Naive greedy on the weighted cover; the width is the least distance of two labelled directions."""
    logs = [[stored_log(p) for p in row] for row in PREDICTIONS]
    written = [["-inf" if log == float("-inf") else log for log in row] for row in logs]
    doubt = [1 + margin(row) for row in logs]
    cases = []
    for known, sigma in (([], 0.0), (LABELED, 0.0), ([*LABELED, [6, -14], [-1, 5]], 0.0), (LABELED, 0.5)):
        apart = [gap(a, b) for a, b in combinations(known, 2)]
        squared_width = (
            Decimal(sigma) ** 2 if sigma else min((one for one in apart if one > Decimal("1e-20")), default=1)
        )

        def value(chosen, known=tuple(known), width=squared_width):
            centers = [*known, *(POINTS[at] for at in chosen)]
            terms = (max((-gap(point, one) / width).exp() for one in centers) for point in POINTS)
            return sum(u * term for u, term in zip(doubt, terms, strict=True))

        cases.append(
            {
                "name": f"{len(known)} labelled, sigma {sigma}",
                "signals": {
                    "log_probs": written,
                    "frozen_embeddings": POINTS,
                    "labeled_frozen_embeddings": labels(known),
                },
                "knobs": {"sigma": sigma},
                "n": 5,
                "expected": {"picks": greedily(POINTS, value, 5)},
            }
        )
    return cases


def facilities():
    cases = []
    for known in ([], LABELED):

        def value(chosen, known=tuple(known)):
            centers = [*known, *(POINTS[at] for at in chosen)]
            return sum(max(cosine(point, one) for one in centers) for point in POINTS)

        cases.append(
            {
                "name": f"{len(known)} labelled",
                "signals": {"frozen_embeddings": POINTS, "labeled_frozen_embeddings": labels(known)},
                "n": 5,
                "expected": {"picks": greedily(POINTS, value, 5)},
            }
        )
    return cases


def covered(centers, radius):
    return {at for at, point in enumerate(POINTS) if any(gap(point, one) < Decimal(radius) ** 2 for one in centers)}


def pure(points, groups, purity):
    """The largest of the squared distances within which balls hold, in the mean, that share of their centre's group."""

    def mean(bound):
        total = Decimal(0)
        for at, centre in enumerate(points):
            ball = [x for x, point in enumerate(points) if x == at or gap(point, centre) < bound]
            total += Decimal(sum(groups[x] == groups[at] for x in ball)) / len(ball)
        return total / len(points)

    return max(bound for bound in {gap(one, other) for one in points for other in points} if mean(bound) >= purity)


def balls():
    cases = []
    for known, delta, n in (([], 0.5, 4), (LABELED, 0.5, 2), (LABELED, 0.25, 4), ([], 1.25, 3)):

        def value(chosen, known=tuple(known), delta=delta):
            return len(covered([*known, *(POINTS[at] for at in chosen)], delta))

        picks = greedily(POINTS, value, n)
        # Every pick covers something, so none of them is of the rest that is taken farthest first.
        assert all(value(picks[: at + 1]) > value(picks[:at]) for at in range(n))
        cases.append(
            {
                "name": f"{len(known)} labelled, delta {delta}",
                "signals": {"frozen_embeddings": POINTS, "labeled_frozen_embeddings": labels(known)},
                "knobs": {"delta": delta},
                "n": n,
                "expected": {"picks": picks},
            }
        )
    # Three narrow bundles of directions, which three clusters are whatever the seed.
    bundles = [[1000, at] for at in range(4)] + [[-1000, at] for at in range(6)] + [[at, 1000] for at in range(5)]
    groups = [0] * 4 + [1] * 6 + [2] * 5
    for purity in (0.9, 0.99):
        bound = pure(bundles, groups, Decimal(str(purity)))

        def reached(chosen, bound=bound):
            return sum(any(gap(point, bundles[at]) < bound for at in chosen) for point in bundles)

        picks = greedily(bundles, reached, 3)
        cases.append(
            {
                "name": f"estimated delta: mean purity {purity} of the three bundles",
                "signals": {"frozen_embeddings": bundles, "labeled_frozen_embeddings": labels([])},
                "knobs": {"clusters": 3, "purity": purity},
                "n": 3,
                "seeds": 20,
                "expected": {"picks": picks},
            }
        )
    return cases


def robust():
    """Every set of n centers; each case has one best set."""
    scatter = [[0, 0], [1, 2], [3, 1], [2, 4], [11, 0], [13, 1], [12, 4], [14, 3], [5, 13], [7, 12], [90, 95]]
    line = [[0], [1], [3], [7], [20], [22], [27], [500]]
    cases = []
    for name, points, known, n, share in (
        ("no outlier may be left out, so the far one is a center", scatter, [], 2, 0.0),
        ("one of eleven may be left out", scatter, [], 1, 0.1),
        ("two labelled, no outlier", scatter, [[2, 2], [13, 2]], 1, 0.0),
        ("a line and its outlier", line, [], 2, 0.125),
        ("a line without outliers", line, [], 3, 0.0),
        ("a line, two may be left out", line, [], 1, 0.25),
        ("a line, one labelled, one may be left out", line, [[2]], 1, 0.12),
        ("a line, one labelled", line, [[2]], 2, 0.0),
    ):
        spare = int(share * (len(points) + len(known)))

        def reach(chosen, points=points, known=tuple(known), spare=spare):
            centers = [*known, *(points[at] for at in chosen)]
            return sorted(min(squared(point, one) for one in centers) for point in points)[len(points) - 1 - spare]

        ranked = sorted(combinations(range(len(points)), n), key=reach)
        assert reach(ranked[0]) < reach(ranked[1]), name
        best, radius = ranked[0], reach(ranked[0])

        def held(chosen, points=points, known=tuple(known), radius=radius):
            centers = [*known, *(points[at] for at in chosen)]
            return sum(any(squared(point, one) <= radius for one in centers) for point in points)

        order = []
        while len(order) < n:
            left = [one for one in best if one not in order]
            order.append(max(left, key=lambda one: (held((*order, one)), -one)))
        signals = {"embeddings": points, "labeled_embeddings": known or {"empty": [0, len(points[0])]}}
        one = {"name": name, "signals": signals, "knobs": {"outlier_share": share}, "n": n}
        cases.append({**one, "expected": {"picks": order}})
    return cases


def turns():
    """Far bundles of 1, 1, 2 and 5 samples: the lone ones first, the better score before."""
    points = [[0, 0], [0, 1], [0, 2], [1, 1], [1, 0], [1000, 0], [1001, 0], [0, 3000], [9000, 9000]]
    scores = [0.9375, 0.875, 0.75, 0.25, 0.125, 0.5, 0.375, 0.625, 0.6875]
    signals = {"scores": scores, "frozen_embeddings": points}
    fixed = {
        "name": "samples alone in their cluster first, by score",
        "n": 2,
        "seeds": 20,
        "expected": {"picks": [8, 7]},
    }
    even = {"name": "in one cluster everyone equally often", "n": 3, "seeds": 2000, "expected": {"inclusions": 4.5}}
    alone = {"name": "the shortlist decides who is alone", "n": 3, "seeds": 20, "expected": {"picks": [8, 7, 5]}}
    return [
        {**fixed, "signals": signals, "knobs": {"clusters_per_pick": 2.0}},
        {**even, "signals": signals, "knobs": {"clusters_per_pick": 1 / 3}},
        {**alone, "signals": signals, "knobs": {"clusters_per_pick": 4 / 3, "factor": 2.0}},
    ]


def determinant(rows):
    """By elimination; the leading minors are positive, so no row has to move."""
    rows, product = [list(row) for row in rows], Decimal(1)
    for at in range(len(rows)):
        product *= rows[at][at]
        for below in range(at + 1, len(rows)):
            ratio = rows[below][at] / rows[at][at]
            rows[below] = [a - ratio * b for a, b in zip(rows[below], rows[at], strict=True)]
    return product


def volumes():
    """The whole determinant for every candidate at every step."""
    cases = []
    for n, factor, quality, sigma in (
        (4, 100.0, 1.0, 1.0),
        (3, 2.0, 1.0, 1.0),
        (4, 100.0, 0.0, 0.5),
        (5, 100.0, 2.0, 1.5),
    ):
        ranked = sorted(range(len(POINTS)), key=lambda one: (-SCORES[one], one))
        shortlist = ranked[: min(len(POINTS), int(factor * n))]
        low, high = SCORES[shortlist[-1]], SCORES[shortlist[0]]
        moved = [max(Decimal(SCORES[one] - low) / Decimal(high - low), Decimal(2) ** -20) for one in shortlist]

        def value(chosen, shortlist=tuple(shortlist), moved=tuple(moved), quality=quality, sigma=sigma):
            q = [moved[at] ** Decimal(quality) for at in chosen]
            at = [POINTS[shortlist[one]] for one in chosen]
            kernel = [[(-gap(a, b) / Decimal(sigma) ** 2).exp() if a != b else Decimal(1) for b in at] for a in at]
            return determinant(
                [[x * k * y for k, y in zip(row, q, strict=True)] for x, row in zip(q, kernel, strict=True)]
            )

        picks = [shortlist[one] for one in greedily(shortlist, value, n)]
        cases.append(
            {
                "name": f"{n} of {len(shortlist)}, quality {quality}, sigma {sigma}",
                "signals": {"scores": SCORES, "embeddings": POINTS},
                "knobs": {"factor": factor, "quality": quality, "sigma": sigma},
                "n": n,
                "expected": {"picks": picks},
            }
        )
    return cases


CASES = {
    "score.density_weighted": density,
    "select.uherding": uncertain,
    "select.facility_location": facilities,
    "select.prob_cover": balls,
    "select.robust_kcenter": robust,
    "select.cluster_margin": turns,
    "select.max_det": volumes,
}
