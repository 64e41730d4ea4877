"""Core-sets that may leave out outliers."""

from typing import Annotated

from al_plugin.axes import FloatsLD, FloatsND, Picks
from al_plugin.math.robust_center import robust_centers
from al_plugin.strategies.registry import Range, strategy

# Candidates come in keyed order, so the first ones are a uniform sample.
_SAMPLE = 2048


@strategy(
    "robust_kcenter",
    reference="Sener & Savarese (2018), algorithm 2; Charikar, Khuller, Mount, Narasimhan (2001)",
    cost="integer programs up to exact_up_to candidates; beyond, O(N n D) and O(M² D) a radius, M = max(2048, 2 n)",
    use="As kcenter_greedy, where the pool has outliers that nobody should label.",
)
def robust_kcenter(
    embeddings: FloatsND,
    labeled_embeddings: FloatsLD,
    n: int,
    *,
    outlier_share: Annotated[float, Range(0, 0.5)] = 1e-4,
    exact_up_to: Annotated[int, Range(0, 2000)] = 300,
    nodes: Annotated[int, Range(1, 1_000_000)] = 1000,
) -> Picks:
    """The batch with which all but a share of the samples lie nearest to something labelled or picked.

    minimise r over S, |S| = n, such that at most Ξ candidates x have min_{s in L ∪ S} ‖x - s‖ > r;
    Ξ = ⌊outlier_share · (N + L)⌋. Up to ``exact_up_to`` candidates by integer programs of at most ``nodes``
    nodes each (a limit in seconds would make picks depend on the machine); undecided programs leave
    the best set so far. Beyond, the better of kcenter_greedy and greedy disks, within 3 times the best
    radius on a sample of candidates. Picks come by the number of samples they cover, most first, ties to the
    first candidate in keyed order; picks that the radius does not need follow farthest first.
    """
    outliers = int(outlier_share * (len(embeddings) + len(labeled_embeddings)))
    found = robust_centers(
        embeddings,
        labeled_embeddings,
        n,
        outliers=outliers,
        exact_up_to=exact_up_to,
        sample=_SAMPLE,
        nodes=nodes,
    )
    return found.picks
