"""Oracles of the first strategies: single models, committees, the baselines, merging."""

from decimal import Decimal, getcontext
from fractions import Fraction
from itertools import product

getcontext().prec = 60


# --- score -----------------------------------------------------------------------------------

# Exact probabilities: quarters, one-hots in several places, uniform, ties at the top, near certainty.
TINY = Fraction(1, 2**40)
PREDICTIONS = [
    [Fraction(1, 4)] * 4,
    [Fraction(1), Fraction(0), Fraction(0), Fraction(0)],
    [Fraction(0), Fraction(0), Fraction(0), Fraction(1)],
    [Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8)],
    [Fraction(1, 8), Fraction(1, 8), Fraction(1, 4), Fraction(1, 2)],
    [Fraction(1, 2), Fraction(1, 2), Fraction(0), Fraction(0)],
    [Fraction(0), Fraction(3, 8), Fraction(3, 8), Fraction(1, 4)],
    [Fraction(7, 16), Fraction(5, 16), Fraction(3, 16), Fraction(1, 16)],
    [1 - TINY, TINY, Fraction(0), Fraction(0)],
    [TINY, 1 - 3 * TINY, TINY, TINY],
    [Fraction(1, 4) + TINY, Fraction(1, 4) - TINY, Fraction(1, 4), Fraction(1, 4)],
]
BINARY = [[Fraction(k, 16), 1 - Fraction(k, 16)] for k in range(17)]


def stored_log(value):
    """The double nearest to the logarithm: what a strategy is given."""
    return float((Decimal(value.numerator) / Decimal(value.denominator)).ln()) + 0.0 if value else float("-inf")


def probability(log):
    """Of exactly that double, so that no rounding of the input counts as an error of the strategy."""
    return Decimal(log).exp() if log > float("-inf") else Decimal(0)


def least_confidence(logs):
    return -Decimal(max(logs))


def margin(logs):
    first, second = sorted(map(probability, logs), reverse=True)[:2]
    return second - first


def entropy(logs):
    return -sum((probability(log) * Decimal(log) for log in logs if probability(log)), Decimal(0))


def scored(oracle):
    cases = []
    for name, rows in (("four classes", PREDICTIONS), ("two classes", BINARY)):
        logs = [[stored_log(p) for p in row] for row in rows]
        written = [["-inf" if log == float("-inf") else log for log in row] for row in logs]
        expected = {"scores": [float(oracle(row)) + 0.0 for row in logs], "tolerance": 1e-12}
        cases.append({"name": name, "signals": {"log_probs": written}, "expected": expected})
    return cases


def ratio(logs):
    first, second = sorted(map(probability, logs), reverse=True)[:2]
    return second / first


EMBEDDINGS = [[0, 0], [1, 0], [0, -2], [3, 4], [-1, 1], [2, 2], [5, 0], [1, 7], [-3, 0], [0, 1], [6, -6]]


def gradient_lengths():
    """Σ_y p_y ‖p - e_y‖ times the norm of (h, 1), the norm of the residual summed class by class."""
    logs = [[stored_log(p) for p in row] for row in PREDICTIONS]
    scores = []
    for row, hidden in zip(logs, EMBEDDINGS, strict=True):
        p = [probability(log) for log in row]
        total = Decimal(0)
        for y in range(len(p)):
            total += p[y] * sum((p[c] - (c == y)) ** 2 for c in range(len(p))).sqrt()
        scores.append(float(total * Decimal(1 + sum(one * one for one in hidden)).sqrt()) + 0.0)
    written = [["-inf" if log == float("-inf") else log for log in row] for row in logs]
    return [
        {
            "name": "four classes",
            "signals": {"log_probs": written, "embeddings": EMBEDDINGS},
            "expected": {"scores": scores, "tolerance": 1e-12},
        }
    ]


def contrastive():
    """Mean KL(neighbour, candidate) over the two nearest labelled, by sorting all distances."""
    rows = [row for row in PREDICTIONS if all(row)]
    logs = [[stored_log(p) for p in row] for row in rows]
    places = EMBEDDINGS[: len(rows)]
    labeled, at = [logs[0], logs[1], logs[2], logs[3]], [[0, 0], [10, 1], [2, 9], [-7, -8]]
    scores = []
    for own, place in zip(logs, places, strict=True):
        near = sorted(range(4), key=lambda one: (squared(place, at[one]), one))[:2]
        terms = [
            probability(a) * (Decimal(a) - Decimal(b)) for one in near for a, b in zip(labeled[one], own, strict=True)
        ]
        scores.append(float(sum(terms) / 2) + 0.0)
    signals = {"log_probs": logs, "embeddings": places, "labeled_log_probs": labeled, "labeled_embeddings": at}
    expected = {"scores": scores, "tolerance": 1e-9}
    return [{"name": "two neighbours", "signals": signals, "knobs": {"neighbours": 2}, "expected": expected}]


# Four posterior samples of seven predictions: agreement, sure disagreement, zeros, one rebel.
HALF, SURE = [Fraction(1, 2), Fraction(1, 2), Fraction(0)], [Fraction(1), Fraction(0), Fraction(0)]
OTHER, THIRD = [Fraction(0), Fraction(0), Fraction(1)], [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]
NEAR, FAR = [Fraction(5, 8), Fraction(1, 4), Fraction(1, 8)], [Fraction(1, 8), Fraction(1, 4), Fraction(5, 8)]
MEMBERS = [
    [SURE, SURE, HALF, THIRD, NEAR, NEAR, THIRD],
    [SURE, OTHER, HALF, THIRD, NEAR, FAR, NEAR],
    [SURE, SURE, SURE, THIRD, NEAR, NEAR, FAR],
    [SURE, OTHER, OTHER, THIRD, FAR, FAR, SURE],
]


def nats(shares):
    return -sum((share * share.ln() for share in shares if share), Decimal(0))


def committee(oracle):
    logs = [[[stored_log(p) for p in row] for row in member] for member in MEMBERS]
    scores = [float(oracle([member[at] for member in logs])) + 0.0 for at in range(len(MEMBERS[0]))]
    written = [[["-inf" if log == float("-inf") else log for log in row] for row in member] for member in logs]
    expected = {"scores": scores, "tolerance": 1e-12}
    return [{"name": "four members", "signals": {"mc_log_probs": written}, "expected": expected}]


def consensus(rows):
    return [sum(probability(row[c]) for row in rows) / len(rows) for c in range(len(rows[0]))]


def information(rows):
    return nats(consensus(rows)) - sum(nats([probability(log) for log in row]) for row in rows) / len(rows)


def ballots(rows):
    """Shares of votes; classes that tie at the top share one."""
    shares = [Decimal(0)] * len(rows[0])
    for row in rows:
        best = [c for c, log in enumerate(row) if log == max(row)]
        for c in best:
            shares[c] += Decimal(1) / len(best) / len(rows)
    return shares


def deviation(rows):
    mean, total = consensus(rows), Decimal(0)
    for c in range(len(mean)):
        total += (sum((probability(row[c]) - mean[c]) ** 2 for row in rows) / len(rows)).sqrt()
    return total / len(mean)


def dispersion():
    values = [0.0, 0.5, 0.75, 0.125]
    return [
        {
            "name": "as recorded",
            "signals": {"pool_dispersion": values},
            "expected": {"scores": values, "tolerance": 0.0},
        }
    ]


KEYS = [0, 1, 2**11 - 1, 2**11, 2**32, 2**63 - 1, 2**63, 2**64 - 2**11, 2**64 - 1, 0x9E3779B97F4A7C15]


def random_scores():
    expected = [float(Fraction(key // 2**11, 2**53)) for key in KEYS]
    return [{"name": "keys", "signals": {"sample_keys": KEYS}, "expected": {"scores": expected, "tolerance": 0.0}}]


# --- select ----------------------------------------------------------------------------------


def top():
    scores = [0.5, 2.0, -1.0, 2.0, 0.0, 3.25, 0.5, -1.0, 2.0]
    ranked = sorted(range(len(scores)), key=lambda position: (-scores[position], position))
    return [
        {"name": f"{n} of 9 with ties", "signals": {"scores": scores}, "n": n, "expected": {"picks": ranked[:n]}}
        for n in (1, 4, 9)
    ]


def random_picks():
    keys = [(key * 0x9E3779B97F4A7C15) % 2**64 for key in range(8)]
    return [
        {
            "name": "each of 8 candidates is one of 3 picks equally often",
            "signals": {"sample_keys": keys},
            "n": 3,
            "seeds": 2000,
            "expected": {"inclusions": 4.5},
        }
    ]


def gradients():
    """Copies have no mass, so what is picked second and third is certain, in which order is not."""
    sure, unsure = (
        [stored_log(Fraction(7, 8)), stored_log(Fraction(1, 8))],
        [stored_log(Fraction(5, 8)), stored_log(Fraction(3, 8))],
    )
    return [
        {
            "name": "the longest gradient, then the only one that is no copy",
            "signals": {"log_probs": [sure, unsure, unsure, unsure], "embeddings": [[1], [2], [2], [2]]},
            "n": 2,
            "seeds": 20,
            "expected": {"picks": [1, 0]},
        },
        {
            "name": "length counts the bias and the residual",
            "signals": {"log_probs": [sure, unsure, unsure], "embeddings": [[4], [1], [1]]},
            "n": 2,
            "seeds": 20,
            # (1/8)² 2 (16 + 1) = .53 against (3/8)² 2 (1 + 1) = .56
            "expected": {"picks": [1, 0]},
        },
    ]


def noisy(scores, beta):
    """Without noise to speak of: the order of scores. With beta 0: everyone equally often."""
    ranked = sorted(range(len(scores)), key=lambda position: -scores[position])
    return [
        {
            "name": "a great beta gives the best scores in order",
            "signals": {"scores": scores},
            "knobs": {"beta": beta},
            "n": 4,
            "seeds": 20,
            "expected": {"picks": ranked[:4]},
        },
        {
            "name": "beta 0 is a uniform draw",
            "signals": {"scores": scores},
            "knobs": {"beta": 0.0},
            "n": 3,
            "seeds": 2000,
            "expected": {"inclusions": 4.5},
        },
    ]


def cosine(left, right):
    """Moved to [0, 1]."""
    lengths = Decimal(squared(left, [0] * len(left)) * squared(right, [0] * len(right))).sqrt()
    return (1 + Decimal(sum(a * b for a, b in zip(left, right, strict=True))) / lengths) / 2


def covering():
    """The naive greedy: the whole sum for every member of the shortlist at every step."""
    points = [[1, 0], [9, 1], [8, -1], [0, 1], [1, 7], [-1, 6], [-5, 1], [-7, -2], [3, -8], [2, -9], [4, 3]]
    scores = [0.5, 0.875, 0.25, 0.75, 1.0, 0.125, 0.625, 0.0, 0.375, 0.9375, 0.0625]
    cases = []
    for n, factor in ((3, 2.0), (4, 1.0), (4, 100.0)):
        ranked = sorted(range(len(points)), key=lambda one: (-scores[one], one))
        shortlist, taken = ranked[: min(len(points), int(factor * n))], []
        while len(taken) < n:

            def covered(one, taken=tuple(taken)):
                return sum(max(cosine(target, points[at]) for at in (*taken, one)) for target in points)

            left = [one for one in shortlist if one not in taken]
            taken.append(max(left, key=lambda one: (covered(one), -shortlist.index(one))))
        signals = {"scores": scores, "embeddings": points}
        one = {"name": f"{n} of {len(shortlist)}", "signals": signals, "knobs": {"factor": factor}, "n": n}
        cases.append({**one, "expected": {"picks": taken}})
    return cases


def weighted():
    """Far blobs, in each one heavy sample: the nearest to the weighted center is the heavy one."""
    points, scores = [], []
    for center, heavy in (((0, 0), 0), ((100_000, 0), 3), ((0, 100_000), 2)):
        members = blob(center, CROSS[:5])
        points += members
        scores += [1.0 - len(points) / 1024 if at == heavy else 0.25 for at in range(5)]
    heaviest = sorted((at for at, score in enumerate(scores) if score > 0.5), key=lambda at: -scores[at])
    beyond = [[500_000, 500_000]]  # outside the shortlist, so it gets no cluster
    return [
        {
            "name": "one heavy sample per blob, best score first",
            "signals": {"scores": [*scores, 0.125], "embeddings": points + beyond},
            "knobs": {"factor": 5.0},
            "n": 3,
            "seeds": 20,
            "expected": {"picks": heaviest},
        }
    ]


def herding():
    """The naive greedy with the kernel on unit vectors, everything in decimals."""
    points = [[1, 0], [9, 1], [8, -1], [0, 1], [1, 7], [-1, 6], [-5, 1], [-7, -2], [3, -8], [2, -9], [4, 3]]

    def kernel(left, right):
        lengths = Decimal(squared(left, [0, 0]) * squared(right, [0, 0])).sqrt()
        return (-(2 - 2 * Decimal(sum(a * b for a, b in zip(left, right, strict=True))) / lengths)).exp()

    cases = []
    for labeled in ({"empty": [0, 2]}, [[3, -7], [5, 1]]):
        known, taken = ([] if isinstance(labeled, dict) else labeled), []
        while len(taken) < 4:

            def covered(one, taken=tuple(taken), known=tuple(known)):
                chosen = [*known, *(points[at] for at in (*taken, one))]
                return sum(max(kernel(target, other) for other in chosen) for target in points)

            taken.append(
                max((one for one in range(len(points)) if one not in taken), key=lambda one: (covered(one), -one))
            )
        signals = {"frozen_embeddings": points, "labeled_frozen_embeddings": labeled}
        cases.append({"name": f"{len(known)} labelled", "signals": signals, "n": 4, "expected": {"picks": taken}})
    return cases


POSITIVE = [0.25, 4.0, 0.5, 2.0, 1.0, 8.0, 0.125]


def squared(left, right):
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def farthest(points, centers, n):
    """By looking at every pair at every step; whole numbers, so ties are ties."""
    taken = []
    while len(taken) < n:
        known = [*centers, *(points[position] for position in taken)]
        left = [position for position in range(len(points)) if position not in taken]
        if known:
            gap = {position: min(squared(points[position], one) for one in known) for position in left}
            taken.append(min(left, key=lambda position: (-gap[position], position)))
        else:
            mean = [Fraction(sum(axis), len(points)) for axis in zip(*points, strict=True)]
            taken.append(min(left, key=lambda position: (squared(points[position], mean), position)))
    return taken


GRID = [list(point) for point in product((0, 1, 4, 9), (0, 2, 7))]
SCATTER = [[(7 * i * i + 3 * i) % 23, (5 * i * i * i + i) % 19, (11 * i) % 13] for i in range(14)]
LINE = [[0], [1], [2], [100], [101], [50]]


def kcenter():
    pools = [
        ("grid, two labelled", GRID, [[0, 0], [9, 7]], 5),
        ("grid, none labelled", GRID, [], 4),
        ("scatter, three labelled far from it", SCATTER, [[40, 0, 0], [0, 40, 0], [0, 0, 40]], 9),
        ("line, all of it", LINE, [[1]], 6),
        ("copies of the labelled and of each other", [[3, 3], [0, 0], [3, 3], [0, 0], [5, 1]], [[0, 0]], 5),
        ("more labelled than candidates", [[2, 0], [6, 0], [4, 0]], [[0, 0], [1, 0], [9, 0], [8, 0], [7, 0]], 2),
    ]
    return [
        {
            "name": name,
            "signals": {
                "embeddings": points,
                "labeled_embeddings": centers or {"empty": [0, len(points[0])]},
            },
            "n": n,
            "expected": {"picks": farthest(points, centers, n)},
        }
        for name, points, centers, n in pools
    ]


def typicality(point, others, neighbours):
    nearest = sorted(squared(point, other) for other in others)[:neighbours]
    return len(nearest) / sum(Decimal(gap).sqrt() for gap in nearest)


def most_typical(points, members):
    """Members by typicality among themselves, k = min(20, |cluster| // 2), at least one neighbour."""
    neighbours = max(min(20, len(members) // 2), 1)

    def value(member):
        return typicality(points[member], [points[other] for other in members if other != member], neighbours)

    return sorted(members, key=lambda member: (-value(member), member))


def blob(center, offsets):
    return [[center[0] + x, center[1] + y] for x, y in offsets]


# Every blob has one densest point, which is not its first: (0, 0) in the middle of a cross.
CROSS = [(8, 0), (3, 1), (-7, 2), (0, 0), (1, -4), (-2, -3), (5, 9), (-6, -8), (9, -7), (-1, 6), (2, 12)]
BLOBS = [((0, 0), 7), ((100_000, 0), 11), ((0, 100_000), 9)]


def typiclust():
    points, members = [], []
    for center, size in BLOBS:
        members.append(list(range(len(points), len(points) + size)))
        points += blob(center, CROSS[:size])
    ranked = [most_typical(points, one) for one in members]
    by_size = sorted(range(len(BLOBS)), key=lambda one: -BLOBS[one][1])
    largest, middle, smallest = (ranked[one] for one in by_size)
    outlier = [[300_000, 300_000]]
    none = {"empty": [0, 2]}
    beside_largest = [[100_001, 1]]  # changes who is typical in the largest blob, but nobody is asked there
    # A copy of the densest point of the smallest blob changes who is typical there, not elsewhere.
    beside_smallest = [[0, 0]]
    three_and_six = [[0, 0], [1, 0], [3, 0], *blob((100_000, 0), CROSS[:6])]
    five_and_six = blob((0, 0), CROSS[:5]) + blob((100_000, 0), CROSS[:6])
    six = most_typical(five_and_six, range(5, 11))
    seeds = 20
    return [
        {
            "name": "one pick per blob, its densest point, largest blob first",
            "signals": {"frozen_embeddings": points, "labeled_frozen_embeddings": none},
            "n": 3,
            "seeds": seeds,
            "expected": {"picks": [largest[0], middle[0], smallest[0]]},
        },
        {
            "name": "a blob with a label waits",
            "signals": {"frozen_embeddings": points, "labeled_frozen_embeddings": beside_largest},
            "n": 2,
            "seeds": seeds,
            "expected": {"picks": [middle[0], smallest[0]]},
        },
        {
            "name": "an outlier alone in its cluster is not asked",
            "signals": {"frozen_embeddings": outlier + points, "labeled_frozen_embeddings": none},
            "n": 4,
            "seeds": seeds,
            "expected": {"picks": [1 + position for position in (largest[0], middle[0], smallest[0], largest[1])]},
        },
        {
            "name": "three clusters at most: the second round of picks goes on in each",
            "signals": {"frozen_embeddings": points, "labeled_frozen_embeddings": none},
            "n": 6,
            "seeds": seeds,
            "knobs": {"clusters": 3},
            "expected": {"picks": [largest[0], middle[0], smallest[0], largest[1], middle[1], smallest[1]]},
        },
        {
            "name": "a pick counts as one label",
            "signals": {"frozen_embeddings": points, "labeled_frozen_embeddings": beside_smallest},
            "n": 4,
            "seeds": seeds,
            "knobs": {"clusters": 3},
            "expected": {"picks": [largest[0], middle[0], largest[1], middle[1]]},
        },
        {
            "name": "a cluster of five waits, by default, until larger ones are used up",
            "signals": {"frozen_embeddings": five_and_six, "labeled_frozen_embeddings": none},
            "n": 7,
            "seeds": seeds,
            "knobs": {"clusters": 2},
            "expected": {"picks": [*six, most_typical(five_and_six, range(5))[0]]},
        },
        {
            "name": "in a cluster of three one neighbour counts",
            "signals": {"frozen_embeddings": three_and_six, "labeled_frozen_embeddings": none},
            "n": 2,
            "seeds": seeds,
            "knobs": {"smallest": 0},
            "expected": {
                "picks": [most_typical(three_and_six, range(3, 9))[0], most_typical(three_and_six, range(3))[0]]
            },
        },
    ]


# --- merge -----------------------------------------------------------------------------------

COLUMNS = ("vote_samples", "vote_labels", "vote_annotators", "vote_order")
VOTES = [
    (0, 2, 0, 0),
    (0, 2, 1, 1),
    (0, 0, 2, 2),
    (1, 1, 0, 5),
    (2, 0, 0, 3),
    (2, 1, 1, 3),
    (3, 2, 0, 1),
    (3, 1, 0, 7),
    (3, 1, 1, 0),
    (3, 2, 1, 7),
    (4, 0, 2, 9),
    (4, 0, 1, 9),
    (4, 0, 0, 4),
    (0, 2, 3, 2),
]


def votes(oracle, names):
    columns = dict(zip(COLUMNS, zip(*VOTES, strict=True), strict=True))
    samples, classes = 5, 4  # class 3 is never voted for
    weights = [[float(oracle(sample, label)) for label in range(classes)] for sample in range(samples)]
    signals = {name: list(columns[name]) for name in names} | {"n_samples": samples, "n_classes": classes}
    return [{"name": "fourteen votes", "signals": signals, "expected": {"weights": weights}}]


def majority(sample, label):
    cast = [vote for vote in VOTES if vote[0] == sample]
    return Fraction(sum(vote[1] == label for vote in cast), len(cast))


def latest(sample, label):
    cast = [vote for vote in VOTES if vote[0] == sample]
    newest = [vote for vote in cast if vote[3] == max(other[3] for other in cast)]
    return Fraction(sum(vote[1] == label for vote in newest), len(newest))


CASES = {
    "score.least_confidence": lambda: scored(least_confidence),
    "score.margin": lambda: scored(margin),
    "score.entropy": lambda: scored(entropy),
    "score.random": random_scores,
    "score.bald": lambda: committee(information),
    "score.qbc_kl": lambda: committee(information),
    "score.consensus_entropy": lambda: committee(lambda rows: nats(consensus(rows))),
    "score.vote_entropy": lambda: committee(lambda rows: nats(ballots(rows))),
    "score.variation_ratio": lambda: committee(lambda rows: 1 - max(ballots(rows))),
    "score.mean_std": lambda: committee(deviation),
    "score.ratio": lambda: scored(ratio),
    "score.egl": gradient_lengths,
    "score.cal": contrastive,
    "score.label_dispersion": dispersion,
    "select.badge": gradients,
    "select.max_cover": covering,
    "select.max_herding": herding,
    "select.weighted_kmeans": weighted,
    "select.power": lambda: noisy(POSITIVE, 1e6),
    "select.softmax": lambda: noisy(POSITIVE, 1e6),
    "select.softrank": lambda: noisy(POSITIVE, 1e6),
    "select.top": top,
    "select.random": random_picks,
    "select.kcenter_greedy": kcenter,
    "select.typiclust": typiclust,
    "merge.majority": lambda: votes(majority, ("vote_samples", "vote_labels")),
    "merge.latest": lambda: votes(latest, ("vote_samples", "vote_labels", "vote_order")),
}
