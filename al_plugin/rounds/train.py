"""Train: from the labelled set to weights, a model card, metrics and training dynamics."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import targets
from al_plugin.axes import Floats, Ints
from al_plugin.data.arrow import null_column, number_column, string_column
from al_plugin.data.forms.form import to_json
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation, Labeled
from al_plugin.math.dynamics import ForgettingStream
from al_plugin.math.temperature import tempered
from al_plugin.models.restore import model_signals
from al_plugin.models.task import Fitted, Start
from al_plugin.rounds.calibrate import calibrated
from al_plugin.rounds.evaluate import MEASURES, evaluate
from al_plugin.rounds.task import Aside, beside, held_out, task_of
from al_plugin.schemas import schema
from al_plugin.signals import SIGNALS
from al_plugin.strategies.registry import Strategy

FORGETTING = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.string()),
        ("presentations", pa.int32()),
        ("forgetting_events", pa.int32()),
        ("first_learned", pa.int32()),
        ("never_learned", pa.bool_()),
        ("unforgettable", pa.bool_()),
    ],
    metadata={"al.schema": schema("forgetting")},
)
# Columns named like a signal are that signal, null where the training method does not give it.
POOL_DYNAMICS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("modal_label", pa.string()),
        ("epochs", pa.int32()),
        ("pool_dispersion", pa.float64()),
        ("pool_flips", pa.float64()),
        ("predicted_loss", pa.float64()),
        ("discriminator", pa.float64()),
    ],
    metadata={"al.schema": schema("pool_dynamics")},
)


@dataclass(frozen=True)
class Trained:
    """The outputs of train. ``confusion``: actual and predicted class of each evaluation sample."""

    weights: Mapping[str, np.ndarray]
    card: dict[str, Any]
    metrics: dict[str, Any]
    curve: Mapping[str, list[float]]
    forgetting: pa.Table
    dynamics: pa.Table
    confusion: Mapping[str, list[str]]


CURVE_COLUMNS = ("epoch", "loss", "train_accuracy")


def train(
    pool: Pool,
    labeled: Labeled,
    evaluation: Evaluation,
    classes: tuple[str, ...],
    strategy: Strategy,
    task: Mapping[str, Any],
    knobs: Mapping[str, Any],
    round_number: int,
    aside: Aside | None = None,
    start: Start | None = None,
    kind: str = targets.CLASSES,
) -> Trained:
    """Fit the strategy on the labelled samples and measure it on the evaluation set.

    ``task`` holds the settings of ``TrainingTask`` beside the data, those of ``Options``, ``network``,
    ``augment``, and ``holdout`` and ``calibrate`` where they are set. Without labels the card says
    ``fitted: false``, weights are empty and metrics null. One class alone cannot be learned, but
    is fitted all the same: the next query brings others. ``start`` is the earlier model to start from,
    ``kind`` is ``campaign.task``.
    """
    asking = targets.of(kind, classes)
    if len(labeled.labels) == 0:
        return _unfitted(classes, strategy, round_number, asking)
    held = held_out(labeled.labels, task.get("holdout", 0.0), task["seed"])
    wanted = replace(task_of(pool, labeled, held, asking.outputs, task, round_number, kind), start=start)
    fitted: Fitted = strategy.function(beside(wanted, aside or Aside(), strategy, knobs), **knobs)
    card = _card(classes, strategy, round_number, fitted=True, network=dict(fitted.network))
    if start is not None:
        card["start"] = {"round": start.round, "shrink": start.shrink, "perturb": start.perturb}
    if pool.form is not None:
        card["form"] = to_json(pool.form)
    log_probs, _ = model_signals(card, fitted.weights, evaluation.features)
    metrics: dict[str, Any] = {
        "schema": schema("train_metrics"),
        "round": round_number,
        "labels": len(labeled.labels),
        "eval": MEASURES[kind](log_probs, evaluation.labels),
        "final_loss": fitted.curve["loss"][-1],
        "dynamics": _summary(fitted),
        "pseudo_labels": len(fitted.pseudo_positions),
        **fitted.metrics,
    }
    if len(held):
        metrics |= {"held_out": len(held), "epochs": len(fitted.curve["loss"])}
    if task.get("calibrate", False):
        card = calibrated(card, fitted, wanted)
        log_probs = tempered(log_probs, card["calibration_temperature"])  # the order of classes stays
        before, after = metrics["eval"], evaluate(log_probs, evaluation.labels)
        changes = {f"{n}_{when}": of[n] for n in ("nll", "ece") for when, of in (("before", before), ("after", after))}
        metrics |= {"eval": after, "calibration": {"temperature": card["calibration_temperature"], **changes}}
    return Trained(
        fitted.weights,
        card,
        metrics,
        fitted.curve,
        _forgetting(_of_all(fitted.forgetting, held, len(labeled.labels)), labeled, classes),
        _pool_dynamics(fitted, pool, classes),
        _confusion(kind, classes, evaluation, log_probs),
    )


def _of_all(stream: ForgettingStream, held: Ints, labels: int) -> ForgettingStream:
    """The stream over all labelled samples: held-out ones were never presented."""
    if len(held) == 0:
        return stream
    trained = np.setdiff1d(np.arange(labels), held)
    whole = ForgettingStream(labels)
    whole.presented[trained] = stream.presented
    whole.forgotten[trained] = stream.forgotten
    whole.first_learned[trained] = stream.first_learned
    return whole


def _card(
    classes: tuple[str, ...], strategy: Strategy, round_number: int, *, fitted: bool, network: dict[str, Any]
) -> dict[str, Any]:
    kind = network.get("task", targets.CLASSES)
    return {
        "schema": schema("card"),
        "fitted": fitted,
        "round": round_number,
        "strategy": strategy.name,
        "signals": [name for name in strategy.card.provides if SIGNALS[name].under(kind)] if fitted else [],
        "classes": list(classes),
        "network": network,
    }


def _confusion(kind: str, classes: tuple[str, ...], evaluation: Evaluation, log_probs: Floats) -> dict[str, list[str]]:
    """Actual and predicted class; empty where an answer is no class."""
    if kind != targets.CLASSES:
        return {"actual": [], "predicted": []}
    return {
        "actual": [classes[label] for label in evaluation.labels],
        "predicted": [classes[label] for label in log_probs.argmax(axis=1)],
    }


def _unfitted(classes: tuple[str, ...], strategy: Strategy, round_number: int, asking: targets.Targets) -> Trained:
    names = asking.metrics
    metrics = {
        "schema": schema("train_metrics"),
        "round": round_number,
        "labels": 0,
        "eval": dict.fromkeys(names),
        "final_loss": None,
        "dynamics": dict.fromkeys(_DYNAMICS),
        "pseudo_labels": 0,
    }
    card = _card(classes, strategy, round_number, fitted=False, network={})
    columns = CURVE_COLUMNS if isinstance(asking, targets.Classes) else CURVE_COLUMNS[:2]
    empty: dict[str, list[float]] = {name: [] for name in columns}
    confusion: dict[str, list[str]] = {"actual": [], "predicted": []}
    return Trained({}, card, metrics, empty, FORGETTING.empty_table(), POOL_DYNAMICS.empty_table(), confusion)


_DYNAMICS = (
    "mean_forgetting_events",
    "max_forgetting_events",
    "unforgettable_share",
    "never_learned",
    "mean_dispersion",
    "max_dispersion",
)


def _summary(fitted: Fitted) -> dict[str, float | int | None]:
    forgetting = fitted.forgetting
    presented = bool(forgetting.presented.any())
    recorded = fitted.dispersion.epochs > 0
    dispersion = fitted.dispersion.dispersion()
    values: tuple[float | int | None, ...] = (
        float(forgetting.forgotten.mean()) if presented else None,
        int(forgetting.forgotten.max()) if presented else None,
        float(forgetting.unforgettable.mean()) if presented else None,
        int(forgetting.never_learned.sum()) if presented else None,
        float(dispersion.mean()) if recorded else None,
        float(dispersion.max()) if recorded else None,
    )
    return dict(zip(_DYNAMICS, values, strict=True))


def _forgetting(stream: ForgettingStream, labeled: Labeled, classes: tuple[str, ...]) -> pa.Table:
    """One row per labelled sample; none where the method presents no samples in turn."""
    if not stream.presented.any():
        return FORGETTING.empty_table()
    return pa.table(
        [
            string_column(labeled.sample_ids),
            string_column([classes[label] for label in labeled.labels]),
            number_column(stream.presented),
            number_column(stream.forgotten),
            number_column(stream.first_learned),
            number_column(stream.never_learned & (stream.presented > 0)),
            number_column(stream.unforgettable),
        ],
        schema=FORGETTING,
    )


def _pool_dynamics(fitted: Fitted, pool: Pool, classes: tuple[str, ...]) -> pa.Table:
    stream, rows = fitted.dispersion, len(pool)
    recorded: dict[str, np.ndarray] = dict(fitted.pool_signals)
    modal = null_column(pa.string(), rows)
    if stream.epochs:
        modal = string_column(np.array(classes, dtype=object)[stream.modal_label()])
        recorded |= {"pool_dispersion": stream.dispersion(), "pool_flips": stream.flips.astype(np.float64)}
    columns = [string_column(pool.ids), modal, number_column(np.full(rows, stream.epochs, dtype=np.int32))]
    for name in POOL_DYNAMICS.names[3:]:
        values = recorded.get(name)
        columns.append(null_column(pa.float64(), rows) if values is None else number_column(values.astype(np.float64)))
    return pa.table(columns, schema=POOL_DYNAMICS)
