"""Greedy coverage of the pool that weighs samples, or counts similarity alone."""

from typing import Annotated

from al_plugin.axes import FloatsLD, FloatsNC, FloatsND, Picks
from al_plugin.math.geometry import nearest_pair
from al_plugin.math.information import negative_margin
from al_plugin.math.submodular import cosine, covered_by, gaussian, greedy_cover, unit_rows
from al_plugin.strategies.registry import Range, strategy

# Below this width the kernel is the identity on unit rows in double precision.
_NARROWEST = 1e-6


@strategy(
    "uherding",
    reference="Bae, Noh, Sutherland (2025)",
    cost="O((L + N) N D) for the first pass, then lazily",
    use="One strategy from the first labels to many: coverage while labels are few, uncertainty later.",
    greedy=True,
)
def uherding(
    log_probs: FloatsNC,
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    *,
    sigma: Annotated[float, Range(0, None)] = 0.0,
) -> Picks:
    """Greedily the candidates that cover the uncertain candidates best under a Gaussian kernel.

    maximise Σ_x U(x) max_{s in L ∪ S} exp(-‖x - s‖² / σ²) on unit features, U = 1 - (p₍₁₎ - p₍₂₎).
    ``sigma`` 0 is the least distance between two different labelled samples, which falls as they get
    dense; 1 with fewer than two. The paper also calibrates U on held-out labels; select has none.
    Ties go to the first candidate in keyed order.
    """
    doubt = 1.0 + negative_margin(log_probs)
    units, labeled = unit_rows(frozen_embeddings), unit_rows(labeled_frozen_embeddings)
    kernel = gaussian(max(sigma or nearest_pair(labeled) or 1.0, _NARROWEST))
    picks, _ = greedy_cover(units, units, n, kernel, covered=covered_by(units, labeled, kernel), weights=doubt)
    return picks


@strategy(
    "facility_location",
    reference="Nemhauser, Wolsey, Fisher (1978); Wei, Iyer, Bilmes (2015)",
    cost="O((L + N) N D) for the first pass, then lazily",
    use="Cold start and low budgets on embeddings whose angle matters.",
    greedy=True,
)
def facility_location(frozen_embeddings: FloatsND, labeled_frozen_embeddings: FloatsLD, n: int) -> Picks:
    """Greedily the candidates to which all candidates are most similar.

    maximise Σ_x max_{s in L ∪ S} (1 + cos(x, s)) / 2; what labelled samples cover already counts as
    covered. Ties go to the first candidate in keyed order.
    """
    units = unit_rows(frozen_embeddings)
    covered = covered_by(units, unit_rows(labeled_frozen_embeddings), cosine)
    picks, _ = greedy_cover(units, units, n, cosine, covered=covered)
    return picks
