"""params.yaml: its settings, read and checked."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

from al_plugin import __version__, targets
from al_plugin.documents import read_yaml
from al_plugin.errors import ParamsError, StrategyError, near
from al_plugin.foreign import holds_password
from al_plugin.settings import CRITERIA, NETWORKS, Campaign, Tracking, Train
from al_plugin.settings import Params as Params  # noqa: PLC0414  (for the stages' scripts)
from al_plugin.strategies import recipes, registry

_LIMITS: Mapping[str, registry.Range | registry.OneOf] = {
    "campaign.task": registry.OneOf(targets.TASKS),
    "campaign.seed": registry.Range(0, 2**63 - 1),
    "campaign.threads": registry.Range(1, 1024),
    "data.image_size": registry.Range(4, 1024),
    "data.copy_radius": registry.Range(0, None),
    "data.text_features": registry.Range(64, 2**20),
    "train.augment": registry.OneOf(("none", "shift", "shift_flip")),
    "train.epochs": registry.Range(1, None),
    "train.batch_size": registry.Range(1, None),
    "train.lr": registry.Range(1e-12, None),
    "train.weight_decay": registry.Range(0, None),
    "train.dynamics_every": registry.Range(0, None),
    "train.class_weights": registry.OneOf(("none", "balanced")),
    "train.schedule": registry.OneOf(("constant", "cosine", "linear")),
    "train.warmup": registry.Range(0, 1),
    "train.clip_norm": registry.Range(0, None),
    "train.holdout": registry.Range(0, 0.9),
    "train.patience": registry.Range(0, None),
    "train.device": registry.OneOf(("cpu", "cuda", "mps", "auto")),
    "train.precision": registry.OneOf(("32", "bf16", "16")),
    "train.devices": registry.Range(1, 1024),
    "train.checkpoint_every": registry.Range(0, None),
    "score.passes": registry.Range(2, 10_000),
    "score.posterior": registry.OneOf(("dropout", "laplace")),
    "score.precision": registry.Range(1e-12, None),
    "score.targets": registry.Range(1, None),
    "select.n": registry.Range(1, None),
    "select.random_share": registry.Range(0, 1),
    "select.annotators": registry.Range(1, None),
    "select.budget": registry.Range(0, None),
    "select.budget_rule": registry.OneOf(("ratio", "knapsack")),
    "stop.combine": registry.OneOf(("any", "all")),
    "stop.window": registry.Range(1, None),
    "stop.min_rounds": registry.Range(0, None),
    "gate.max_drop": registry.Range(0, None),
    "gate.budget": registry.Range(1, None),
}


# Keys that had another name in an earlier version, as ``section.key`` with their new names. None so far.
RENAMED: dict[str, str] = {}


def read_params(content: bytes) -> Params:
    """Settings of a params.yaml, or ParamsError / StrategyError in one line.

    Checked: sections, keys and types, with the near match; ranges; that strategies and recipes
    exist; knobs of every strategy that params.yaml mentions; that the chosen strategies fit.
    """
    document = read_yaml(content, "params.yaml")
    if not isinstance(document, dict):
        raise ParamsError("params.yaml holds no sections", change="start from the one `al init` writes")
    sections = get_type_hints(Params)
    _refuse_unknown("params.yaml", document, tuple(sections))
    values = {name: _section(name, kind, document.get(name)) for name, kind in sections.items()}
    params = _fitting(Params(**values), document)
    _check_campaign(params.campaign)
    _check_train(params.train)
    _check_tracking(params.tracking)
    _check_task(params)
    _check_strategies(params)
    return params


def read_campaign(content: bytes) -> Campaign:
    """The section ``campaign`` alone, without loading any strategy: no code of the repository runs."""
    document = read_yaml(content, "params.yaml")
    if not isinstance(document, dict):
        raise ParamsError("params.yaml holds no sections", change="start from the one `al init` writes")
    campaign: Campaign = _section("campaign", Campaign, document.get("campaign"))
    _check_campaign(campaign)
    return campaign


def require_classes(params: Params, what: str) -> None:
    """ParamsError where ``what`` (a command) is asked of a campaign of another task than classes."""
    if params.campaign.task != targets.CLASSES:
        raise ParamsError(
            f"{what} compares predicted classes, and campaign.task is {params.campaign.task}",
            change="see docs/tasks.md for what there is under it",
        )


def check_version(params: Params) -> None:
    """ParamsError if the campaign is computed with another version of the plugin than this one."""
    asked = params.campaign.plugin_version
    if asked and asked != __version__:
        move = "" if newer(asked, __version__) else f", or move the campaign to {__version__}: al upgrade"
        raise ParamsError(
            f"campaign.plugin_version asks for al-plugin {asked}, found {__version__}",
            change=f"pip install al-plugin=={asked}{move}",
        )


def newer(version: str, than: str) -> bool:
    """Whether a version of the package is later than another, by its numbers."""
    numbers = [[int(number) for number in re.findall(r"\d{1,9}", one)] for one in (version, than)]
    return numbers[0] > numbers[1]


def _section(name: str, kind: type, raw: Any) -> Any:
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ParamsError(f"params.yaml: section {name} is a {type(raw).__name__}, not key: value lines")
    hints = get_type_hints(kind)
    own = {f.name: f for f in fields(kind) if f.name != "knobs"}
    strategies = registry.names(name) if name in registry.STAGES else ()
    outside = tuple(key for key in raw if ":" in str(key))
    _refuse_unknown(f"params.yaml: {name}", raw, (*own, *strategies, *outside))
    values: dict[str, Any] = {}
    for key, declared in own.items():
        if key in raw:
            values[key] = _typed(f"{name}.{key}", raw[key], hints[key])
        elif declared.default is MISSING and declared.default_factory is MISSING:
            raise ParamsError(f"params.yaml: {name}.{key} is missing", change=f"add {key}: to section {name}")
    knobs = {key: value for key, value in raw.items() if key not in own}
    for key, value in knobs.items():
        if not isinstance(value, dict):
            raise ParamsError(f"params.yaml: {name}.{key} is {value!r}, not the knobs of that strategy")
    return kind(**values, knobs=knobs) if strategies else kind(**values)


def _typed(where: str, value: Any, hint: Any) -> Any:
    if hint == tuple[str, ...]:
        return _class_names(where, value)
    if hint == Mapping[str, float] | None:
        return None if value is None else _warm_start(where, value)
    if hint == Mapping[str, float]:
        return _criteria(where, value)
    kinds = [kind for kind in get_args(hint) if kind is not NoneType] if NoneType in get_args(hint) else []
    if kinds and value is None:
        return None
    limit = _LIMITS.get(where)
    if isinstance(limit, registry.OneOf) and type(value) is int:
        value = str(value)  # 32 is a word among others
    return _typed_as(where, value, registry.Knob(kinds[0] if kinds else hint, None, limit))


def _typed_as(where: str, value: Any, knob: registry.Knob) -> Any:
    try:
        return registry.check_value(where, value, knob)
    except StrategyError as error:
        raise ParamsError(error.found, change=error.change.removesuffix(", default None")) from None


def _class_names(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ParamsError(f"params.yaml sets {where} to {value!r}", change="write a list of strings")
    bare = [item for item in value if not isinstance(item, str)]
    if bare:
        raise ParamsError(
            f"params.yaml: {where} holds {bare[0]!r}, which YAML reads as {type(bare[0]).__name__}",
            change=f'labels are strings: quote every class, such as "{str(bare[0]).lower()}"',
        )
    return tuple(value)


def _warm_start(where: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or set(value) != {"shrink", "perturb"}:
        raise ParamsError(f"params.yaml sets {where} to {value!r}", change="{shrink: 0.6, perturb: 0.01}, or null")
    share = registry.Knob(float, None, registry.Range(0, 1))
    return {name: float(_typed_as(f"{where}.{name}", value[name], share)) for name in ("shrink", "perturb")}


def _criteria(where: str, value: Any) -> dict[str, float]:
    """Criteria with their thresholds; null stands for the literature's."""
    if not isinstance(value, dict):
        raise ParamsError(f"params.yaml sets {where} to {value!r}", change="write name: threshold, or name: null")
    _refuse_unknown(f"params.yaml: {where}", value, tuple(CRITERIA))
    found: dict[str, float] = {}
    for name, given in value.items():
        limit = CRITERIA[name] if given is None else given
        if not isinstance(limit, int | float) or isinstance(limit, bool) or not 0 <= limit < float("inf"):
            need = "a budget" if CRITERIA[name] is None else "a threshold, or null for the usual one"
            raise ParamsError(
                f"params.yaml sets {where}.{name} to {given!r}", change=f"it takes {need}: a number of 0 or more"
            )
        found[name] = float(limit)
    return found


def _check_campaign(campaign: Campaign) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", campaign.name):
        raise ParamsError(
            f"params.yaml sets campaign.name to {campaign.name!r}",
            change="use letters, digits, dot, dash and underscore",
        )
    if campaign.task == targets.REGRESSION:
        if campaign.classes:
            raise ParamsError(
                f"params.yaml: campaign.task is regression, and campaign.classes holds {len(campaign.classes)} names",
                change="set campaign.classes to []",
            )
        return
    if len(campaign.classes) < 2 or len(set(campaign.classes)) < len(campaign.classes):
        raise ParamsError(
            f"params.yaml: campaign.classes holds {len(campaign.classes)} names, "
            f"{len(set(campaign.classes))} of them distinct",
            change="name at least two classes, each once",
        )
    odd = [name for name in campaign.classes if not name or not name.isprintable()]
    if odd:
        raise ParamsError(
            f"params.yaml: campaign.classes holds {f'{odd[0]!r}' if odd[0] else 'an empty name'}",
            change="give it a name of visible characters",
        )
    joined = [name for name in campaign.classes if targets.SEPARATOR in name or name != name.strip()]
    if campaign.task == targets.MULTILABEL and joined:
        raise ParamsError(
            f"params.yaml: campaign.classes holds {joined[0]!r}, and an answer joins names by {targets.SEPARATOR}",
            change=f"name it without {targets.SEPARATOR} and without blanks around it",
        )


def _fitting(params: Params, document: Mapping[str, Any]) -> Params:
    """Params with the defaults of the campaign's task, where ``document`` does not set them."""
    task = params.campaign.task
    if task == targets.CLASSES:
        return params

    def unset(section: str, key: str) -> bool:
        return key not in (document.get(section) or {})

    if unset("gate", "metric"):
        params = replace(params, gate=replace(params.gate, metric=params.campaign.targets.metrics[0]))
    if unset("stop", "criteria"):
        params = replace(params, stop=replace(params.stop, criteria={}))
    if unset("merge", "strategy") and task == targets.REGRESSION:
        params = replace(params, merge=replace(params.merge, strategy="mean"))
    return params


# Criteria that look at predicted classes; the others at the metric, the labels or the money.
_OF_CLASSES = tuple(name for name in CRITERIA if name not in ("plateau", "labels", "money"))


def _check_task(params: Params) -> None:
    """ParamsError where a setting means nothing under the campaign's task."""
    task, metrics = params.campaign.task, params.campaign.targets.metrics
    if params.gate.metric not in metrics:
        raise ParamsError(
            f"params.yaml sets gate.metric to {params.gate.metric!r}{near(params.gate.metric, metrics)}",
            change=f"one of: {', '.join(metrics)}",
        )
    if task == targets.CLASSES:
        return
    asked = {
        **{f"stop.criteria.{name}": name in params.stop.criteria for name in _OF_CLASSES},
        "train.calibrate: true": params.train.calibrate,
        "train.class_weights: balanced": params.train.class_weights != "none",
        "score.posterior: laplace": params.score.posterior == "laplace",
        "select.relabel: true": params.select.relabel,
    }
    undefined = [name for name, is_set in asked.items() if is_set]
    if undefined:
        raise ParamsError(
            f"params.yaml sets {undefined[0]}, which is defined for campaign.task classes only, not {task}",
            change="take it out",
        )


def _check_train(train: Train) -> None:
    asked = {"patience": train.patience > 0, "calibrate": train.calibrate}
    for name, is_set in asked.items():
        if is_set and not train.holdout:
            raise ParamsError(
                f"params.yaml sets train.{name} without held-out samples to look at",
                change="set train.holdout, for instance to 0.2",
            )


def _check_tracking(tracking: Tracking) -> None:
    """ParamsError where the address of MLflow holds a password: params.yaml lies in Git, and MLflow is given it."""
    if tracking.uri is not None and holds_password(tracking.uri):
        raise ParamsError(
            "params.yaml sets tracking.uri to an address with a password, and Git and MLflow keep params.yaml",
            change="take it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or give the whole "
            "address as MLFLOW_TRACKING_URI",
        )


def _check_strategies(params: Params) -> None:
    network = params.train.network
    if ":" not in network and network not in NETWORKS:
        raise ParamsError(
            f"params.yaml sets train.network to {network!r}{near(network, NETWORKS)}",
            change=f"one of: {', '.join(NETWORKS)}, or module:factory of the repository",
        )
    registry_names = {stage: getattr(params, stage) for stage in registry.STAGES}
    for stage, section in registry_names.items():
        for name in section.knobs:
            params.knobs_of(registry.load(stage, name))
        if section.strategy is not None:
            registry.load(stage, section.strategy)
    # Which signals are at hand depends on the labels only under `auto`; check one of each regime.
    task = params.campaign.task
    counts = [recipes.COLD_START_LABELS_PER_CLASS] * max(1, len(params.campaign.classes))
    triple = params.triple(counts)
    chosen = [registry.load(stage, getattr(triple, stage)) for stage in ("train", "score", "select")]
    recipes.check_pairing(*chosen, fitted=True, task=task)
    recipes.check_merge(registry.load("merge", params.merge.strategy), task)
    if params.train.warm_start is not None and not chosen[0].card.warm:
        takers = [name for name in registry.names("train") if registry.load("train", name).card.warm]
        raise StrategyError(
            f"params.yaml sets train.warm_start, which train strategy {chosen[0].name} does not take",
            change=f"set it to null, or train.strategy to one of: {', '.join(takers)}",
        )


def _refuse_unknown(where: str, found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in found:
        new = RENAMED.get(f"{where.removeprefix('params.yaml').removeprefix(': ')}.{key}".removeprefix("."))
        if key not in known and new:
            raise ParamsError(f"{where} has the key {key!r}, which is {new} now", change="al upgrade renames it")
        if key not in known:
            raise ParamsError(
                f"{where} has an unknown key {key!r}{near(key, known)}", change=f"known: {', '.join(known)}"
            )
