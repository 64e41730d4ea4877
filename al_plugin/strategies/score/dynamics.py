"""What training itself says of the pool."""

import numpy as np

from al_plugin.axes import Floats, FloatsN
from al_plugin.strategies.registry import strategy


@strategy(
    "label_dispersion",
    reference="Zolfaghari Bengar, Raducanu, van de Weijer (2021)",
    cost="O(N); training records one pass over the pool per epoch",
    use="Deep models retrained each round: how unstable a prediction was over the epochs.",
)
def label_dispersion(pool_dispersion: FloatsN) -> FloatsN:
    """High where the predicted label kept changing while the model was trained.

    s = 1 - (epochs that predicted the modal label) / E. Range [0, 1 - 1/min(E, C)].
    """
    dispersion: Floats = pool_dispersion.copy()
    return dispersion


@strategy(
    "forgetting",
    reference="after Toneva et al. (2019), with predictions in place of labels",
    cost="O(N); training records one pass over the pool per epoch",
    use="Deep models retrained each round, with enough recorded epochs.",
)
def forgetting(pool_flips: FloatsN) -> FloatsN:
    """High where the predicted label changed often from one recorded epoch to the next.

    s = Σ_e [ŷ_e ≠ ŷ_{e-1}]. Range [0, E - 1], whole numbers: ties are many. The forgetting events of the
    paper need the true label, which the pool does not have.
    """
    flips: Floats = pool_flips.astype(np.float64)
    return flips
