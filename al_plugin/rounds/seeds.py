"""One root seed, one independent stream per round and purpose."""

import numpy as np

_PURPOSES = (
    "train",
    "order",
    "select",
    "random_share",
    "scores",
    "posterior",
    "targets",
    "output_deviations",
    "dropped_labels",
    "word_gradients",
    "drift",
)


def child(root: int, round_number: int, purpose: str) -> np.random.SeedSequence:
    """The seed sequence of a purpose in a round; purposes and rounds never share a stream."""
    return np.random.SeedSequence([root, round_number, _PURPOSES.index(purpose)])


def number(root: int, round_number: int, purpose: str) -> int:
    """A 63-bit integer from that sequence, for generators that take integers."""
    return int(child(root, round_number, purpose).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(root: int, round_number: int, purpose: str) -> np.random.Generator:
    """A NumPy generator (PCG64) on that sequence."""
    return np.random.Generator(np.random.PCG64(child(root, round_number, purpose)))
