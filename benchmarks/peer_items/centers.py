"""Items c: greedy k-center, on friendly and on hard geometries."""

from collections.abc import Callable

import numpy as np

from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, mixture, our_select

LABELED = 1000


def stacked(inputs: Inputs) -> tuple[Array, Array, Array, Array]:
    """Candidates in front of labelled samples, positions of both, and labels with NaN for candidates."""
    free, taken = inputs["embeddings"], inputs["labeled_embeddings"]
    labels = np.concatenate([np.full(len(free), np.nan), np.zeros(len(taken))])
    return np.concatenate([free, taken]), np.arange(len(free)), np.arange(len(free), len(labels)), labels


def skactiveml(inputs: Inputs) -> Run:
    points, _, _, labels = stacked(inputs)
    pool = shims.load("skactiveml.pool")
    return lambda n: pool.k_greedy_center(points, labels, batch_size=n, random_state=0)[0]


def alipy(inputs: Inputs) -> Run:
    points, free, taken, labels = stacked(inputs)
    strategy = shims.alipy().QueryInstanceCoresetGreedy

    def run(n: int) -> Array:
        # A new object each time: a second call would go on from the first's distances.
        found = strategy(points, np.nan_to_num(labels), np.arange(len(points)))
        return np.asarray(found.select(taken, free, n))

    return run


def small_text(inputs: Inputs) -> Run:
    points, free, taken, _ = stacked(inputs)
    coresets = shims.load("small_text.query_strategies.coresets")
    return lambda n: coresets.greedy_coreset(points, free, taken, n, distance_metric="euclidean")


def plain(inputs: Inputs) -> Run:
    """Differences, not products, in double precision: one pass over the pool per pick."""
    points = inputs["embeddings"].astype(np.float64)
    labeled = inputs["labeled_embeddings"].astype(np.float64)

    def run(n: int) -> Array:
        nearest = np.full(len(points), np.inf)
        for center in labeled:
            np.minimum(nearest, ((points - center) ** 2).sum(axis=1), out=nearest)
        picks: list[int] = []
        while len(picks) < n:
            first = not picks and not len(labeled)
            gaps = ((points - points.mean(axis=0)) ** 2).sum(axis=1) if first else nearest
            picks.append(int(gaps.argmin() if first else gaps.argmax()))
            np.minimum(nearest, ((points - points[picks[-1]]) ** 2).sum(axis=1), out=nearest)
            nearest[picks] = -1.0
        return np.array(picks)

    return run


def center_item(
    key: str,
    title: str,
    points: Callable[[int], Array],
    labeled: int,
    contestants: tuple[Contestant, ...],
    *,
    rows: int,
    n: int = 1000,
    goal: Goal | None = None,
) -> Item:
    def inputs(count: int) -> dict[str, Array]:
        both = points(count + min(labeled, count))
        return {"embeddings": both[:count], "labeled_embeddings": both[count:]}

    dim = points(2).shape[1]
    return Item(
        key=key,
        title=f"k-center {title}, n={n}, L={labeled}",
        inputs=inputs,
        rows=rows,
        small_rows=300,
        n=n,
        small_n=40,
        contestants=(our_select("kcenter_greedy"), *contestants),
        work=lambda count: Work(read=count * dim * 4, flop=2.0 * count * dim * max(labeled, 1)),
        goal=goal or Goal(),
        agree="picks",
    )


def contestants(picks: tuple[int, int] | None, *libraries: str, cold: bool = False) -> tuple[Contestant, ...]:
    """By name; without labels (cold) scikit-activeml starts from a random sample."""
    every = {
        "skactiveml": Contestant("skactiveml", skactiveml, library="scikit-activeml", sizes=picks, checked=not cold),
        "alipy": Contestant("alipy", alipy, library="alipy", sizes=(12, 60)),
        "small-text": Contestant("small-text", small_text, library="small-text", sizes=(1, 2)),
        "plain": Contestant("plain float64", plain, "plain", sizes=picks),
    }
    return tuple(every[name] for name in libraries)


def uniform(count: int) -> Array:
    return np.random.default_rng(5).random(size=(count, 2), dtype=np.float32)


def heavy(count: int) -> Array:
    return np.random.default_rng(6).standard_t(1.5, size=(count, 64)).astype(np.float32)


def copies(count: int) -> Array:
    return np.ones((count, 64), dtype=np.float32)


ITEMS = (
    center_item(
        "kcenter-512",
        "5e4x512",
        lambda count: mixture(count, 512),
        LABELED,
        contestants((4, 12), "skactiveml", "alipy", "small-text"),
        rows=50_000,
        goal=Goal(25, 2, 50),
    ),
    center_item(
        "kcenter-128",
        "1e6x128",
        lambda count: mixture(count, 128),
        LABELED,
        contestants((2, 7), "skactiveml"),
        rows=1_000_000,
        goal=Goal(None, 2, 100),
    ),
    center_item(
        "kcenter-uniform",
        "uniform 5e4x2",
        uniform,
        0,
        (*contestants((20, 60), "skactiveml", cold=True), Contestant("plain float64", plain, "plain")),
        rows=50_000,
        n=300,
    ),
    center_item(
        "kcenter-heavy",
        "heavy tails 5e4x64",
        heavy,
        0,
        (*contestants((10, 30), "skactiveml", cold=True), Contestant("plain float64", plain, "plain", sizes=(10, 30))),
        rows=50_000,
        n=300,
    ),
    center_item(
        "kcenter-copies",
        "copies 5e4x64",
        copies,
        0,
        (Contestant("plain float64", plain, "plain", sizes=(10, 30)),),
        rows=50_000,
        n=300,
    ),
)
