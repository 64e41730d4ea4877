"""Settings of a campaign: one frozen object for each section of params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from al_plugin import targets
from al_plugin.strategies import recipes, registry

NETWORKS = ("auto", "mlp", "linear", "cnn")
# Stopping criteria with the threshold of the literature where it names one; a budget has none.
CRITERIA: Mapping[str, float | None] = {
    "stabilising_predictions": 0.99,
    "delta_f": 0.05,
    "classification_change": 0.0,
    "overall_uncertainty": 0.05,
    "error_stability": 0.1,
    "plateau": 0.005,
    "labels": None,
    "money": None,
}


@dataclass(frozen=True)
class Campaign:
    """What the whole campaign shares.

    ``classes`` are the allowed labels as strings, none under task regression; ``task``: classes (one label
    a sample), multilabel (a set of them) or regression (a number). ``threads`` is part of the result,
    ``plugin_version`` is the version of al_plugin that the campaign is computed with.
    """

    name: str
    classes: tuple[str, ...]
    task: str = targets.CLASSES
    experiment: str = "al"
    recipe: str = "auto"
    seed: int = 0
    threads: int = 1
    plugin_version: str = ""

    @property
    def targets(self) -> targets.Targets:
        """How its answers are spelled."""
        return targets.of(self.task, self.classes)


@dataclass(frozen=True)
class Data:
    """How samples become numbers: images from files ``image_size`` pixels square, texts ``text_features`` n-grams.

    ``encoder`` null, or a frozen network that turns texts or images into embeddings. Pool samples
    within ``copy_radius`` of an evaluation sample are never asked.
    """

    encoder: str | None = None
    image_size: int = 32
    text_features: int = 4096
    copy_radius: float = 0.0


@dataclass(frozen=True)
class Merge:
    """How votes become labels."""

    strategy: str = "majority"
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Train:
    """How the model is fitted, whatever the method. ``strategy`` null: the recipe's.

    ``network``: auto (cnn for images, mlp otherwise), mlp, linear, cnn, or module:factory of the
    repository; ``augment``: changes of images in training. ``dynamics_every`` 0: never. ``warmup`` and
    ``holdout`` are shares, of the training and of the labelled set; ``clip_norm`` and ``patience``
    (epochs) 0: off. ``warm_start``: shrink and perturb the model in data/start, null: fresh weights.
    ``calibrate`` fits a temperature on the held-out samples. ``device``: cpu, cuda, mps
    or auto; ``precision``: 32, bf16 or 16. ``checkpoint_every`` seconds, 0: never.
    """

    strategy: str | None = None
    network: str = "auto"
    augment: str = "none"
    epochs: int = 30
    batch_size: int = 32
    lr: float | None = None
    weight_decay: float = 0.01
    dynamics_every: int = 1
    class_weights: str = "none"
    schedule: str = "constant"
    warmup: float = 0.0
    clip_norm: float = 0.0
    holdout: float = 0.0
    patience: int = 0
    calibrate: bool = False
    warm_start: Mapping[str, float] | None = None
    device: str = "cpu"
    precision: str = "32"
    devices: int = 1
    checkpoint_every: float = 60.0
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """What decides the result for every training method, by name; the model to start from stands beside it."""
        beside = ("strategy", "warm_start", "checkpoint_every", "knobs")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in beside}

    def needs_fabric(self) -> bool:
        """Whether the training is on more than this process's CPU in float32."""
        return (self.device, self.precision, self.devices) != ("cpu", "32", 1)


@dataclass(frozen=True)
class Score:
    """How the pool is scored. ``strategy`` null: the recipe's.

    ``posterior`` (dropout, laplace) and ``passes`` (T) say where posterior samples come from,
    ``precision`` is the prior's under laplace; ``targets`` inputs are drawn from folder ``target``
    for strategies that ask what the model will meet.
    """

    strategy: str | None = None
    passes: int = 20
    posterior: str = "dropout"
    precision: float = 1.0
    target: str = "data/pool"
    targets: int = 100
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Select:
    """What is asked next: ``n`` samples, of which a share is drawn at random first.

    ``relabel``: labelled samples compete too, for another annotator's answer. ``budget``: money a query
    may cost by the pool's column cost, null for any; ``top`` then takes the best score per cost
    (``budget_rule`` ratio) or the best set (knapsack), other strategies go on as long as it lasts.
    """

    strategy: str | None = None
    n: int = 50
    random_share: float = 0.1
    annotators: int = 1
    relabel: bool = False
    budget: float | None = None
    budget_rule: str = "ratio"
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tracking:
    """MLflow. ``uri`` null: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db at the root."""

    uri: str | None = None
    required: bool = False
    register: bool = True


@dataclass(frozen=True)
class Stop:
    """When `al status` says stop: ``criteria`` with their thresholds, ``any`` or ``all`` of them.

    ``window``: consecutive pairs of models a criterion looks at; ``min_rounds``: answered rounds before
    which only a budget says stop.
    """

    criteria: Mapping[str, float] = field(default_factory=lambda: {"stabilising_predictions": 0.99})
    combine: str = "any"
    window: int = 3
    min_rounds: int = 3


@dataclass(frozen=True)
class Gate:
    """What a round must hold before `al ci round` asks people for more; null: anything.

    ``metric`` on the evaluation set may be worse than the champion's by ``max_drop`` at most; the answers
    given and asked for stay within ``budget``.
    """

    metric: str = "accuracy"
    max_drop: float | None = None
    budget: int | None = None


@dataclass(frozen=True)
class Params:
    """All sections of params.yaml."""

    campaign: Campaign
    data: Data
    merge: Merge
    train: Train
    score: Score
    select: Select
    tracking: Tracking
    stop: Stop
    gate: Gate

    def knobs_of(self, strategy: registry.Strategy) -> dict[str, Any]:
        """The checked knobs that params.yaml sets for a strategy."""
        section = getattr(self, strategy.stage)
        return registry.check_knobs(strategy, section.knobs.get(strategy.name, {}))

    def overrides(self) -> dict[str, str | None]:
        """The strategies that params.yaml names beside the recipe."""
        return {"train": self.train.strategy, "score": self.score.strategy, "select": self.select.strategy}

    def triple(self, labels_per_class: Sequence[int]) -> recipes.Triple:
        """The strategies of a round with so many labels; see ``recipes.resolve``."""
        return recipes.resolve(self.campaign.recipe, self.overrides(), labels_per_class, self.campaign.task)
