"""The fully labelled set that campaigns are simulated on."""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np

from al_plugin import campaign
from al_plugin.axes import Ints
from al_plugin.data.pool import Pool, labels_of
from al_plugin.data.sets import Evaluation
from al_plugin.errors import DataError
from al_plugin.math.sampling import id_hashes, keyed_order, mixed_keys
from al_plugin.settings import Params

_ADD = "put parquet files with sample_id, features and label there"
PREFLIGHT = "preflight"


@dataclass(frozen=True)
class Data:
    """A pool with a label for every sample, and what is measured on.

    ``evaluation`` None: a ``share`` of the pool is set aside, anew for every seed. ``source`` is
    preflight or the folder.
    """

    pool: Pool
    labels: Ints
    classes: tuple[str, ...]
    evaluation: Evaluation | None
    share: float = 0.0
    source: str = PREFLIGHT

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in it, in hexadecimal."""
        found = sha256(repr((self.classes, self.share, self.source == PREFLIGHT, self.pool.form)).encode())
        found.update("\0".join(self.pool.ids).encode())
        arrays = [self.pool.features, self.labels]
        if self.evaluation is not None:
            arrays += [self.evaluation.features, self.evaluation.labels]
        for array in arrays:
            found.update(repr((array.shape, array.dtype.str)).encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def sizes(self) -> tuple[int, int]:
        """Samples of the pool and of the evaluation set, in each seed."""
        if self.evaluation is not None:
            return len(self.pool), len(self.evaluation.labels)
        aside = round(self.share * len(self.pool))
        return len(self.pool) - aside, aside

    def split(self, seed: int) -> tuple[Pool, Ints, Evaluation]:
        """Pool, its labels and evaluation set of one seed; the same for every seed unless a share is set aside."""
        if self.evaluation is not None:
            return replace(self.pool, parts={"part-00000": len(self.pool)}), self.labels, self.evaluation
        order = keyed_order(mixed_keys(id_hashes(self.pool.ids), seed), self.pool.ids)
        aside, rest = np.sort(order[: self.sizes()[1]]), np.sort(order[self.sizes()[1] :])
        evaluation = Evaluation(self.pool.features[aside], self.labels[aside])
        return rows_of(self.pool, rest), self.labels[rest], evaluation


def rows_of(pool: Pool, rows: Ints) -> Pool:
    """The pool of these rows alone, as one part."""
    return replace(pool, ids=pool.ids[rows], features=pool.features[rows], parts={"part-00000": len(rows)})


def preflight(params: Params) -> Data:
    """The samples that have a label in this campaign, measured on its evaluation set."""
    classes = params.campaign.classes
    labeled = campaign.read_labeled(classes)
    if len(labeled.labels) == 0:
        raise DataError(
            "this campaign has no labels yet, and a simulation needs their answers",
            change="name a labelled set: al simulate --pool FOLDER --eval-share .3, or label a round first",
        )
    pool = campaign.read_pool(params)
    evaluation = campaign.read_evaluation(params, pool)
    return Data(rows_of(pool, pool.positions(labeled.sample_ids)), labeled.labels, classes, evaluation)


def from_folders(pool_folder: str, eval_folder: str | None, share: float, params: Params) -> Data:
    """Labelled parquet parts: a pool and an evaluation set, or one folder to be split by seed."""
    classes = params.campaign.classes
    parts = campaign.parts_in(pool_folder, "pool part", _ADD, params)
    pool = campaign.pool_in(parts, params)
    labels = np.concatenate([labels_of(part.table, classes, part.where) for part in parts.values()])
    if eval_folder is None:
        return Data(pool, labels, classes, None, share, pool_folder)
    held = campaign.parts_in(eval_folder, "evaluation part", _ADD, params)
    return Data(pool, labels, classes, campaign.evaluation_in(held, classes, pool), source=pool_folder)
