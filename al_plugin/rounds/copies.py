"""Samples of the pool that the evaluation set holds too: never queried, since training on them would flatter."""

from typing import Any

import numpy as np

from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation
from al_plugin.math.moments import moments
from al_plugin.math.near_copies import near_copies


def eval_copies(pool: Pool, evaluation: Evaluation, radius: float) -> dict[str, Any]:
    """Ids of pool samples within ``radius`` of an evaluation sample, as `select` reads them.

    The distance is the root mean square difference of features in units of the pool's deviation;
    0 finds exact copies only.
    """
    _, deviation = moments(pool.features, pool.groups)
    near = near_copies(pool.features, evaluation.features, deviation, radius)
    return {"schema": "eval_copies/1", "radius": radius, "sample_ids": [str(i) for i in pool.ids[np.flatnonzero(near)]]}
