"""A round as it is told, read from its files: numbers, settings, tables and where each came from."""

import csv
import json
import math
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from al_plugin import layout, store
from al_plugin.errors import AlError
from al_plugin.foreign import without_secrets
from al_plugin.settings import Params
from al_plugin.strategies import recipes
from al_plugin.tracking import key
from al_plugin.tracking.digests import file_md5

_REPRO = "run dvc repro"
_DOCUMENTS = (layout.LABEL_METRICS, layout.TRAIN_METRICS, layout.SCORE_METRICS, layout.SELECT_METRICS, layout.CARD)
_LONGEST_PARAM = 500
# Metrics of the training itself, as far as its method gives them.
_TRAINED = ("final_loss", "pseudo_labels", "proxy_correlation")
# What the learning curve of a campaign is made of, where a round has it.
_CURVE = ("labels", "votes", "disputed", "pending", "mean_agreement")
# Of the verdict, what a campaign is followed by.
_FOLLOWED = ("kappa", "control_accuracy", "control_low", "control_high", "forecast", "forecast_low", "forecast_high")


@dataclass(frozen=True)
class Record:
    """One round.

    ``round_metrics`` and ``score_metrics`` are numbers by name, ``campaign_metrics`` those that the
    learning curve is drawn from, ``epochs`` the training curve, one mapping per epoch. ``digests``
    are DVC's MD5s by path, ``settings`` params.yaml flattened, ``tags`` what the run is found by.
    """

    root: Path
    number: int
    labels: int
    campaign: str
    strategy: str
    key: str
    digests: Mapping[str, str]
    settings: Mapping[str, str]
    round_metrics: Mapping[str, float]
    score_metrics: Mapping[str, float]
    campaign_metrics: Mapping[str, float]
    epochs: tuple[Mapping[str, float], ...]
    per_class: Mapping[str, int]
    card: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """The run's name: what differs between rounds stands first."""
        return f"{self.short} n={self.labels} {self.strategy}"

    @property
    def short(self) -> str:
        """``rNNNN``."""
        return f"r{self.number:04d}"


def read(params: Params, root: Path, home: Path | None = None) -> Record:
    """The round whose outputs lie in ``root``; DataError where one is missing or not readable.

    ``home`` is the repository whose DVC cache holds the rounds before.
    """
    root = root.resolve()
    content = key.digests(root)
    labels, trained, scored, selected, card = (store.read_json(root / path, _REPRO) for path in _DOCUMENTS)
    per_class = {str(name): int(count) for name, count in labels["per_class"].items()}
    counts = list(per_class.values()) or [int(labels["labels"])]
    triple = params.triple(counts)
    measured = {**numbers(trained.get("eval", {})), **numbers(trained.get("dynamics", {}))}
    calibrated = {f"calibration_{name}": value for name, value in trained.get("calibration", {}).items()}
    counted = numbers({name: value for name, value in labels.items() if name not in ("round", "per_class")})
    unseen = sum(count == 0 for count in per_class.values())
    asked = {"queried": selected["queried"], "random": selected["random"], "query_mean_score": selected["mean_score"]}
    round_key = key.round_key(content, key.settings(params))
    # While a query is handed out, params.yaml may name another strategy than the one that chose it.
    chosen = replace(triple, select=selected["strategy"] or triple.select)
    strategy = strategy_name(chosen)
    judged = _judged(params, root, root if home is None else home.resolve(), int(labels["round"]))
    return Record(
        root=root,
        number=int(labels["round"]),
        labels=int(labels["labels"]),
        campaign=params.campaign.name,
        strategy=strategy,
        key=round_key,
        digests=content,
        settings=settings(params, triple),
        round_metrics={
            **counted,
            **measured,
            **judged,
            **numbers(calibrated),
            **numbers({"unseen_classes": unseen, **{name: trained.get(name) for name in _TRAINED}, **asked}),
        },
        score_metrics=numbers(
            {
                **scored.get("score", {}),
                "mean_confidence": scored.get("mean_confidence"),
                **{f"drift_{name}": scored.get("drift", {}).get(name) for name in ("coefficient", "p")},
            }
        ),
        campaign_metrics={
            **measured,
            **{name: counted[name] for name in _CURVE if name in counted},
            **{name: judged[name] for name in _FOLLOWED if name in judged},
        },
        epochs=tuple(_epochs(store.read_bytes(root / layout.TRAINING_CURVE, _REPRO).decode())),
        per_class=per_class,
        card=card,
        tags={
            "al.kind": "round",
            "al.campaign": params.campaign.name,
            "al.round": str(int(labels["round"])),
            "al.round_key": round_key,
            "al.strategy": strategy,
            **_origin(root, content),
        },
    )


def _judged(params: Params, root: Path, home: Path, number: int) -> dict[str, float]:
    """Numbers that only the rounds before can give; none where they cannot be read: telling never fails for it."""
    from al_plugin.verdict import verdict

    if root != Path.cwd():
        return {}
    try:
        found = verdict(params, home=home)
    except (AlError, OSError, ValueError, KeyError):
        return {}
    return numbers(found.numbers()) if found.round == number else {}


def strategy_name(triple: recipes.Triple) -> str:
    """The recipe's name where the triple is one's, else its parts that are not the default."""
    parts = (triple.train, triple.score, triple.select)
    for name, known in recipes.ALL.items():
        if parts == (known.train, known.score, known.select):
            return name
    train = "" if triple.train == "single" else f"{triple.train}+"
    return f"{train}{triple.score}" if triple.select == "top" else f"{train}{triple.score}+{triple.select}"


def settings(params: Params, triple: recipes.Triple) -> dict[str, str]:
    """params.yaml as ``section.key``, and the strategies that the recipe stood for."""
    flat: dict[str, str] = {}
    for section in ("campaign", "merge", "train", "score", "select"):
        for name, value in vars(getattr(params, section)).items():
            if name == "knobs":
                flat |= {f"{section}.{s}.{knob}": _text(v) for s, knobs in value.items() for knob, v in knobs.items()}
            else:
                flat[f"{section}.{name}"] = _text(value)
    return flat | {f"{stage}.strategy": getattr(triple, stage) for stage in ("train", "score", "select")}


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among the values, as MLflow takes them."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_PARAM else f"{text[:_LONGEST_PARAM]}…"


def _epochs(text: str) -> Iterator[dict[str, float]]:
    for row in csv.DictReader(text.splitlines()):
        yield {name: float(value) for name, value in row.items()}


def repository(root: Path) -> str:
    """URL that others can clone the repository from, without a password in it, or ""."""
    url = _git(root, "config", "--get", "remote.origin.url")
    remote = re.match(r"(?!file:)\w[\w+.-]*://|[^/\\:]+@[^/\\:]+:", url)
    return without_secrets(url) if remote else ""


def _origin(root: Path, content: Mapping[str, str]) -> dict[str, str]:
    """Tags that say where the round came from. The round's own commit does not exist yet."""
    tags = {
        "dvc.labels": content[layout.LABELED],
        "dvc.model": content[layout.WEIGHTS],
        "dvc.query": content[layout.QUERY],
    }
    lock = root / layout.DVC_LOCK
    if lock.is_file():
        tags["dvc.lock_md5"] = file_md5(lock)
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["git.base_commit"] = commit
        # These have just been written; anything else is work that the commit does not have.
        written = (f":(exclude){path}" for path in (layout.DVC_LOCK, layout.ENVIRONMENTS))
        changed = _git(root, "status", "--porcelain", "--", ":/", *written)
        tags["git.dirty"] = "true" if changed else "false"
    experiment = os.environ.get("DVC_EXP_NAME")
    return tags | ({"dvc.exp_name": experiment} if experiment else {})


def _git(root: Path, *arguments: str) -> str:
    """Output of git, or "" where it fails: a round may be told outside Git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
