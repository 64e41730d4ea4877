"""Explain: why each sample of a query was chosen, and what the batch adds to what is labelled."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from al_plugin import targets
from al_plugin.axes import Floats, FloatsN, Ints
from al_plugin.data.pool import Pool
from al_plugin.data.queries import QueryRow
from al_plugin.data.sets import Labeled, Model, Scoreboard
from al_plugin.math import explain as measure
from al_plugin.math.information import entropy, negative_margin
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.math.outcomes import share, spread_of
from al_plugin.rounds.explained import Batch, Explained, Explanation, Map, Mix, Neighbour, Standing, Stored, Versus

# Unlabelled samples that stand for the pool where every one of them would take too long.
SAMPLE = 10_000
# Random batches of the same size, to compare with.
DRAWS = 20
NEIGHBOURS = 3
CLASSES_SHOWN = 3
# Points of the pool and of the labelled set on the map.
MAPPED = 2000
# Numbers of the pool that are still put through the model, by kind of network.
_CHEAP, _DEAR = 2**27, 2**24
# Distances that the search for a scale of distances may take.
_PAIRS, _FEWEST = 5 * 10**7, 64


def explain(
    pool: Pool,
    labeled: Labeled,
    model: Model,
    board: Scoreboard,
    stored: Stored,
    rows: Sequence[QueryRow],
    excluded: Collection[str],
    seed: int,
    classes: tuple[str, ...],
    task: str = targets.CLASSES,
) -> Explanation:
    """Explain a query. ``excluded`` are the ids that could not be asked; nothing is changed.

    Everything is computed for the whole pool, or where that would take too long for a random part of it, the
    same whenever it is asked for. What looks at class probabilities is left out under another ``task``.
    """
    names = targets.of(task, classes).texts(labeled.labels)
    at = _Positions(pool, labeled, rows, excluded, seed, whole=_affordable(pool, model, stored))
    seen = _Seen(pool, model, stored, at.rows)
    query, known = seen.points[at.query], seen.points[at.labeled]
    reference = seen.points[at.reference]
    before = measure.to_nearest(reference, known)
    few = reference[: min(MAPPED, max(_FEWEST, _PAIRS // max(1, len(seen.points))))]
    radius = measure.near_copy_radius(few, seen.points)
    copies = (
        measure.within(query, seen.points, radius, at.query) if radius else [np.empty(0, dtype=np.int64)] * len(rows)
    )
    near = _neighbours(query, known, labeled, rows, names)
    cells = measure.cells(reference, before, query)
    gaps = measure.apart(query)
    standings = _standings(board, seen.log_probs, at)
    samples = []
    for i, row in enumerate(rows):
        distance = near[i][0].distance if near[i] else None
        farther = None if distance is None else share(int((before < distance).sum()), len(before)).value
        samples.append(
            Explained(
                row=row,
                probabilities=_probabilities(seen.log_probs, at.query[i], classes),
                standings=tuple(standings[i]),
                neighbours=near[i][:NEIGHBOURS],
                copies=tuple(str(pool.ids[at.rows[j]]) for j in copies[i]),
                distance=distance,
                farther=farther,
                cell=float(cells[i]),
                gap=float(gaps[i]) if np.isfinite(gaps[i]) else None,
            )
        )
    batch = _batch(seen.points, at, board, before, radius, seed, classes if task == targets.CLASSES else ())
    plane = measure.principal_plane(reference[:MAPPED])
    shown = at.labeled[:MAPPED]
    drawn = Map(
        plane.project(reference[:MAPPED]),
        plane.project(seen.points[shown]),
        tuple(names[:MAPPED]),
        plane.project(query),
        (float(plane.explained[0]), float(plane.explained[1])),
    )
    return Explanation(tuple(samples), batch, drawn, seen.space, at.candidates)


class _Positions:
    """Who is who: ``rows`` of the pool that are looked at, and positions among them."""

    def __init__(
        self,
        pool: Pool,
        labeled: Labeled,
        rows: Sequence[QueryRow],
        excluded: Collection[str],
        seed: int,
        *,
        whole: bool,
    ) -> None:
        named = pool.positions([*(row.sample_id for row in rows), *labeled.sample_ids])
        query, known = named[: len(rows)], named[len(rows) :]
        free = np.array([sample_id not in excluded for sample_id in pool.ids], dtype=np.bool_)
        unlabelled = np.ones(len(pool), dtype=np.bool_)
        unlabelled[known] = False
        self.candidates, self.unlabelled = int(free.sum()), int(unlabelled.sum())
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(pool))
        drawn = order[unlabelled[order]][:SAMPLE]
        random = order[free[order]][: max(SAMPLE, 2 * len(rows))]
        self.whole = whole
        self.rows = np.arange(len(pool)) if whole else np.unique(np.concatenate([query, known, drawn, random]))
        self.query, self.labeled, self.reference, self.free = (
            np.searchsorted(self.rows, positions) for positions in (query, known, drawn, random)
        )
        self.pool_query, self.all_free = query, free


class _Seen:
    """The looked-at samples as points, and what the model says of them if there is one."""

    def __init__(self, pool: Pool, model: Model, stored: Stored, rows: Ints) -> None:
        whole = len(rows) == len(pool)
        self.log_probs: Floats | None = None
        if not model.card["fitted"]:
            self.space, self.points = "features", _standardised(pool, rows)
            return
        self.space = "embeddings"
        if stored.log_probs is not None and stored.embeddings is not None:
            self.log_probs, self.points = stored.log_probs[rows], stored.embeddings[rows]
            return
        from al_plugin.models.outputs import task_of
        from al_plugin.models.restore import model_signals, scorer

        card, weights = scorer(model.card, model.weights)
        features = pool.features if whole else pool.features[rows]
        predicted, self.points = model_signals(card, weights, features)
        self.log_probs = predicted if task_of(card) == targets.CLASSES else None


def _affordable(pool: Pool, model: Model, stored: Stored) -> bool:
    """Whether the whole pool is looked at."""
    if stored.log_probs is not None and stored.embeddings is not None:
        return True
    cheap = not model.card["fitted"] or model.card["network"].get("body") in ("mlp", "linear")
    return pool.features.size <= (_CHEAP if cheap else _DEAR)


def _standardised(pool: Pool, rows: Ints) -> Floats:
    mean, deviation = moments(pool.features, pool.groups)
    return standardised(pool.features[rows], mean, scale_of(deviation), np.float32)


def _neighbours(
    query: Floats, known: Floats, labeled: Labeled, rows: Sequence[QueryRow], names: Sequence[str]
) -> list[tuple[Neighbour, ...]]:
    """Nearest labelled samples of each row, without itself (a relabelled one)."""
    near = measure.nearest_of(query, known, NEIGHBOURS + 1)
    return [
        tuple(
            Neighbour(labeled.sample_ids[j], names[j], float(distance))
            for j, distance in zip(near.index[i], near.distance[i], strict=True)
            if labeled.sample_ids[j] != row.sample_id
        )
        for i, row in enumerate(rows)
    ]


def _probabilities(log_probs: Floats | None, at: int, classes: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    if log_probs is None:
        return ()
    row = log_probs[at]
    order = np.argsort(-row, kind="stable")[:CLASSES_SHOWN]
    return tuple((classes[c], float(np.exp(row[c]))) for c in order)


def _standings(board: Scoreboard, log_probs: Floats | None, at: _Positions) -> list[list[Standing]]:
    """Of each row by score, among all candidates, and by three doubts of the model."""
    found: list[list[Standing]] = [[] for _ in at.query]

    def add(name: str, mine: FloatsN, values: FloatsN, *, sampled: bool) -> None:
        for place, value, rank in zip(found, mine, measure.ranks(values, mine), strict=True):
            # Where the sample is not among those compared with, it may come after the last of them.
            place.append(Standing(name, float(value), int(min(rank, max(1, len(values)))), len(values), sampled))

    if board.scores is not None:
        add("score", board.scores[at.pool_query], board.scores[at.all_free], sampled=False)
    if log_probs is None:
        return found
    compared = np.flatnonzero(at.all_free) if at.whole else at.free
    doubts = {"least confidence": _doubt, "entropy": entropy}
    if log_probs.shape[1] > 1:
        doubts["margin"] = negative_margin
    for name in sorted(doubts):
        add(name, doubts[name](log_probs[at.query]), doubts[name](log_probs[compared]), sampled=not at.whole)
    return found


def _doubt(log_probs: Floats) -> FloatsN:
    doubt: FloatsN = -np.expm1(log_probs.max(axis=1).astype(np.float64))
    return doubt


def _batch(
    points: Floats,
    at: _Positions,
    board: Scoreboard,
    before: FloatsN,
    copy_radius: float,
    seed: int,
    classes: tuple[str, ...],
) -> Batch:
    reference, query = points[at.reference], points[at.query]
    mine = measure.to_nearest(reference, query)
    after = np.minimum(before, mine)
    radius = float(np.median(after)) if len(after) and np.isfinite(after).all() else 0.0
    gaps = measure.apart(query)
    batch = Batch(
        mix=_mix(board, at, classes),
        before=measure.coverage(before, radius),
        after=measure.coverage(after, radius),
        radius=radius,
        copy_radius=copy_radius,
        covered=None,
        mean=None,
        overlap=None,
        gap=None,
        twins=_twins(query, copy_radius),
        measured=len(reference),
        unlabelled=at.unlabelled,
    )
    n = len(at.query)
    if n == 0 or len(at.free) < n or len(reference) == 0:
        return batch
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, n, len(at.labeled)))))
    new = measure.newly_covered(before, mine, radius)
    shares, means, overlaps, spacings = [], [], [], []
    for _ in range(DRAWS):
        drawn = points[rng.permutation(at.free)[:n]]
        theirs = measure.to_nearest(reference, drawn)
        covered = measure.newly_covered(before, theirs, radius)
        shares.append(float(covered.mean()))
        means.append(float(np.minimum(before, theirs).mean()))
        both = measure.overlap(new, covered)
        if both is not None:
            overlaps.append(both)
        spacings.append(float(measure.apart(drawn).mean()))
    return replace(
        batch,
        covered=_versus(float(new.mean()), shares),
        mean=_versus(batch.after.mean, means),
        overlap=_versus(None, overlaps) if overlaps else None,
        gap=_versus(float(gaps.mean()), spacings) if n > 1 else None,
    )


def _versus(mine: float | None, random: Sequence[float]) -> Versus:
    return Versus(mine, *spread_of(np.array(random)))


def _twins(query: Floats, radius: float) -> int:
    near = measure.within(query, query, radius, np.arange(len(query))) if radius and len(query) else []
    return sum(len(others) for others in near) // 2


def _mix(board: Scoreboard, at: _Positions, classes: tuple[str, ...]) -> tuple[Mix, ...]:
    mine = [board.predicted[position] for position in at.pool_query]
    if not mine or mine[0] is None or not classes:
        return ()
    free = np.flatnonzero(at.all_free)
    counts, own = Counter(board.predicted[position] for position in free), Counter(mine)
    return tuple(Mix(c, share(own[c], len(mine)), share(counts[c], len(free))) for c in classes)
