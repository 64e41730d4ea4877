"""What training itself says of the pool."""

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
