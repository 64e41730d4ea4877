"""What is simulated: arms, seeds, budgets. And where each seed's randomness comes from."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from al_plugin.errors import AlError, ParamsError
from al_plugin.settings import Params
from al_plugin.strategies import recipes, registry

REFERENCE = "random"
METRICS = ("accuracy", "balanced_accuracy")
_STAGES = ("train", "score", "select")
# Labels of every class are counted as there when an arm is checked: `auto` may then be any of its recipes.
_SEEN = recipes.COLD_START_LABELS_PER_CLASS


@dataclass(frozen=True)
class Arm:
    """One way to choose: a recipe under a name of its own, which its random numbers come from."""

    name: str
    recipe: str

    def triple(self, labels_per_class: list[int]) -> recipes.Triple:
        """The strategies of a round with so many labels of each class."""
        if "+" in self.recipe:
            train, score, select = self.recipe.split("+")
            return recipes.Triple(train, score, select, self.recipe)
        return recipes.resolve(self.recipe, {}, labels_per_class)

    def strategies(self, labels_per_class: list[int]) -> list[registry.Strategy]:
        """Train, score and select strategy of such a round."""
        triple = self.triple(labels_per_class)
        return [registry.load(stage, getattr(triple, stage)) for stage in _STAGES]


@dataclass(frozen=True)
class Plan:
    """``seeds`` runs per arm: ``start`` labels at first, then ``rounds`` queries of ``n``.

    ``balanced``: the first labels are as many of each class as possible. ``root`` is the seed of seeds.
    """

    arms: tuple[Arm, ...]
    seeds: int
    start: int
    n: int
    rounds: int
    root: int = 0
    balanced: bool = False

    @property
    def end(self) -> int:
        """Labels after the last query."""
        return self.start + self.n * self.rounds

    @property
    def budgets(self) -> list[int]:
        """Numbers of labels that the model is measured at; round 0 has none where ``start`` is 0."""
        return [labels for labels in range(self.start, self.end + 1, self.n) if labels]


@dataclass(frozen=True)
class Seeds:
    """The seeds of one run: all but ``strategy`` are shared by the arms."""

    split: int
    start: int
    model: int
    strategy: int


def fitted_plan(pool: int, params: Params, *, seeds: int, start: int | None, n: int | None, rounds: int | None) -> Plan:
    """A plan without arms for a pool of so many labels, or ParamsError.

    What is not given: two first labels per class, at most a fifth of the pool; ``select.n`` or so much less
    that ten queries fit into half of the pool (where all of it is labelled every arm is the same); up to 15 rounds.
    """
    start = max(1, min(2 * len(params.campaign.classes), pool // 5)) if start is None else start
    left = max(1, pool // 2 - start)
    n = min(params.select.n, max(1, left // 10)) if n is None else n
    if min(seeds, n) < 1 or (rounds is not None and rounds < 1):
        asked = f"asked for {seeds} seeds and {'' if rounds is None else rounds} rounds of {n}"
        raise ParamsError(asked, change="ask for at least one seed, one round and one label per round")
    rounds = min(15, max(1, left // n)) if rounds is None else rounds
    plan = Plan((), seeds, start, n, rounds, params.campaign.seed)
    if plan.end > pool:
        raise ParamsError(
            f"asked for {start} first labels and {rounds} rounds of {n}, {plan.end} in all; the pool has {pool} labels",
            change="lower --start, --n or --rounds, or give it more labels",
        )
    return plan


def seeds_of(root: int, number: int, arm: Arm) -> Seeds:
    """Children of one root: split, first labels and training by seed number, strategies by arm besides."""
    children = np.random.SeedSequence(root, spawn_key=(number,)).spawn(3)
    digest = int.from_bytes(blake2b(arm.name.encode(), digest_size=4).digest(), "little")
    own = np.random.SeedSequence(root, spawn_key=(number, 3, digest))
    return Seeds(*(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in (*children, own)))


def arms_of(names: Iterable[str], params: Params, *, start: int) -> tuple[Arm, ...]:
    """Arms by name, the reference first, or ParamsError / StrategyError before anything runs.

    A name is a recipe or TRAIN+SCORE+SELECT. Recipes and strategies must exist, fit one another, take the
    knobs of params.yaml, and, with no labels at first, choose without a model.
    """
    ordered = dict.fromkeys([REFERENCE, *(name.strip() for name in names if name.strip())])
    arms = tuple(Arm(name, name) for name in ordered)
    for arm in arms:
        try:
            _check(arm, params, start)
        except AlError as error:
            raise type(error)(f"arm {arm.name!r}: {error.found}", change=error.change) from error
    return arms


def _check(arm: Arm, params: Params, start: int) -> None:
    parts = arm.recipe.split("+")
    if "+" in arm.recipe and len(parts) != 3:
        raise ParamsError(
            f"it has {len(parts)} parts", change="write a recipe, or TRAIN+SCORE+SELECT such as single+margin+top"
        )
    classes = len(params.campaign.classes)
    regimes = [[_SEEN] * classes, [0] * classes]
    for fitted, counts in zip((True, start > 0), regimes, strict=True):
        chosen = arm.strategies(counts)
        recipes.check_pairing(*chosen, fitted=fitted)
        for strategy in chosen:
            params.knobs_of(strategy)
