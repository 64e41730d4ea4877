"""The best scores among those that a rule lets compete."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsN, FloatsND, Picks
from al_plugin.math.neighbours import nearest
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "seals",
    reference="Coleman, Chou, Katz-Samuels, Culatana, Bailis, Berg, Nowak, Sumbaly, Zaharia, Yalniz (2022)",
    cost="O(L N D + N log N); scores of the whole pool are computed by the stage before",
    use="Rare classes with a few positive labels: neighbours of what is labelled.",
    greedy=True,
    expected_failures={"every_signal_matters": "the 48 candidates of the check are all among 100 neighbours"},
)
def seals(
    scores: FloatsN,
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    *,
    neighbours: Annotated[int, Range(1, None)] = 100,
) -> Picks:
    """The best scores among the nearest candidates of every labelled sample.

    Only C = ∪_{l in L} kNN(l), k = ``neighbours``, competes, best score first; where it holds fewer than
    n the best of the rest follow. Without labels it is ``top``. Ties go to the first candidate in keyed
    order. The paper also scores C only; here the whole pool has scores, so the saving is not had, the
    restriction is.
    """
    ranked = np.argsort(-scores, kind="stable")
    if len(labeled_frozen_embeddings) == 0:
        return ranked[:n]
    near = np.zeros(len(scores), dtype=np.bool_)
    near[nearest(labeled_frozen_embeddings, frozen_embeddings, min(neighbours, len(scores)))] = True
    return np.concatenate([ranked[near[ranked]], ranked[~near[ranked]]])[:n]
