"""The control arm."""

from al_plugin.axes import FloatsN, KeysN
from al_plugin.math.sampling import unit_interval
from al_plugin.strategies.registry import strategy


@strategy(
    "random",
    reference="the control arm of every comparison",
    cost="O(N)",
    use="The control, and the fallback where active learning does not pay.",
)
def random(sample_keys: KeysN) -> FloatsN:
    """A uniform number per sample, the same whatever else is in the pool.

    s = key / 2⁶⁴ with a 64-bit key of sample id, seed and round. Range [0, 1).
    """
    return unit_interval(sample_keys)
