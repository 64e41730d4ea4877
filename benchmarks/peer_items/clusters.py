"""Items f and g: weighted k-means, TypiClust, ProbCover, MaxHerding, facility location."""

from typing import Any

import numpy as np

from al_plugin.math.clustering import kmeans
from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, mixture, our_select

CLUSTERS = 500


def weighted(count: int) -> dict[str, Array]:
    return {"points": mixture(count, 512), "weights": np.random.default_rng(11).random(count) + 0.01}


def clusters(inputs: Inputs) -> int:
    return min(CLUSTERS, len(inputs["points"]) // 10)


def kmeans_ours(inputs: Inputs) -> Run:
    points, weights, k = inputs["points"], inputs["weights"], clusters(inputs)
    return lambda n: kmeans(points, k, np.random.default_rng(0), weights=weights, iterations=n)[1]


def kmeans_sklearn(init: str) -> Any:
    def prepare(inputs: Inputs) -> Run:
        found = shims.load("sklearn.cluster").KMeans

        def run(n: int) -> Array:
            model = found(clusters(inputs), init=init, n_init=1, max_iter=n, tol=0, algorithm="lloyd", random_state=0)
            centers: Array = model.fit(inputs["points"], sample_weight=inputs["weights"]).cluster_centers_
            return centers

        return run

    return prepare


def kmeans_faiss(inputs: Inputs) -> Run:
    faiss: Any = shims.load("faiss")
    weights = inputs["weights"].astype(np.float32)

    def run(n: int) -> Array:
        model = faiss.Kmeans(inputs["points"].shape[1], clusters(inputs), niter=n, seed=1, min_points_per_centroid=1)
        model.train(inputs["points"], weights=weights)
        return np.asarray(model.centroids)

    return run


def minus_inertia(inputs: Inputs, centers: Array) -> float:
    """-Σ w ‖x - c‖², so that more is better."""
    points, total = inputs["points"], 0.0
    squares = (centers.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(points), 4096):
        rows = points[start : start + 4096].astype(np.float64)
        gaps = (rows**2).sum(axis=1) + (squares - 2 * rows @ centers.T).min(axis=1)
        total += float(gaps @ inputs["weights"][start : start + 4096])
    return -total


def kmeans_item(key: str, title: str, *, per_step: bool) -> Item:
    goal = Goal(1 / 1.1, 1.5, 50) if per_step else Goal()
    sizes = (2, 6) if per_step else None
    return Item(
        key=key,
        title=f"weighted k-means 5e4x512, k={CLUSTERS}, {title}",
        inputs=weighted,
        rows=50_000,
        small_rows=400,
        n=1 if per_step else 10,
        small_n=10,
        contestants=(
            Contestant("ours", kmeans_ours, kind="ours", sizes=sizes),
            Contestant("faiss", kmeans_faiss, library="faiss", sizes=sizes, note="random start"),
            Contestant("sklearn", kmeans_sklearn("random" if per_step else "k-means++"), sizes=sizes),
        ),
        work=lambda count: Work(flop=2.0 * count * 512 * CLUSTERS * (1 if per_step else 10)),
        goal=goal,
        agree="none" if per_step else "larger",
        quality=None if per_step else minus_inertia,
        slack=0.15,  # sklearn tries several starts for each center
    )


def frozen(count: int) -> dict[str, Array]:
    points = mixture(count, 128)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    pairs = points[: count // 2] - points[count // 2 : 2 * (count // 2)]
    return {
        "frozen_embeddings": points,
        "labeled_frozen_embeddings": points[:0],
        "embeddings": points,
        "scores": np.arange(count, 0, -1.0),
        "radius": np.array(np.quantile(np.linalg.norm(pairs, axis=1), 0.02)),
    }


def pool_strategy(name: str, **options: Any) -> Any:
    """A scikit-activeml strategy on the frozen embeddings, without labels."""

    def prepare(inputs: Inputs) -> Run:
        pool = shims.load("skactiveml.pool")
        points = inputs["frozen_embeddings"]
        unlabeled = np.full(len(points), np.nan)
        extra = {"deltas": [float(inputs["radius"])]} if name == "ProbCover" else {}
        build = getattr(pool, name)
        return lambda n: build(random_state=0, **options, **extra).query(points, unlabeled, batch_size=n)

    return prepare


def prob_cover_ours(inputs: Inputs) -> Run:
    return our_select("prob_cover", delta=float(inputs["radius"])).prepare(inputs)


def covered(inputs: Inputs, picks: Array) -> float:
    """Samples within the radius of a pick."""
    points = inputs["frozen_embeddings"].astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for center in points[picks]:
        np.minimum(nearest, np.linalg.norm(points - center, axis=1), out=nearest)
    return float((nearest < float(inputs["radius"])).sum())


def apricot(inputs: Inputs) -> Run:
    selection = shims.load("apricot").FacilityLocationSelection
    points = inputs["embeddings"].astype(np.float64)

    def run(n: int) -> Array:
        similarity = (1 + points @ points.T) / 2
        return np.asarray(selection(n, metric="precomputed", optimizer="lazy").fit(similarity).ranking)

    return run


def naive_cover(shortlist: int) -> Any:
    def prepare(inputs: Inputs) -> Run:
        points = inputs["embeddings"]

        def run(n: int) -> Array:
            similarity = (1 + points[: max(shortlist, n)] @ points.T) / 2
            best = np.zeros(len(points), dtype=np.float32)
            picks: list[int] = []
            while len(picks) < n:
                gains = np.array([np.maximum(row, best).sum(dtype=np.float64) for row in similarity])
                gains[picks] = -np.inf
                picks.append(int(gains.argmax()))
                np.maximum(best, similarity[picks[-1]], out=best)
            return np.array(picks)

        return run

    return prepare


def facility_value(inputs: Inputs, picks: Array) -> float:
    points = inputs["embeddings"].astype(np.float64)
    return float(((1 + points @ points[picks].T) / 2).max(axis=1).sum())


ITEMS = (
    kmeans_item("kmeans-step", "one iteration", per_step=True),
    kmeans_item("kmeans", "start and 10 iterations", per_step=False),
    Item(
        key="typiclust",
        title="TypiClust 2e4x128, n=100",
        inputs=frozen,
        rows=20_000,
        small_rows=300,
        n=100,
        small_n=20,
        contestants=(
            our_select("typiclust"),
            Contestant("skactiveml", pool_strategy("TypiClust"), library="scikit-activeml"),
        ),
        work=lambda count: Work(flop=2.0 * count * 128 * 100),
        goal=Goal(3, None, 50),
        agree="batch",
    ),
    Item(
        key="prob-cover",
        title="ProbCover 5e3x128, n=50",
        inputs=frozen,
        rows=5000,
        small_rows=300,
        n=50,
        small_n=15,
        contestants=(
            Contestant("ours", prob_cover_ours, kind="ours"),
            Contestant("skactiveml", pool_strategy("ProbCover", n_classes=10), library="scikit-activeml"),
        ),
        work=lambda count: Work(flop=2.0 * count * count * 128),
        goal=Goal(4, None, 50),
        agree="larger",
        quality=covered,
    ),
    Item(
        key="max-herding",
        title="MaxHerding 5e3x128, n=50",
        inputs=frozen,
        rows=5000,
        small_rows=300,
        n=50,
        small_n=15,
        contestants=(
            our_select("max_herding", sigma=1.0),
            Contestant(
                "skactiveml", pool_strategy("MaxHerding", metric_dict={"gamma": 1.0}), library="scikit-activeml"
            ),
        ),
        work=lambda count: Work(flop=2.0 * count * count * 128, logs=1.0 * count * count),
        goal=Goal(3, None, 100),
        agree="picks",
    ),
    Item(
        key="max-cover-square",
        title="max-cover K=N=2000, n=50",
        inputs=frozen,
        rows=2000,
        small_rows=300,
        n=50,
        small_n=15,
        contestants=(
            our_select("max_cover", factor=1e6),
            Contestant("apricot", apricot, library="apricot"),
            Contestant("naive greedy", naive_cover(10**6), "plain"),
        ),
        work=lambda count: Work(flop=2.0 * count * count * 128),
        goal=Goal(10, None, 100),
        agree="picks",
    ),
    Item(
        key="max-cover",
        title="max-cover K=2000, N=5e4, D=128, n=100",
        inputs=frozen,
        rows=50_000,
        small_rows=400,
        n=100,
        small_n=15,
        contestants=(
            our_select("max_cover", factor=20.0),
            Contestant("naive greedy", naive_cover(2000), "plain", sizes=(3, 9)),
        ),
        work=lambda count: Work(flop=2.0 * 2000 * count * 128),
        goal=Goal(None, None, 500),
        agree="larger",
        quality=facility_value,
    ),
)
