"""Oracles of joint information: every combination of labels is listed, every entropy is a sum of decimals."""

from fractions import Fraction
from itertools import product

from oracle_base import MEMBERS, information, nats, probability, stored_log

# Four posterior samples of eight predictions, in sixteenths: 3 and 6 are near copies of 0 and 1.
SIXTEENTHS = [
    [(14, 1, 1), (2, 12, 2), (5, 5, 6), (13, 2, 1), (8, 4, 4), (16, 0, 0), (2, 11, 3), (6, 6, 4)],
    [(1, 14, 1), (3, 11, 2), (4, 8, 4), (2, 13, 1), (7, 5, 4), (0, 9, 7), (3, 10, 3), (1, 6, 9)],
    [(1, 13, 2), (12, 2, 2), (6, 4, 6), (1, 12, 3), (9, 4, 3), (4, 4, 8), (11, 3, 2), (9, 6, 1)],
    [(13, 1, 2), (2, 3, 11), (7, 5, 4), (13, 1, 2), (8, 3, 5), (10, 4, 2), (2, 4, 10), (4, 8, 4)],
]
POOL = [[[Fraction(k, 16) for k in row] for row in member] for member in SIXTEENTHS]
# Targets of the same four samples: they part 0 from 1 and 2 from 3, one agrees, one is sure.
TARGET_SIXTEENTHS = [
    [(12, 2, 2), (4, 4, 8), (9, 4, 3), (16, 0, 0)],
    [(2, 12, 2), (4, 4, 8), (8, 3, 5), (0, 16, 0)],
    [(3, 2, 11), (4, 4, 8), (3, 11, 2), (0, 16, 0)],
    [(2, 3, 11), (4, 4, 8), (2, 6, 8), (16, 0, 0)],
]
TARGETS = [[[Fraction(k, 16) for k in row] for row in member] for member in TARGET_SIXTEENTHS]


def logs(members):
    return [[[stored_log(p) for p in row] for row in member] for member in members]


def written(members):
    return [[["-inf" if log == float("-inf") else log for log in row] for row in member] for member in logs(members)]


def columns(members):
    """By sample: its probabilities under each posterior sample."""
    return [[[probability(log) for log in member[at]] for member in logs(members)] for at in range(len(members[0]))]


def joint(chosen):
    """Probability of every combination of labels of the samples ``chosen``: mean of products."""
    size, found = len(chosen[0]) if chosen else 1, []
    for labels in product(*(range(len(one[0])) for one in chosen)):
        total = 0
        for t in range(size):
            term = 1
            for one, label in zip(chosen, labels, strict=True):
                term *= one[t][label]
            total += term
        found.append(total / size)
    return found


def together(chosen):
    """I(y_S; ω) = H(y_S) - mean over posterior samples of the sum of entropies."""
    if not chosen:
        return 0
    return nats(joint(chosen)) - sum(nats(p) for one in chosen for p in one) / len(chosen[0])


def greedy(members, n):
    """Gains to the thirtieth digit; once none is left, who has any BALD (here at most one) before the others."""
    pool, taken = columns(members), []
    alone = [round(together([one]), 30) for one in pool]
    while len(taken) < n:
        left = [at for at in range(len(pool)) if at not in taken]
        before = together([pool[at] for at in taken])
        gains = {at: round(together([pool[one] for one in (*taken, at)]) - before, 30) for at in left}
        best = max(left, key=lambda at: (gains[at], -at))
        if taken and gains[best] < 1e-12:
            return taken + [at for at in left if alone[at] > 1e-12][: n - len(taken)]
        taken.append(best)
    return taken


def batches():
    sure = [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]
    half = [Fraction(1, 2), Fraction(1, 2)]
    # The first pick tells all; what is drawn next is the only other one that tells anything.
    two = [[half, sure[0], half, half, sure[1], half], [half, sure[1], half, half, sure[0], half]]
    pools = [("three classes", POOL, n) for n in (1, 2, 3, 5)]
    copies = [[member[at] for at in (6, 0, 0, 1, 5, 1, 5)] for member in POOL]
    pools += [("copies", copies, 4), ("nothing is left after one pick", two, 2)]
    return [
        {
            "name": f"{name}, {n} picks",
            "signals": {"mc_log_probs": written(members)},
            "n": n,
            "seeds": 20,
            "expected": {"picks": greedy(members, n)},
        }
        for name, members, n in pools
    ]


def about_targets(oracle, knobs=None):
    cases = []
    for name, pool, targets in (("four targets", POOL, TARGETS), ("one target", MEMBERS, [m[2:3] for m in MEMBERS])):
        scores = [float(oracle(one, columns(targets))) + 0.0 for one in columns(pool)]
        one = {"name": name, "signals": {"mc_log_probs": written(pool), "target_mc_log_probs": written(targets)}}
        cases.append({**one, "knobs": knobs or {}, "expected": {"scores": scores, "tolerance": 1e-12}})
    return cases


def epig(one, targets):
    """Mean of H(y) + H(y*) - H(y, y*)."""
    return sum(nats(joint([one])) + nats(joint([u])) - nats(joint([one, u])) for u in targets) / len(targets)


def jepig(one, targets):
    return nats(joint([one])) + nats(joint(targets)) - nats(joint([one, *targets]))


def risk(one, targets, loss):
    """Expected loss of the targets now, less that after the label, the posterior samples reweighted by it."""
    size, total = len(one), 0
    for u in targets:
        total += loss(joint([u]))
        for y in range(len(one[0])):
            evidence = sum(p[y] for p in one)
            if evidence:
                after = [sum(one[t][y] * u[t][c] for t in range(size)) / evidence for c in range(len(u[0]))]
                total -= evidence / size * loss(after)
    return total / len(targets)


def error_reduction():
    zero_one = about_targets(lambda one, targets: risk(one, targets, lambda p: 1 - max(p)), {"loss": "zero_one"})
    return zero_one + about_targets(lambda one, targets: risk(one, targets, nats), {"loss": "log"})


def most_informative():
    """The first pick is BALD's; checked here so that the batch cases rest on the score's oracle."""
    alone = [information([member[at] for member in logs(POOL)]) for at in range(len(POOL[0]))]
    best = max(range(len(alone)), key=lambda at: alone[at])
    return [{"name": "first", "signals": {"mc_log_probs": written(POOL)}, "n": 1, "expected": {"picks": [best]}}]


CASES = {
    "select.batch_bald": lambda: batches() + most_informative(),
    "score.epig": lambda: about_targets(epig),
    "score.jepig": lambda: about_targets(jepig),
    "score.eer_committee": error_reduction,
}
