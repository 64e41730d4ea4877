"""Oracles of the Fisher-information methods: whole matrices of C (D + 1) rows, inverted by elimination."""

from decimal import Decimal
from fractions import Fraction

from oracle_base import probability, stored_log

F = Fraction
POOL = [
    [F(1, 2), F(1, 4), F(1, 4)],
    [F(1, 8), F(5, 8), F(1, 4)],
    [F(1), F(0), F(0)],
    [F(1, 3), F(1, 3), F(1, 3)],
    [F(15, 16), F(1, 32), F(1, 32)],
    [F(1, 16), F(7, 16), F(1, 2)],
    [F(0), F(1, 2), F(1, 2)],
]
PLACES = [[1, 0], [0, 2], [3, 1], [-1, 1], [2, -2], [1, 3], [-2, -1]]
LABELED, LABELED_PLACES = [[F(3, 4), F(1, 8), F(1, 8)], [F(1, 4), F(1, 4), F(1, 2)]], [[2, 0], [-1, -3]]


def inverse(matrix):
    size = len(matrix)
    rows = [list(row) + [Decimal(int(i == j)) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        best = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(size):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[size:] for row in rows]


def plus(*matrices):
    return [[sum(values) for values in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def times(a, b):
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in a]


def trace(a, b):
    return sum(
        x * y for row, other in zip(a, zip(*b, strict=True), strict=True) for x, y in zip(row, other, strict=True)
    )


def scaled(factor, matrix):
    return [[factor * value for value in row] for row in matrix]


def spread(logs):
    """diag p - p pᵀ."""
    p = [probability(log) for log in logs]
    return [[p[i] * (int(i == j) - p[j]) for j in range(len(p))] for i in range(len(p))]


def kron(classes, place):
    """classes ⊗ h hᵀ with the bias appended."""
    h = [*place, 1]
    size = range(len(classes))
    return [[classes[i][j] * a * b for j in size for b in h] for i in size for a in h]


def ridge(factor, size):
    return [[Decimal(factor) if i == j else Decimal(0) for j in range(size)] for i in range(size)]


def signals():
    return {
        "log_probs": [[stored_log(p) for p in row] for row in POOL],
        "embeddings": PLACES,
        "labeled_log_probs": [[stored_log(p) for p in row] for row in LABELED],
        "labeled_embeddings": LABELED_PLACES,
    }


def written(given):
    return {
        name: [["-inf" if value == float("-inf") else value for value in row] for row in rows]
        for name, rows in given.items()
    }


def informations(given):
    """F without its penalty, and I(x) of each sample of the pool."""
    known = zip(given["labeled_log_probs"], given["labeled_embeddings"], strict=True)
    pool = zip(given["log_probs"], given["embeddings"], strict=True)
    return plus(*(kron(spread(row), at) for row, at in known)), [kron(spread(row), at) for row, at in pool]


def designs():
    """Every candidate tried at each step, with the inverse computed anew; then every removal."""
    given = signals()
    known, pool = informations(given)
    goal = plus(*pool)
    cases = []
    for n, oversample, penalty in ((2, 1.0, 1.0), (2, 2.0, 1.0), (3, 2.0, 0.25), (5, 2.0, 1.0)):
        start = plus(ridge(penalty, len(known)), known)

        def value(chosen, start=start):
            return trace(inverse(plus(start, *(pool[one] for one in chosen))), goal)

        chosen = []
        for _ in range(min(round(n * oversample), len(pool))):
            free = [one for one in range(len(pool)) if one not in chosen]
            chosen.append(min(free, key=lambda one: value([*chosen, one])))
        while len(chosen) > n:
            # The certain sample changes nothing; of equals the one added last goes.
            chosen.remove(min(reversed(chosen), key=lambda one: value([c for c in chosen if c != one])))
        knobs = {"oversample": oversample, "regularisation": penalty}
        case = {"name": f"{n} by {oversample}, penalty {penalty}", "signals": written(given), "n": n, "knobs": knobs}
        cases.append({**case, "expected": {"picks": chosen}})
    return cases


def variances():
    given = signals()
    known, pool = informations(given)
    squares = [times(spread(row), spread(row)) for row in given["log_probs"]]
    total = plus(*(kron(square, at) for square, at in zip(squares, PLACES, strict=True)))
    goal = scaled(1 / Decimal(len(pool)), total)
    cases = []
    for penalty in (1.0, 0.25):
        start = plus(ridge(penalty, len(known)), known)
        before = trace(inverse(start), goal)
        scores = [float(before - trace(inverse(plus(start, one)), goal)) + 0.0 for one in pool]
        expected = {"scores": scores, "tolerance": 1e-9}
        knobs = {"regularisation": penalty}
        cases.append({"name": f"penalty {penalty}", "signals": written(given), "knobs": knobs, "expected": expected})
    return cases


def entropy(weights):
    total = sum(weights)
    return -sum((w / total * (w / total).ln() for w in weights if w), Decimal(0))


def error(weights):
    return 1 - max(weights) / sum(weights)


def softmax(p, change):
    weights = [q * z.exp() for q, z in zip(p, change, strict=True)]
    return [w / sum(weights) for w in weights]


def dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), Decimal(0))


def logits(weights, place):
    """Of weights as one row, class by class, at [h, 1]."""
    h = [*place, 1]
    return [dot(weights[len(h) * c : len(h) * (c + 1)], h) for c in range(len(weights) // len(h))]


def outer(residuals, place):
    return [residual * h for residual in residuals for h in [*place, 1]]


def shortened(step, known, p, place, label):
    """t in [0, 1] by ten halvings: t²/2 sᵀFs - log p_label(t) is convex."""
    curvature, change = dot(step, [row[0] for row in times(known, [[one] for one in step])]), logits(step, place)

    def rises(t):
        moved = softmax(p, [t * z for z in change])
        return t * curvature + dot(moved, change) - change[label] > 0

    low, high = Decimal(0), Decimal(1)
    if not rises(high):
        return high
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return (low + high) / 2


def learnt(given, known, solver, p, place, label, steps):
    """All weights after the label: a shortened Newton step, then steps with its matrix and the true curvature."""
    labeled = [[probability(log) for log in row] for row in given["labeled_log_probs"]]
    step = [
        row[0] for row in times(solver, [[one] for one in outer([int(c == label) - p[c] for c in range(3)], place)])
    ]
    t = shortened(step, known, p, place, label)
    weights = [t * one for one in step]
    for _ in range(steps):
        here = softmax(p, logits(weights, place))
        there = [softmax(q, logits(weights, at)) for q, at in zip(labeled, LABELED_PLACES, strict=True)]
        terms = [outer([here[c] - int(c == label) for c in range(3)], place)]
        terms += [
            outer([a - b for a, b in zip(after, before, strict=True)], at)
            for after, before, at in zip(there, labeled, LABELED_PLACES, strict=True)
        ]
        gradient = [w + sum(parts) for w, *parts in zip(weights, *terms, strict=True)]
        down = [row[0] for row in times(solver, [[one] for one in gradient])]
        curvature = dot(down, down)
        for q, at in zip([here, *there], [place, *LABELED_PLACES], strict=True):
            z = logits(down, at)
            curvature += dot(q, [one * one for one in z]) - dot(q, z) ** 2
        if curvature:
            length = dot(gradient, down) / curvature
            weights = [w - length * d for w, d in zip(weights, down, strict=True)]
    return weights


def expected_errors():
    """Every candidate and label with all weights, then the mean risk of the pool; penalty 1."""
    given = signals()
    known, pool = informations(given)
    start = plus(ridge(1, len(known)), known)
    odds = [[probability(log) for log in row] for row in given["log_probs"]]
    cases = []
    for steps in (0, 2):
        scores = {"log": [], "zero_one": []}
        for p, place, own in zip(odds, PLACES, pool, strict=True):
            solver, totals = inverse(plus(start, own)), dict.fromkeys(scores, Decimal(0))
            for label in range(len(p)):
                weights = learnt(given, start, solver, p, place, label, steps)
                moved = [softmax(q, logits(weights, at)) for q, at in zip(odds, PLACES, strict=True)]
                for loss, risk in (("log", entropy), ("zero_one", error)):
                    totals[loss] += p[label] * sum(map(risk, moved)) / len(moved)
            for loss, total in totals.items():
                scores[loss].append(float(-total) + 0.0)
        for loss, found in scores.items():
            expected, knobs = {"scores": found, "tolerance": 1e-9}, {"loss": loss, "steps": steps}
            name = f"{loss}, {steps} steps"
            cases.append({"name": name, "signals": written(given), "knobs": knobs, "expected": expected})
    return cases


DEVIATIONS = [[0, 1, -1], [3, 0, 0], [3, 1, 0], [-2, -2, 1], [0, 0, 0], [0, 3, 1], [1, 3, 0], [-2, 0, 2]]


def stabilities():
    """The longest row, then every row's distance to every pick, in whole numbers; ties to the first."""

    def apart(a, b):
        return sum((x - y) ** 2 for x, y in zip(DEVIATIONS[a], DEVIATIONS[b], strict=True))

    everyone = range(len(DEVIATIONS))
    picks = [max(everyone, key=lambda one: sum(x * x for x in DEVIATIONS[one]))]
    while len(picks) < len(DEVIATIONS):
        free = [one for one in everyone if one not in picks]
        picks.append(max(free, key=lambda one: min(apart(one, pick) for pick in picks)))
    signals = {"output_deviations": DEVIATIONS}
    return [
        {"name": f"first {n}", "signals": signals, "n": n, "expected": {"picks": picks[:n]}}
        for n in (1, 4, len(DEVIATIONS))
    ]


CASES = {
    "select.bait": designs,
    "select.noise_stability": stabilities,
    "score.variance_reduction": variances,
    "score.expected_error_reduction": expected_errors,
}
