"""Oracles of the hybrid and learned methods: closed forms in decimals, searches that try everything."""

from decimal import Decimal
from fractions import Fraction

from oracle_base import entropy, probability, squared, stored_log
from oracle_fisher import inverse

F = Fraction
POOL = [
    [F(1, 2), F(1, 4), F(1, 4)],
    [F(1, 8), F(5, 8), F(1, 4)],
    [F(1), F(0), F(0)],
    [F(1, 3), F(1, 3), F(1, 3)],
    [F(15, 16), F(1, 32), F(1, 32)],
    [F(1, 16), F(7, 16), F(1, 2)],
    [F(0), F(1, 2), F(1, 2)],
    [F(5, 8), F(1, 8), F(1, 4)],
]


def logs(rows):
    return [[stored_log(p) for p in row] for row in rows]


def written(rows):
    return [["-inf" if log == float("-inf") else log for log in row] for row in rows]


def case(name, signals, expected, **more):
    return {"name": name, "signals": signals, "expected": expected, **more}


def scores(values, tolerance=1e-12):
    return {"scores": [float(value) + 0.0 for value in values], "tolerance": tolerance}


# --- score -----------------------------------------------------------------------------------


def word_gradients():
    rows = logs(POOL)
    lengths = [[(7 * i + 5 * c) % 16 / 8 for c in range(3)] for i in range(len(rows))]
    expected = [
        sum(probability(log) * Decimal(g) for log, g in zip(row, own, strict=True))
        for row, own in zip(rows, lengths, strict=True)
    ]
    return [case("three classes", {"log_probs": written(rows), "word_gradients": lengths}, scores(expected))]


def as_given(name, values, expected):
    return [case("as given", {name: values}, scores(expected, 0.0))]


def minimax():
    rows, odds = logs(POOL), [0.25, 0.75, 0.0, 0.5, 1.0, 0.4375, 0.5625, 0.125]
    expected = [entropy(row) - (Decimal(3).ln() + 1 if d >= 0.5 else 0) for row, d in zip(rows, odds, strict=True)]
    return [case("both sides", {"log_probs": written(rows), "discriminator": odds}, scores(expected))]


def mean(values):
    return sum(values, Decimal(0)) / len(values)


def qualities(rows, answers):
    """Sample by sample, class by class and annotator by annotator."""
    classes, crowd = len(rows[0]), range(len(answers[0]))
    given = [{j: row[j] for j in crowd if row[j] >= 0} for row in answers]
    several = [i for i, row in enumerate(given) if len(row) > 1]
    if not several:
        found = []
        for row, own in zip(rows, given, strict=True):
            p = [probability(log) for log in row]
            sure = p[next(iter(own.values()))] if own else max(p)
            terms = [sure, *(sure for _ in own), Decimal(1) / classes]
            found.append(mean(terms))
        return found

    def agreed(i):
        votes = list(given[i].values())
        return max(range(classes), key=lambda k: (votes.count(k), rows[i][k], -k))

    labels = {i: agreed(i) for i in several}
    sure = mean([mean([Decimal(int(y == labels[i])) for y in given[i].values()]) for i in several])
    modal = max(range(classes), key=lambda k: (list(labels.values()).count(k), -k))
    error = max(mean([Decimal(int(labels[i] != modal)) for i in several]), Decimal("1e-6"))
    shares = {}
    for j in crowd:
        pairs = [int(row[j] == row[o]) for row in given for o in row if j in row and o != j]
        if pairs:
            shares[j] = mean([Decimal(one) for one in pairs])
    shares |= {j: mean(list(shares.values())) for j in crowd if j not in shares}
    weight = {j: max(1 - (1 - shares[j]) / error, Decimal("1e-6")) for j in crowd}
    wrong = mean([Decimal(int(max(range(classes), key=lambda k: (rows[i][k], -k)) != labels[i])) for i in several])
    each = mean([Decimal(len(row)) for row in given if row])
    model = max(1 - wrong / error, Decimal("1e-6")) * each.sqrt()
    spare = mean(list(weight.values()))
    found = []
    for row, own in zip(rows, given, strict=True):
        best = Decimal(0)
        for k in range(classes):
            total = model * probability(row[k])
            for j, y in own.items():
                total += weight[j] * (sure if y == k else (1 - sure) / (classes - 1))
            best = max(best, total)
        found.append((best + spare / classes) / (model + sum(weight[j] for j in own) + spare))
    return found


ANSWERS = [
    [0, 0, 0, -1],
    [1, 1, -1, -1],
    [-1] * 4,
    [2, 2, 1, -1],
    [-1, -1, -1, 0],
    [1, 2, -1, -1],
    [-1] * 4,
    [0, 0, 0, -1],
]
ALONE = [[0, -1], [-1, 2], [-1, -1], [1, -1], [-1, 0], [2, -1], [-1, -1], [-1, 1]]
# Whoever errs more often than the most frequent class does keeps a trace of weight.
QUARREL = [[0, 0, 1], [0, 0, 2], [0, 0, 1], [1, 1, 0], [0, 0, -1], [-1, -1, -1], [2, 2, 2], [-1, -1, 2]]


def second_opinions():
    rows = logs(POOL)
    return [
        case(name, {"log_probs": written(rows), "annotations": answers}, scores([-q for q in qualities(rows, answers)]))
        for name, answers in (("with one alone", ANSWERS), ("no overlap", ALONE), ("one errs", QUARREL))
    ]


# --- select ----------------------------------------------------------------------------------

WEIGHT, BIAS = [[2, 0, 0], [0, 2, 0], [-1, -1, 0]], [0, 0, 1]
MEANS_OF = ([[3, 0, 0], [5, 1, 0], [0, 4, 0], [1, 4, 0], [-2, -3, 0]], [0, 0, 1, 1, 2])


def head(place):
    """Logits of the linear head."""
    return [sum(w * x for w, x in zip(row, place, strict=True)) + b for row, b in zip(WEIGHT, BIAS, strict=True)]


def softmax(values):
    powers = [Decimal(value).exp() for value in values]
    return [power / sum(powers) for power in powers]


def best(values):
    return max(range(len(values)), key=lambda k: values[k])


def flips(place, anchors, epsilon):
    """Every anchor with the interpolation written out, alpha by its quotient and cut to [0, 1]."""
    p, said = softmax(head(place)), best(head(place))
    gradient = [sum((p[c] - int(c == said)) * WEIGHT[c][d] for c in range(3)) for d in range(3)]
    length = sum(g * g for g in gradient).sqrt()
    for anchor in anchors:
        gap = [Decimal(a) - z for a, z in zip(anchor, place, strict=True)]
        reach = epsilon / Decimal(3).sqrt() * sum(g * g for g in gap).sqrt()
        alpha = [reach * g / (length * one) if one else Decimal(0) for g, one in zip(gradient, gap, strict=True)]
        alpha = [min(max(a, Decimal(0)), Decimal(1)) for a in alpha]
        moved = [a * z + (1 - a) * x for a, z, x in zip(alpha, anchor, place, strict=True)]
        if best(head(moved)) != said:
            return True
    return False


FLAT = [[1, 2, -2], [-1, 3, 1], [4, 3, -3], [-4, 1, -2], [2, -3, 0], [5, -4, 2], [4, 5, 1], [3, -4, 3], [0, 3, -3]]


def interpolated():
    offsets = [(1, 0), (3, 2), (2, 3), (-1, 1), (4, 0), (0, 5), (1, 2), (-3, -3)]
    blobs = [[x + blob % 2, y, 10_000 * blob] for blob in range(3) for x, y in offsets]
    known, classes = MEANS_OF
    members = [[known[i] for i in range(5) if classes[i] == c] for c in range(3)]
    anchors = [[Decimal(sum(axis)) / len(axis) for axis in zip(*group, strict=True)] for group in members]
    cases = []
    for name, points, epsilon, n in (
        ("one of each far blob", blobs, "0.2", 3),
        ("nearest the mean of all that flip", FLAT, "0.3", 1),
        ("too few flip, the smallest margins follow", FLAT, "0.3", 7),
        ("no step, smallest margins", FLAT, "0", 3),
    ):
        odds = [softmax(head(place)) for place in points]
        first, second = zip(*(sorted(p, reverse=True)[:2] for p in odds), strict=True)
        order = sorted(range(len(points)), key=lambda i, a=first, b=second: (a[i] - b[i], i))
        found = [i for i in order if flips(points[i], anchors, Decimal(epsilon))]
        picks = (found + [i for i in order if i not in found])[:n]
        if len(found) > n:
            groups = [found] if n == 1 else [[i for i in found if points[i][2] == 10_000 * blob] for blob in range(3)]
            picks = sorted((nearest_mean(points, group) for group in groups), key=order.index)
        signals = {
            "log_probs": [[float(value.ln()) for value in p] for p in odds],
            "embeddings": points,
            "labeled_embeddings": known,
            "labels": classes,
            "head_weight": WEIGHT,
        }
        more = {"n": n, "seeds": 20, "knobs": {"epsilon": float(epsilon)}}
        cases.append(case(name, signals, {"picks": picks}, **more))
    return cases


def nearest_mean(points, group):
    center = [F(sum(axis), len(group)) for axis in zip(*(points[i] for i in group), strict=True)]
    return min(group, key=lambda i: squared(points[i], center))


SURE = [F(3, 4), F(1, 8), F(1, 8)]


def unit(place):
    length = Decimal(sum(x * x for x in place)).sqrt()
    return [x / length for x in place]


def unstable():
    """Directions in three narrow bundles of unequal length; class 0 is always the prediction."""
    places = [[100_000 * k, 3 * k - 2] for k in (1, 2, 3, 4)] + [[5, 90_000 + 10_000 * k] for k in (0, 1, 2, 5)]
    places += [[-80_000, -k * k] for k in (1, 3, 2)]
    changes = [2, 3, 2, 3, 3, 2, 3, 2, 2, 3, 1]
    dropped = [[int(t < change) for change in changes] for t in range(3)]
    often = sorted(range(len(places)), key=lambda i: (-changes[i], i))

    def of_each(eligible):
        picks = []
        for bundle in (range(4), range(4, 8), range(8, 11)):
            own = [i for i in eligible if i in bundle]
            units = {i: unit(places[i]) for i in own}
            center = [mean(axis) for axis in zip(*units.values(), strict=True)]
            picks.append(min(own, key=lambda i: (squared(units[i], center), eligible.index(i))))
        return sorted(picks, key=eligible.index)

    twice = [i for i in often if changes[i] > 1]
    signals = {"log_probs": logs([SURE] * 11), "dropped_labels": dropped, "frozen_embeddings": places}
    still = {
        "log_probs": logs([SURE] * 8),
        "dropped_labels": [[0] * 8] * 8,
        "frozen_embeddings": [[i, 1] for i in range(8)],
    }
    strict = {"factor": 1.0}
    return [
        case("two of three passes", signals, {"picks": of_each(twice)}, n=3, seeds=20, knobs=strict),
        case("relaxed to one pass", signals, {"picks": of_each(often)}, n=3, seeds=20),
        case("just enough", signals, {"picks": twice}, n=10, seeds=20, knobs=strict),
        case("nothing changes: a uniform draw", still, {"inclusions": 4.5}, n=3, seeds=2000),
    ]


def neighbourhoods():
    places = [[(7 * i * i + 3 * i) % 23, (5 * i * i * i + i) % 19] for i in range(14)]
    values = [(11 * i) % 14 / 16 for i in range(14)]
    cases = []
    for labeled, k, n in (([[0, 0], [20, 3]], 2, 3), ([[0, 0], [20, 3]], 2, 8), ([[9, 9]], 100, 5), ([], 3, 4)):
        near = set()
        for known in labeled:
            near |= set(sorted(range(14), key=lambda i: (squared(places[i], known), i))[:k])
        if not labeled:
            near = set(range(14))
        picks = sorted(range(14), key=lambda i: (i not in near, -values[i], i))[:n]
        signals = {
            "scores": values,
            "frozen_embeddings": places,
            "labeled_frozen_embeddings": labeled or {"empty": [0, 2]},
        }
        name = f"{n} from {len(near)}, {len(labeled)} labelled"
        cases.append(case(name, signals, {"picks": picks}, n=n, knobs={"neighbours": k}))
    return cases


def on_line(sixteenths):
    return logs([[F(k, 16), 1 - F(k, 16)] for k in sixteenths])


def cuts():
    """Two classes: both lines are the same, read from either end. Whole stretches are spelled out."""
    places = [15, 3, 8, 1, 12, 9, 5, 7, 2]  # sixteenths of class 0

    def signals(pool, labeled, labels):
        return {"log_probs": on_line(pool), "labeled_log_probs": on_line(labeled), "labels": labels}

    # Between 14 and 4 stand 12 9 8 7 5: the middle is 8. Between 6 and 4 stands 5 alone.
    wide = signals(places, [14, 4], [0, 1])
    narrow = signals(places, [14, 6, 4], [0, 0, 1])
    # Nothing stands between 11 and 10: 12 is next to the cut and 9 too, but 12 is not in the pool.
    used_up = signals([9, 3, 1, 8], [11, 10], [0, 1])
    wrong_way = signals(places, [13, 4], [1, 0])  # labels that contradict the margins bisect as well
    one_sided = signals([1, 2, 3, 5, 7, 9, 12, 15], [2, 4, 6, 8, 10, 12, 14, 15], [1] * 8)
    return [
        case("middle of the stretch", wide, {"picks": [2]}, n=1, seeds=20),
        case("the shortest stretch", narrow, {"picks": [6]}, n=1, seeds=20),
        case("next to a cut, then on", used_up, {"picks": [0, 3, 1, 2]}, n=4, seeds=20),
        case("labels against the margins", wrong_way, {"picks": [2]}, n=1, seeds=20),
        case("no cut: a uniform draw", one_sided, {"inclusions": 4.5}, n=3, seeds=2000),
    ]


def sigmoid(value):
    return 1 / (1 + (-value).exp())


def classifier(rows, targets, penalty):
    """Newton's method in decimals, until it stands still."""
    sides = {side: Decimal(len(rows)) / 2 / targets.count(side) for side in (True, False)}
    beta = [Decimal(0)] * (len(rows[0]) + 1)
    for _ in range(60):
        slope = [penalty * b for b in beta[:-1]] + [Decimal(0)]
        bend = [[penalty * int(i == j < len(rows[0])) for j in range(len(beta))] for i in range(len(beta))]
        for row, target in zip(rows, targets, strict=True):
            x = [*row, Decimal(1)]
            p = sigmoid(sum(a * b for a, b in zip(beta, x, strict=True)))
            for i, a in enumerate(x):
                slope[i] += sides[target] * (p - int(target)) * a
                for j, b in enumerate(x):
                    bend[i][j] += sides[target] * p * (1 - p) * a * b
        step = [sum(a * b for a, b in zip(row, slope, strict=True)) for row in inverse(bend)]
        beta = [b - s for b, s in zip(beta, step, strict=True)]
    return beta


def told_apart():
    places = [[0, 1], [1, 0], [2, 2], [9, 1], [8, -2], [-3, 7], [-4, 9], [1, 2], [5, 5], [-1, -6]]
    cases = []
    for labeled, n, batches, penalty in (([[0, 0], [1, 1], [2, 0]], 6, 3, 1.0), ([[9, 0], [-3, 8]], 4, 2, 0.25)):
        columns = list(zip(*places, *labeled, strict=True))
        centers = [Decimal(sum(axis)) / len(axis) for axis in columns]
        widths = [mean([(x - m) ** 2 for x in axis]).sqrt() for axis, m in zip(columns, centers, strict=True)]
        moved = [[(x - m) / w for x, m, w in zip(row, centers, widths, strict=True)] for row in places + labeled]
        picks = []
        for batch in range(batches):
            left = [i for i in range(len(places)) if i not in picks]
            known = moved[len(places) :] + [moved[i] for i in picks]
            targets = [True] * len(left) + [False] * len(known)
            beta = classifier([moved[i] for i in left] + known, targets, Decimal(penalty))
            value = {i: sum(a * b for a, b in zip(beta, [*moved[i], Decimal(1)], strict=True)) for i in left}
            size = n * (batch + 1) // batches - n * batch // batches
            picks += sorted(left, key=lambda i, value=value: (-value[i], i))[:size]
        signals = {"embeddings": places, "labeled_embeddings": labeled}
        knobs = {"batches": batches, "regularisation": penalty}
        cases.append(case(f"{n} in {batches}", signals, {"picks": picks}, n=n, knobs=knobs))
    return cases


CASES = {
    "score.egl_word": word_gradients,
    "score.active_lab": second_opinions,
    "score.forgetting": lambda: as_given("pool_flips", [0.0, 3.0, 1.0, 7.0], [0, 3, 1, 7]),
    "score.loss_prediction": lambda: as_given("predicted_loss", [0.5, -2.25, 4.0, 0.0], [0.5, -2.25, 4, 0]),
    "score.vaal": lambda: as_given("discriminator", [0.25, 1.0, 0.0, 0.625], [0.75, 0, 1, 0.375]),
    "score.mal": minimax,
    "select.alfa_mix": interpolated,
    "select.drop_query": unstable,
    "select.seals": neighbourhoods,
    "select.galaxy": cuts,
    "select.discriminative": told_apart,
}
