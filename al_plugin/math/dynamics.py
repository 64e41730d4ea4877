"""Training dynamics as streams: forgetting events and label dispersion."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, Ints, IntsN


class ForgettingStream:
    """Forgetting events per sample, one presentation at a time, O(N) state.

    A forgetting event is a presentation classified wrongly right after one classified rightly.
    ``first_learned`` counts presentations from 0 and is -1 for a sample never classified rightly.
    A sample is unforgettable if it was learned and never forgotten. Source: Toneva et al. (2019).
    """

    def __init__(self, n_samples: int) -> None:
        self.presented: Ints = np.zeros(n_samples, dtype=np.int32)
        self.forgotten: Ints = np.zeros(n_samples, dtype=np.int32)
        self.first_learned: Ints = np.full(n_samples, -1, dtype=np.int32)
        self._was_correct = np.zeros(n_samples, dtype=np.bool_)

    def present(self, positions: IntsN, correct: np.ndarray) -> None:
        """Record one presentation of distinct samples: positions (B,), correct (B,) of bool."""
        self.forgotten[positions] += self._was_correct[positions] & ~correct
        newly = correct & (self.first_learned[positions] < 0)
        self.first_learned[positions[newly]] = self.presented[positions[newly]]
        self._was_correct[positions] = correct
        self.presented[positions] += 1

    @property
    def never_learned(self) -> np.ndarray:
        """True where no presentation was classified rightly, shape (N,)."""
        result: np.ndarray = self.first_learned < 0
        return result

    @property
    def unforgettable(self) -> np.ndarray:
        """True where learned and never forgotten, shape (N,)."""
        result: np.ndarray = ~self.never_learned & (self.forgotten == 0)
        return result


class DispersionStream:
    """Label dispersion of predictions over epochs, one epoch at a time, O(N C) state.

    d = 1 - (times the modal label was predicted) / E, range [0, 1 - 1/min(E, C)]:
    0 where every epoch agreed. ``flips`` (N,) counts changes of the predicted label from one recorded
    epoch to the next. Source: Zolfaghari Bengar, Raducanu, van de Weijer (2021).
    """

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self.epochs = 0
        self.flips: Ints = np.zeros(n_samples, dtype=np.int32)
        self._counts = np.zeros((n_samples, n_classes), dtype=np.int32)
        self._previous: Ints | None = None

    def record(self, predicted: IntsN) -> None:
        """Record one epoch's predicted classes, shape (N,)."""
        self._counts[np.arange(len(predicted)), predicted] += 1
        if self._previous is not None:
            self.flips += predicted != self._previous
        self._previous = predicted.copy()
        self.epochs += 1

    def dispersion(self) -> FloatsN:
        """Label dispersion, shape (N,); NaN before the first epoch."""
        if self.epochs == 0:
            return np.full(len(self._counts), np.nan)
        result: Floats = 1.0 - self._counts.max(axis=1) / self.epochs
        return result

    def modal_label(self) -> IntsN:
        """Most frequent class, ties to the lower class index, shape (N,)."""
        result: Ints = self._counts.argmax(axis=1)
        return result
