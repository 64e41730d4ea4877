"""Pool and labelled samples on a line, and the next place to look for the cut between two classes."""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsLC, FloatsN, FloatsNC, Ints, IntsL
from al_plugin.math.information import top_two


@dataclass(frozen=True)
class Line:
    """Candidates from most to least like a class, and the stretches between labelled samples.

    ``order`` (N,) is the candidate at each place. Stretch s of places ``bounds[s]`` to ``bounds[s + 1]``
    (L + 1 of them) lies between neighbouring labelled samples; ``crossed`` (L + 1,) is True where one of
    the two belongs to the class and the other does not.
    """

    order: Ints
    bounds: Ints
    crossed: np.ndarray


def one_vs_rest(log_probs: FloatsNC, label: int) -> FloatsN:
    """log p_k - max_{c≠k} log p_c for class k = ``label``, (N,); infinite where one of the two is impossible."""
    first, second = top_two(log_probs)
    own = log_probs[:, label].astype(np.float64)
    # The maximum without one class is the second best where that class is the best.
    margins: FloatsN = own - np.where(own == first, second, first)
    return margins


def line(margins: FloatsN, labeled_margins: Floats, inside: np.ndarray) -> Line:
    """The line of candidates by falling margin; ``inside`` (L,) says which labelled samples are of the class.

    Equal margins stand by position, candidates before labelled samples.
    """
    order = np.argsort(-margins, kind="stable")
    known = np.argsort(-labeled_margins, kind="stable")
    places = np.searchsorted(-margins[order], -labeled_margins[known], side="right")
    crossed = np.zeros(len(known) + 1, dtype=np.bool_)
    crossed[1:-1] = np.diff(inside[known].astype(np.int8)) != 0
    return Line(order, np.concatenate([[0], places, [len(order)]]), crossed)


def class_line(log_probs: FloatsNC, labeled_log_probs: FloatsLC, labels: IntsL, label: int) -> Line:
    """The line of one class against the rest."""
    return line(one_vs_rest(log_probs, label), one_vs_rest(labeled_log_probs, label), labels == label)


def next_place(on: Line, free: np.ndarray) -> int | None:
    """Place of the next query on a line, None where no labelled neighbours differ; ``free`` (N,) by place.

    The shortest stretch between labelled neighbours of different classes that has a free place is
    bisected: the middle of its longest run of free places. Where those stretches are used up it is the
    free place next to any of them. Ties go to the first place. Source: the shortest shortest path of
    Dasarathy, Nowak, Zhu (2015) on the line graph of Zhang, Katz-Samuels, Nowak (2022).
    """
    starts, ends = on.bounds[:-1][on.crossed], on.bounds[1:][on.crossed]
    if len(starts) == 0:
        return None
    before = np.concatenate([[0], np.cumsum(free)])
    usable = np.flatnonzero(before[ends] > before[starts])
    if len(usable):
        shortest = usable[(ends - starts)[usable].argmin()]
        return _middle(free, int(starts[shortest]), int(ends[shortest]))
    places = np.flatnonzero(free)
    return int(places[_distances(places, starts, ends).argmin()])


def _middle(free: np.ndarray, start: int, end: int) -> int:
    """Middle of the longest run of free places in [start, end), ties to the first run and the lower middle."""
    padded = np.concatenate([[False], free[start:end], [False]]).astype(np.int8)
    steps = np.diff(padded)
    first, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    longest = int((last - first).argmax())
    return start + int(first[longest] + last[longest]) // 2


def _distances(places: Ints, starts: Ints, ends: Ints) -> Ints:
    """Distance of each place to the nearest stretch [start, end); stretches are sorted and do not overlap."""
    after = np.searchsorted(starts, places, side="right")
    far = np.iinfo(np.int64).max
    ahead = np.concatenate([starts, [far]])[after] - places
    behind = places - np.concatenate([[-far // 2], ends])[after] + 1
    nearest: Ints = np.minimum(ahead, behind)
    return nearest
