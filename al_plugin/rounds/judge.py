"""Judge: from what all rounds left behind to whether active learning pays, and whether to stop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from al_plugin.math import control, forecast, stopping
from al_plugin.math.control import Counted, Saved
from al_plugin.math.intervals import Estimate, Refused
from al_plugin.math.stopping import Decision, State
from al_plugin.schemas import schema

SCHEMA = schema("verdict")
Answer = Estimate | Refused

# Numbers a campaign shows that selection bends, and how.
BIASED: Mapping[str, str] = {
    "chosen_accuracy": "accuracy on the rows a strategy chose: low, since it chooses what the model is unsure of",
    "train_accuracy": "on labels that were chosen, and that the model was trained on",
    "per_class": "class shares of the labels: what was asked, not what is there",
    "mean_agreement": "agreement on chosen samples: low, since they are hard",
}


@dataclass(frozen=True)
class Facts:
    """What one round left behind; None where it cannot be read or does not exist.

    ``kappa``, ``f_change``, ``changed`` compare its model with the round's before on the unlabelled pool,
    ``stability`` bounds what its labels changed, ``counted`` are the answers to the query its model asked,
    ``risk`` LURE's estimate of its error from them, ``money`` what the answers filed in its label round cost.
    """

    number: int
    labels: int
    accuracy: float | None = None
    kappa: float | None = None
    f_change: float | None = None
    changed: float | None = None
    uncertainty: float | None = None
    stability: float | None = None
    counted: Counted | None = None
    risk: Answer | None = None
    money: float | None = None
    missing: str = ""


@dataclass(frozen=True)
class Asked:
    """What is to be judged: criteria with thresholds, how they combine, and what to forecast.

    ``more``: labels from now on. ``evaluation``: samples of the evaluation set. ``random_curve``: labels
    and accuracies of random drawing, measured elsewhere on the same set. ``metric``: what stands for accuracy
    under another task than classes; what is about right and wrong predictions is refused then.
    """

    criteria: Mapping[str, float]
    combine: str
    window: int
    min_rounds: int
    more: Sequence[int]
    evaluation: int
    random_curve: tuple[Sequence[float], Sequence[float]] | None = None
    metric: str = "accuracy"


@dataclass(frozen=True)
class Verdict:
    """Everything at once; ``document`` is the same as JSON values."""

    round: int
    labels: int
    decision: Decision
    criteria: tuple[State, ...]
    rounds: tuple[Facts, ...]
    forecast: Mapping[int, Answer]
    asymptote: Answer
    pool_accuracy: Answer
    latest_pool_accuracy: Answer
    chosen_accuracy: Answer
    selection_bias: Answer
    risk: Answer
    saved: Saved | Refused
    advice: str
    money: Mapping[str, float] = field(default_factory=dict)
    unread: tuple[int, ...] = ()
    biased: Mapping[str, str] = field(default_factory=lambda: dict(BIASED))

    def numbers(self) -> dict[str, float | None]:
        """What is followed from round to round, under flat names; None where it cannot be said."""
        newest = self.rounds[-1]
        expected = next(iter(self.forecast.values()), Refused(""))
        return {
            "kappa": newest.kappa,
            "f_change": newest.f_change,
            "classification_change": newest.changed,
            "pool_uncertainty": newest.uncertainty,
            "money": sum(self.money.values()) if self.money else None,
            "stop": float(self.decision.stop),
            **_ends("control", "accuracy", self.pool_accuracy),
            **_ends("forecast", "", expected),
        }

    def document(self) -> dict[str, Any]:
        """JSON values: an estimate is {value, low, high, level}, what cannot be said {refused: why}."""
        whole = asdict(self)
        whole["forecast"] = [{"labels": labels, **asdict(found)} for labels, found in self.forecast.items()]
        for row in whole["rounds"]:
            counted = row["counted"]
            if counted and counted["population"] == float("inf"):
                counted["population"] = None
        return {"schema": SCHEMA, **whole, "control": {"points": self.control_points()}}

    def control_points(self) -> list[dict[str, Any]]:
        """Accuracy on the pool of each round's model that has answered random rows, by its number of labels."""
        found = [(fact, control.accuracy_on_pool([fact.counted])) for fact in self.rounds if fact.counted]
        return [
            {"round": fact.number, "labels": fact.labels, **asdict(one)}
            for fact, one in found
            if isinstance(one, Estimate)
        ]


def _ends(name: str, value: str, found: Answer) -> dict[str, float | None]:
    """An estimate and its interval under ``name_value``, ``name_low``, ``name_high``."""
    if isinstance(found, Refused):
        return {}
    return {f"{name}_{value}".rstrip("_"): found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def judge(facts: Sequence[Facts], asked: Asked, unread: Sequence[int] = ()) -> Verdict:
    """The verdict on a campaign from its rounds, oldest first, at least one; ``unread`` rounds have no metrics."""
    last = facts[-1]
    measured = [fact for fact in facts if fact.accuracy is not None and fact.labels]
    curve = [float(fact.labels) for fact in measured], [float(fact.accuracy or 0.0) for fact in measured]
    law: forecast.PowerLaw | Refused = Refused("the evaluation set cannot be read")
    if asked.evaluation:
        law = forecast.fit(*curve, asked.evaluation)
    states = tuple(_state(name, limit, facts, asked) for name, limit in asked.criteria.items())
    counted = [fact.counted for fact in facts if fact.counted is not None]
    with_random = [one for one in counted if one.random]
    saved = _saved(last, with_random, asked)
    risks = [fact.risk for fact in facts if fact.risk is not None]
    money = {str(fact.number): fact.money for fact in facts if fact.money is not None}
    found = Verdict(
        round=last.number,
        labels=last.labels,
        decision=stopping.decide(states, asked.combine, last.number, asked.min_rounds),
        criteria=states,
        rounds=tuple(facts),
        forecast={
            last.labels + more: law if isinstance(law, Refused) else forecast.forecast(law, last.labels + more)
            for more in asked.more
        },
        asymptote=law if isinstance(law, Refused) else forecast.asymptote(law),
        pool_accuracy=control.accuracy_on_pool(counted),
        latest_pool_accuracy=control.accuracy_on_pool(with_random[-1:]),
        chosen_accuracy=control.accuracy_on_chosen(counted),
        selection_bias=control.selection_bias(counted),
        risk=risks[-1] if risks else Refused("no query was answered whose draws have known probabilities"),
        saved=saved,
        advice=_advice(saved),
        money=money,
        unread=tuple(unread),
    )
    return found if asked.metric == "accuracy" else _without_accuracy(found, asked.metric)


def _without_accuracy(found: Verdict, metric: str) -> Verdict:
    """The verdict of a campaign whose answers are not simply right or wrong."""
    no = Refused(f"it is about right and wrong classes, and this campaign is followed by {metric}")
    return replace(
        found,
        forecast={},
        asymptote=no,
        pool_accuracy=no,
        latest_pool_accuracy=no,
        chosen_accuracy=no,
        selection_bias=no,
        risk=no,
        saved=no,
        advice=_advice(no),
    )


# Of the pairs of models: which number of a round each criterion looks at.
_PAIRWISE: Mapping[str, tuple[Callable[..., State], Callable[[Facts], float | None]]] = {
    "stabilising_predictions": (stopping.stabilising_predictions, lambda fact: fact.kappa),
    "delta_f": (stopping.delta_f, lambda fact: fact.f_change),
    "classification_change": (stopping.classification_change, lambda fact: fact.changed),
    "error_stability": (stopping.error_stability, lambda fact: fact.stability),
}


def _state(name: str, limit: float, facts: Sequence[Facts], asked: Asked) -> State:
    if name in _PAIRWISE:
        criterion, number = _PAIRWISE[name]
        return criterion(_newest([number(fact) for fact in facts]), threshold=limit, window=asked.window)
    if name == "overall_uncertainty":
        return stopping.overall_uncertainty(_newest([fact.uncertainty for fact in facts]), threshold=limit)
    if name == "plateau":
        metric = [fact.accuracy for fact in facts if fact.accuracy is not None]
        return stopping.plateau(metric, threshold=limit, window=asked.window)
    return stopping.budget(name, facts[-1].labels, limit) if name == "labels" else _money(facts, limit)


def _money(facts: Sequence[Facts], limit: float) -> State:
    known = [fact.money for fact in facts if fact.money is not None]
    if not known or len(known) < sum(fact.number > 0 for fact in facts):
        return State("money", None, "the pool has no column cost, or not for every answer", {"limit": limit})
    return stopping.budget("money", sum(known), limit)


def _newest(values: Sequence[float | None]) -> list[float]:
    """The values after the last gap, oldest first."""
    found: list[float] = []
    for value in reversed(values):
        if value is None:
            break
        found.insert(0, value)
    return found


def _saved(last: Facts, with_random: Sequence[Counted], asked: Asked) -> Saved | Refused:
    if asked.random_curve is None:
        share = sum(one.random for one in with_random)
        had = f"{share} random labels were answered, but no model was trained on such labels alone"
        why = had if share else "there is no random control (select.random_share)"
        return Refused(f"{why}; give a curve of random drawing: al verdict --random-curve FILE")
    if last.accuracy is None:
        return Refused("this round has no accuracy")
    law = forecast.fit(*asked.random_curve, asked.evaluation) if asked.evaluation else Refused("no evaluation set")
    if isinstance(law, Refused):
        return Refused(f"the random curve: {law.refused}")
    return control.labels_saved(last.labels, last.accuracy, law)


def _advice(saved: Saved | Refused) -> str:
    """Whether selection pays, in one line."""
    if isinstance(saved, Refused):
        return f"whether selection pays cannot be said: {saved.refused}"
    low, high = saved.saved.low, saved.saved.high
    if low is not None and low > 0:
        return "selection pays: go on with it"
    if high is not None and high < 0:
        return "selection does not pay: set select.strategy to random, or choose another recipe"
    return "not decided: the interval of labels saved holds 0"
