"""Do the newest parts of the pool look like what was there before them?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.data.pool import Pool
from al_plugin.math.drift import shift
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.rounds import seeds

# Newest parts that are compared, samples on either side, and below which p a part is called different.
PARTS, SAMPLES, ALPHA = 5, 500, 0.01
# Fewer samples than this tell nothing.
_FEWEST = 20


def drift(pool: Pool, seed: int) -> dict[str, Any]:
    """The part that differs most from all parts before it, as ``drift``; nothing where none can be compared.

    ``p`` is that of the energy test on standardised features of at most 500 random samples on either side, times
    the number of parts ``compared`` (the newest five), at most 1. No label is looked at, and no round: the same
    pool says the same in every round.
    """
    names, ends = list(pool.parts), np.cumsum(list(pool.parts.values()))
    found = []
    for place in range(max(1, len(names) - PARTS), len(names)):
        before, size = int(ends[place - 1]), int(ends[place] - ends[place - 1])
        if min(before, size) < _FEWEST:
            continue
        rng = seeds.generator(seed, place, "drift")
        old, new = (
            pool.features[start + np.sort(rng.permutation(total)[:SAMPLES])]
            for start, total in ((0, before), (before, size))
        )
        mean, deviation = moments(old, pool.groups)
        scale = scale_of(deviation)
        seen = shift(standardised(new, mean, scale), standardised(old, mean, scale), rng)
        found.append((seen.p, -seen.coefficient, names[place]))
    if not found:
        return {}
    p, coefficient, part = min(found)
    return {"drift": {"part": part, "coefficient": -coefficient, "p": min(1.0, p * len(found)), "compared": len(found)}}


def differs(found: Mapping[str, Any]) -> bool:
    """Whether a part differs by more than chance makes one pool in a hundred differ."""
    return bool(found["p"] < ALPHA)


def said(found: Mapping[str, Any]) -> str:
    """One line for people."""
    numbers = f"energy coefficient {found['coefficient']:.3f}, p {found['p']:.3f}"
    if differs(found):
        return f"{found['part']} differs from the pool before it ({numbers}): look at what is new in it"
    return f"no part is seen to differ from the pool before it (smallest p: {found['part']}, {numbers})"
