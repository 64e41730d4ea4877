"""What past rounds left behind, read for the verdict: predictions, queries, labels, metrics, costs.

A round is read once: what its tables say is kept in .al/cache/verdict under a hash of their contents.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from al_plugin import __version__, history, layout, ledger, store
from al_plugin.data.queries import QueryRow
from al_plugin.errors import CampaignError, DataError
from al_plugin.history import PastRound
from al_plugin.math.control import Counted
from al_plugin.math.intervals import Estimate, Refused
from al_plugin.rounds.judge import Asked, Facts, Verdict, judge
from al_plugin.settings import Params

_FETCH = "run dvc fetch --all-commits"


def verdict(
    params: Params, *, more: Sequence[int] = (), random_curve: Path | None = None, home: Path = Path()
) -> Verdict:
    """The verdict on the campaign in the working tree; CampaignError where no round can be read.

    ``more``: numbers of labels from now on to forecast for, default one query. ``home``: the repository
    whose DVC cache holds past rounds, where this is a clone of it.
    """
    rounds = history.past_rounds()
    now = history.current_round()
    if now is not None:
        rounds[now.number] = now
    rounds = {number: replace(past, home=home) for number, past in rounds.items()}
    found = judged(rounds, params, _evaluation_size(), more=more, random_curve=random_curve)
    if found is None:
        raise CampaignError(
            "no round can be read from dvc.lock and this machine's DVC cache", change=f"run dvc repro, or {_FETCH}"
        )
    return found


def judged(
    rounds: Mapping[int, PastRound],
    params: Params,
    evaluation: int,
    *,
    more: Sequence[int] = (),
    random_curve: Path | None = None,
) -> Verdict | None:
    """The verdict as it was when the last of ``rounds`` was the newest, None where none of them can be read.

    What came after is not looked at: neither answers to its query nor late ones to others. ``evaluation`` is the
    size of the evaluation set.
    """
    facts = _facts(rounds, params)
    if not facts:
        return None
    return judge(
        facts,
        Asked(
            criteria=params.stop.criteria,
            combine=params.stop.combine,
            window=params.stop.window,
            min_rounds=params.stop.min_rounds,
            more=tuple(more) or (params.select.n,),
            evaluation=evaluation,
            random_curve=None if random_curve is None else read_curve(random_curve),
            metric=params.campaign.targets.metrics[0],
        ),
        unread=tuple(sorted(rounds.keys() - {fact.number for fact in facts})),
    )


def read_curve(path: Path) -> tuple[list[float], list[float]]:
    """Labels and accuracies of a CSV with these columns, or DataError.

    Of a simulation's curves.csv, which has a column arm, those of the arm random.
    """
    import csv

    text = store.read_bytes(path, "name a CSV with columns labels and accuracy").decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(text.splitlines())
    try:
        if not {"labels", "accuracy"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path} has columns {reader.fieldnames}", change="it needs labels and accuracy")
        chosen = [row for row in reader if row.get("arm", "random") == "random"]
        rows = [(float(row["labels"]), float(row["accuracy"])) for row in chosen]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV ({error})", change="correct it") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} holds a row that is no pair of numbers ({error})", change="correct it") from None
    if any(not (0 < labels < float("inf") and 0 <= accuracy <= 1) for labels, accuracy in rows):
        raise DataError(f"{path} holds labels below 1 or infinite, or accuracies outside 0 to 1", change="correct it")
    return [labels for labels, _ in rows], [accuracy for _, accuracy in rows]


def _facts(rounds: Mapping[int, PastRound], params: Params) -> list[Facts]:
    """What each round left behind, oldest first; rounds whose metrics are not cached are left out."""
    classes, companion = params.campaign.classes, "error_stability" in params.stop.criteria
    found: list[Facts] = []
    pool = cache(lambda: history.folder_hash(history.digests_of(Path(layout.POOL))))
    truth = _labels(rounds[max(rounds)]) if rounds else None
    money = _money(rounds[max(rounds)]) if rounds else {}
    for number, past in rounds.items():
        trained = _metrics(past)
        if trained is None:
            continue
        # The newest round's query has no answer among its own labels, also where one was given since.
        query = ledger.round_query(number + 1) if number < max(rounds) else ()
        metric = params.campaign.targets.metrics[0]
        if metric != "accuracy":  # no class to be right or wrong about
            value = (trained.get("eval") or {}).get(metric)
            found.append(Facts(number, int(trained["labels"]), accuracy=value, money=money.get(number)))
            continue
        seen = _seen(past, rounds.get(number - 1), query, classes)
        found.append(
            Facts(
                number=number,
                labels=int(trained["labels"]),
                accuracy=(trained.get("eval") or {}).get("accuracy"),
                kappa=seen.kappa,
                f_change=seen.f_change,
                changed=seen.changed,
                uncertainty=seen.uncertainty,
                stability=_stability(past, rounds.get(number - 1), params, pool) if companion else None,
                counted=None if truth is None else _counted(number, query, seen, truth),
                risk=None if truth is None else _risk(seen, truth),
                money=money.get(number),
                missing=seen.missing,
            )
        )
    return found


def _metrics(past: PastRound) -> dict[str, Any] | None:
    """What train measured in the round, or None where it is not cached; DataError where it is damaged."""
    content = history.read_output(past, layout.TRAIN_METRICS)
    if content is None:
        return None
    try:
        found: dict[str, Any] = json.loads(content)
        int(found["labels"])
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"{layout.TRAIN_METRICS} of round {past.number} is damaged in this machine's DVC cache",
            change="delete it there and run dvc fetch --all-commits",
        ) from None
    return found


@dataclass(frozen=True)
class _Seen:
    """What a round's tables say: comparison with the round before, and its predictions on the query it asked.

    ``predicted`` holds asked samples that the model was not trained on. ``drawn`` are samples in the order
    of their draw with ``chances``, where the strategy drew; ``drawn_from`` the number of candidates.
    ``even``: the strategy random draws evenly, since no budget cuts its picks.
    """

    kappa: float | None = None
    f_change: float | None = None
    changed: float | None = None
    uncertainty: float | None = None
    predicted: Mapping[str, str] | None = None
    drawn: Sequence[str] = ()
    chances: Sequence[float] = ()
    drawn_from: int = 0
    even: bool = True
    unknown_draw: str = ""
    missing: str = ""


def _seen(past: PastRound, before: PastRound | None, query: Sequence[QueryRow], classes: Sequence[str]) -> _Seen:
    """The same, from .al/cache where these very contents were read before."""
    paths = (layout.SCORES, layout.LABELED, layout.ASKED, layout.EVAL_COPIES)
    contents = [past.outputs().get(path) for path in paths]
    contents.append(before.outputs().get(layout.SCORES) if before else None)
    select = past.lock["stages"]["select"].get("params", {})
    key = json.dumps([__version__, contents, [row.query_id for row in query], list(classes), select], sort_keys=True)
    known = _remembered(past, key)
    if known is not None:
        return _Seen(**known)
    from al_plugin.verdict_tables import read

    found = _Seen(**read(past, before, query, classes))
    if not found.missing:  # what is not cached today may be fetched tomorrow
        _remember(past, key, vars(found))
    return found


def _stability(past: PastRound, before: PastRound | None, params: Params, pool_now: Callable[[], str]) -> float | None:
    """Bound on what this round's labels changed in a companion's error, or None without labels before.

    None also where the pool is another one by now (``pool_now`` is DVC's hash of it) and the bound was not
    remembered while it was the round's.
    """
    if before is None:
        return None
    inputs = [one.outputs().get(layout.LABELED) for one in (before, past)]
    pinned = {entry["path"]: entry.get("md5") for entry in past.lock["stages"]["train"].get("deps", [])}
    pool = pinned.get(layout.POOL)
    key = json.dumps([__version__, "stability", *inputs, pool, *map(repr, (params.campaign, params.data))])
    known = _remembered(past, key)
    if known is None and pool != pool_now():
        return None
    if known is None:
        from al_plugin.verdict_tables import stability

        known = {"bound": stability(past, before, params)}
        if known["bound"] is not None:
            _remember(past, key, known)
    bound: float | None = known["bound"]
    return bound


def _remembered(past: PastRound, key: str) -> dict[str, Any] | None:
    try:
        known = json.loads(_memory(past, key).read_bytes())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def _remember(past: PastRound, key: str, value: Mapping[str, Any]) -> None:
    with suppress(OSError):  # a read-only checkout is read anew each time
        store.write_json(_memory(past, key), value)


def _memory(past: PastRound, key: str) -> Path:
    name = blake2b(key.encode(), digest_size=16).hexdigest()
    return past.home / layout.PRIVATE / "cache" / "verdict" / f"{name}.json"


def _counted(number: int, query: Sequence[QueryRow], seen: _Seen, truth: Mapping[str, str]) -> Counted | None:
    """Right and answered rows of the query that this round's model asked."""
    from al_plugin.rounds.select import strategy_of

    if not seen.predicted:
        return None
    counts = {(kind, right): 0 for kind in ("random", "query") for right in (False, True)}
    for row in query:
        if row.sample_id in truth and row.sample_id in seen.predicted and row.kind in ("random", "query"):
            # Drawn by the strategy random is as good a control as the random share.
            even = row.kind == "random" or (seen.even and strategy_of(row) == "random")
            counts["random" if even else "query", seen.predicted[row.sample_id] == truth[row.sample_id]] += 1
    drawn = [row for row in query if row.kind == "random"]
    known = bool(drawn) and bool(drawn[0].propensity)
    return Counted(
        round=number,
        random=counts["random", True] + counts["random", False],
        random_right=counts["random", True],
        chosen=counts["query", True] + counts["query", False],
        chosen_right=counts["query", True],
        population=round(len(drawn) / (drawn[0].propensity or 1.0)) if known else float("inf"),
    )


def _risk(seen: _Seen, truth: Mapping[str, str]) -> Estimate | Refused | None:
    """Error of this round's model on its candidates from all rows of its query, where each was drawn."""
    if seen.unknown_draw:
        return Refused(seen.unknown_draw)
    if not seen.drawn or seen.predicted is None:
        return None
    missing = sum(sample not in truth for sample in seen.drawn)
    if missing == len(seen.drawn):
        return None
    if missing:
        return Refused(f"{missing} of {len(seen.drawn)} rows of the query have no label")
    import numpy as np

    from al_plugin.math.lure import lure

    losses = np.array([seen.predicted[sample] != truth[sample] for sample in seen.drawn], dtype=np.float64)
    return lure(losses, np.array(seen.chances), seen.drawn_from)


def _labels(past: PastRound) -> dict[str, str] | None:
    """Label by sample as of this round, or None where the table is not cached."""
    from al_plugin.verdict_tables import columns

    table = columns(history.read_output(past, layout.LABELED), ("sample_id", "label"))
    return None if table is None else dict(zip(*table, strict=True))


def _money(past: PastRound) -> dict[int, float]:
    """What the answers filed in each label round cost, where the pool says what every sample costs."""
    from al_plugin.campaign import read_costs
    from al_plugin.verdict_tables import columns

    price = read_costs()
    votes = columns(history.read_output(past, layout.VOTES), ("sample_id", "round")) if price else None
    if not price or votes is None:
        return {}
    spent: dict[int, list[float | None]] = {}
    for sample, number in zip(*votes, strict=True):
        spent.setdefault(number, []).append(price.get(sample))
    whole = {number: [cost for cost in each if cost is not None] for number, each in spent.items()}
    return {number: sum(each) for number, each in whole.items() if len(each) == len(spent[number])}


def _evaluation_size() -> int:
    """Samples of the evaluation set, from the files' footers; 0 where it is not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return sum(pq.read_metadata(path).num_rows for path in sorted(Path(layout.EVAL).glob("*.parquet")))
    except (OSError, pa.ArrowInvalid):
        return 0
