"""Copies: pool samples that the evaluation set holds too are never queried, since training on them would flatter;
of those that are one another's copies a query asks for one.
"""

from typing import Any

import numpy as np

from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation
from al_plugin.math.distinct import copy_groups
from al_plugin.math.moments import moments
from al_plugin.math.near_copies import near_copies
from al_plugin.schemas import schema

# A larger share of the pool is no accident: samples of such data (a few categories) are alike by nature.
MOST = 0.1


def eval_copies(pool: Pool, evaluation: Evaluation, radius: float) -> dict[str, Any]:
    """Ids of pool samples within ``radius`` of an evaluation sample, as `select` reads them.

    The distance is the root mean square difference of features in units of the pool's deviation;
    0 finds exact copies only. ``found`` counts them; where they are more than a tenth of the pool
    none is kept back.
    """
    # Exact copies are so in any units.
    deviation = moments(pool.features, pool.groups)[1] if radius else np.ones(pool.features.shape[1])
    near = np.flatnonzero(near_copies(pool.features, evaluation.features, deviation, radius))
    kept_back = [str(sample) for sample in pool.ids[near]] if len(near) <= MOST * len(pool) else []
    return {"schema": schema("eval_copies"), "radius": radius, "found": len(near), "sample_ids": kept_back}


def pool_copies(pool: Pool) -> dict[str, list[list[str]]]:
    """Ids of pool samples with equal features, by group, as ``within``; nothing where there are none."""
    groups = copy_groups(pool.features)
    found: dict[int, list[str]] = {}
    for position in np.flatnonzero(groups >= 0):
        found.setdefault(int(groups[position]), []).append(str(pool.ids[position]))
    return {"within": list(found.values())} if found else {}
