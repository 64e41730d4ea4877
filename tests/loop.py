"""A whole campaign in one process, through the same functions as the stages."""

import numpy as np

from al_plugin.config import Params, read_params
from al_plugin.data.digits import CLASSES
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation, Inputs, Labeled, Model, Scoreboard
from al_plugin.math.sampling import id_hashes, keyed_order, mixed_keys
from al_plugin.rounds import seeds
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.select import Asked, select
from al_plugin.rounds.train import train
from al_plugin.strategies import recipes, registry


def digits_split(seed: int) -> tuple[Pool, np.ndarray, Evaluation]:
    """Pool (1,198), its labels, and evaluation set (599) of digits, split by ``seed``."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    features, labels = features[order].astype(np.float32), labels[order].astype(np.int64)
    ids = np.array([f"digit-{i:04d}" for i in order], dtype=object)
    pool = Pool(ids[599:], features[599:], {"part-00000": len(ids) - 599})
    return pool, labels[599:], Evaluation(features[:599], labels[:599])


def params_of(recipe: str, seed: int, n: int, **train_settings: float) -> Params:
    settings = "".join(f", {key}: {value}" for key, value in train_settings.items())
    quoted = ", ".join(f'"{c}"' for c in CLASSES)
    text = (
        f"campaign: {{name: t, classes: [{quoted}], recipe: {recipe}, seed: {seed}}}\n"
        f"train: {{dynamics_every: 0{settings}}}\n"
        f"select: {{n: {n}, random_share: 0}}\n"
    )
    return read_params(text.encode())


def one_round(
    pool: Pool, truth: np.ndarray, evaluation: Evaluation, labeled: list[int], params: Params, number: int
) -> tuple[float, list[int]]:
    """Accuracy of the model on ``labeled`` positions, and the positions selected next."""
    campaign = params.campaign
    chosen_labels = Labeled([str(pool.ids[i]) for i in labeled], truth[labeled])
    triple = recipes.resolve(campaign.recipe, params.overrides(), chosen_labels.per_class(10))
    by_train, by_score, by_select = (registry.load(s, getattr(triple, s)) for s in ("train", "score", "select"))
    task = params.train.settings() | {"threads": 1, "seed": seeds.number(campaign.seed, number, "train")}
    trained = train(pool, chosen_labels, evaluation, campaign.classes, by_train, task, {}, number)
    model = Model(trained.card, trained.weights)
    scored = score(model, Inputs(pool, chosen_labels), Sampling(campaign.seed), by_score, by_select, {})
    part = scored.tables["part-00000"]
    values = part.column("score")
    board = Scoreboard(
        pool.ids,
        None if values.null_count else values.to_numpy(),
        part.column("predicted").to_pylist(),
        part.column("confidence").to_pylist(),
    )
    asked = Asked(params.select.n, params.select.random_share, 1, number, campaign.seed)
    chosen = select(
        board,
        scored.signals["part-00000"],
        chosen_labels,
        set(chosen_labels.sample_ids),
        by_select,
        {},
        asked,
        triple.reason,
    )
    picked = pool.positions([row.sample_id for row in chosen.rows]).tolist()
    return trained.metrics["eval"]["accuracy"], picked


def accuracies(recipe: str, seed: int, *, start: int, n: int, rounds: int, **train_settings: float) -> list[float]:
    """Accuracy after each round, starting from ``start`` random labels shared by all recipes."""
    pool, truth, evaluation = digits_split(seed)
    keys = mixed_keys(id_hashes(pool.ids), seed)
    labeled = [int(i) for i in keyed_order(keys, pool.ids)[:start]]
    params = params_of(recipe, seed, n, **train_settings)
    curve = []
    for number in range(1, rounds + 1):
        accuracy, picked = one_round(pool, truth, evaluation, labeled, params, number)
        curve.append(accuracy)
        labeled += picked
    return curve


def aubc(curve: list[float]) -> float:
    """Normalised area under the curve over equally spaced budgets, the first point included."""
    return float(np.trapezoid(curve) / (len(curve) - 1))
