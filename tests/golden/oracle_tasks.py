"""Oracles of the strategies for numbers and for sets of labels: fractions, decimals, loops over everything."""

from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 60

# Log-odds as doubles: undecided, sure, surer than 1 - p can be told from 1, lopsided sets.
LOG_ODDS = [
    [0.0, 0.0, 0.0],
    [3.0, -3.0, 0.25],
    [40.0, -40.0, 45.5],
    [-0.125, 7.5, -2.0],
    [12.0, 12.0, 12.0],
    [-700.0, 0.5, 700.0],
    [1e-9, -6.0, 2.5],
]
MEMBERS = [
    LOG_ODDS,
    [[-one for one in row] for row in LOG_ODDS],
    LOG_ODDS,
    [[one / 2 for one in row] for row in reversed(LOG_ODDS)],
]


def probabilities(log_odds):
    """p and 1 - p of exactly that double."""
    z = Decimal(log_odds)
    return 1 / (1 + (-z).exp()), 1 / (1 + z.exp())


def entropy(p, rest):
    return -sum((one * one.ln() for one in (p, rest) if one), Decimal(0))


def of_labels(row):
    return [entropy(*probabilities(one)) for one in row]


def scored(name, function, rows, **more):
    expected = {"scores": [float(function(row)) + 0.0 for row in rows], "tolerance": 1e-12}
    return {"name": name, "signals": {"label_log_odds": rows}, "expected": expected, **more}


def label_entropy():
    return [
        scored("mean", lambda row: sum(of_labels(row)) / len(row), LOG_ODDS),
        scored("max", lambda row: max(of_labels(row)), LOG_ODDS, knobs={"over": "max"}),
    ]


def label_margin():
    return [
        scored("three labels", lambda row: -min(abs(p - rest) for p, rest in map(probabilities, row)), LOG_ODDS),
        scored("one label", lambda row: -abs(2 * probabilities(row[0])[0] - 1), [[one / 4] for one in range(-9, 10)]),
    ]


def label_bald():
    scores = []
    for i in range(len(LOG_ODDS)):
        total = Decimal(0)
        for c in range(3):
            each = [probabilities(member[i][c]) for member in MEMBERS]
            mean = [sum(one[k] for one in each) / len(each) for k in (0, 1)]
            total += entropy(*mean) - sum(entropy(*one) for one in each) / len(each)
        scores.append(float(total / 3))
    # The difference of two entropies near log 2: absolute rounding of 1e-16 in it.
    expected = {"scores": scores, "tolerance": 1e-9}
    return [{"name": "four members", "signals": {"mc_label_log_odds": MEMBERS}, "expected": expected}]


VALUES = [[1, 5, -3, 1000001, 2, 7], [1, 7, -3, 1000002, 4, 7], [1, 6, 3, 1000003, 8, 7], [1, 2, 3, 1000005, 16, 7]]


def predictive_variance():
    scores = []
    for column in zip(*VALUES, strict=True):
        mean = Fraction(sum(column), len(column))
        scores.append(float(sum((value - mean) ** 2 for value in column) / len(column)))
    expected = {"scores": scores, "tolerance": 1e-12}
    return [{"name": "four members", "signals": {"mc_values": VALUES}, "expected": expected}]


# With copies of a labelled sample, copies of each other, and ties.
POINTS = [[0, 0], [4, 1], [4, 1], [-6, 2], [9, 9], [0, 5], [-3, -3], [1, 0], [7, -8], [2, 2]]
FOUND = [1, 8, -8, 3, 3, 12, -2, 0, 5, -9]
LABELED, ANSWERS = [[0, 0], [5, 5], [-4, 4]], [2, -5, 9]


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def greedy(points, values, labeled, answers, n):
    """Every candidate against every known sample, in squares of whole numbers."""

    def distance(i, place, value):
        far = 1 if points is None else squared(points[i], place)
        return far if values is None else far * (values[i] - value) ** 2

    size = len(points if points is not None else values)
    places = list(labeled) if labeled is not None else [None] * len(answers)
    known = list(zip(places, answers if answers is not None else [0] * len(places), strict=True))
    picks = []
    for _ in range(n):
        free = [i for i in range(size) if i not in picks]
        if known:
            best = max(free, key=lambda i: (min(distance(i, *one) for one in known), -i))
        else:
            rows = points if points is not None else [[value] for value in values]
            mean = [Fraction(sum(column), size) for column in zip(*rows, strict=True)]
            best = min(free, key=lambda i: (squared(rows[i], mean), i))
        picks.append(best)
        known.append((None if points is None else points[best], 0 if values is None else values[best]))
    return picks


def batch(name, signals, points, values, labeled, answers):
    picks = greedy(points, values, labeled, answers, 8)
    return {"name": name, "signals": signals, "n": 8, "seeds": 2, "expected": {"picks": picks}}


def gsx():
    empty = {"frozen_embeddings": POINTS, "labeled_frozen_embeddings": {"empty": [0, 2]}}
    known = {"frozen_embeddings": POINTS, "labeled_frozen_embeddings": LABELED}
    return [
        batch("nothing labelled", empty, POINTS, None, [], None),
        batch("three", known, POINTS, None, LABELED, None),
    ]


def gsy():
    none, known = {"values": FOUND, "answers": {"empty": [0]}}, {"values": FOUND, "answers": ANSWERS}
    return [batch("nothing labelled", none, None, FOUND, None, []), batch("three", known, None, FOUND, None, ANSWERS)]


def igs():
    signals = {"frozen_embeddings": POINTS, "values": FOUND, "labeled_frozen_embeddings": LABELED, "answers": ANSWERS}
    return [batch("three", signals, POINTS, FOUND, LABELED, ANSWERS)]


VOTES = [
    (0, "1.5"),
    (2, "7"),
    (0, "2.5"),
    (1, "-4.25"),
    (2, "7"),
    (0, "-9"),
    (3, "0.1"),
    (3, "0.1"),
    (3, "0.1"),
    (2, "8"),
]


def merged(function):
    samples = 4
    by_sample = [sorted(Fraction(value) for at, value in VOTES if at == sample) for sample in range(samples)]
    signals = {
        "vote_samples": [at for at, _ in VOTES],
        "vote_values": [float(value) for _, value in VOTES],
        "n_samples": samples,
        "n_classes": 1,
    }
    return [{"name": "ten votes", "signals": signals, "expected": {"weights": [float(function(v)) for v in by_sample]}}]


def middle(votes):
    half = len(votes) // 2
    return votes[half] if len(votes) % 2 else (votes[half - 1] + votes[half]) / 2


CASES = {
    "score.label_entropy": label_entropy,
    "score.label_margin": label_margin,
    "score.label_bald": label_bald,
    "score.predictive_variance": predictive_variance,
    "select.gsx": gsx,
    "select.gsy": gsy,
    "select.igs": igs,
    "merge.mean": lambda: merged(lambda votes: sum(votes) / len(votes)),
    "merge.median": lambda: merged(middle),
}
