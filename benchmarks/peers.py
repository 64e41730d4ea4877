"""Our strategies beside other active-learning libraries, on the same arrays, one thread each.

    python benchmarks/peers.py [--small] [--only ITEM ...] [--out benchmarks/results/peers.json]

Every contestant has a process of its own; they run in turn, best of up to five by CPU seconds. Memory is the
peak of the resident set above the prepared inputs, the result included. The limit is what bytes, products and
logarithms cost at least at this machine's measured rates. (x) marks times extrapolated from a part of the picks
or rows. ``--small`` runs everything once at tiny sizes in one process and fails where results differ.
Libraries that are not installed (see peers-requirements.txt) and strategies that are not shipped are left out.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys((*ONE_THREAD, "TQDM_DISABLE"), "1"))  # before NumPy and torch start their threads

import torch  # noqa: E402
from peer_items import centers, clusters, committees, gradients, hardware, joint, scores, shims  # noqa: E402
from peer_items.contest import Entry, hold, try_out  # noqa: E402
from peer_items.item import Contestant, Item  # noqa: E402

from al_plugin.errors import StrategyError  # noqa: E402

ITEMS: tuple[Item, ...] = (
    *scores.ITEMS,
    *committees.ITEMS,
    *centers.ITEMS,
    *gradients.ITEMS,
    *joint.ITEMS,
    *clusters.ITEMS,
)
RESULTS = Path(__file__).parent / "results" / "peers.json"
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", *shims.MODULES)


def shipped(contestant: Contestant) -> bool:
    """Whether our strategy of an item is there."""
    try:
        contestant.prepare({})
    except StrategyError:
        return False
    except KeyError:  # it is, and misses its inputs
        return True
    return True


def record(item: Item, entries: list[Entry], rates: dict[str, float]) -> dict[str, object]:
    """An item's row for the JSON file."""
    per_step = item.agree == "none"
    found = {entry.contestant.name: entry.estimate(item.n, per_step=per_step) for entry in entries}
    ours = found[entries[0].contestant.name]
    peers = {
        entry.contestant.name: seconds
        for entry in entries
        if entry.contestant.kind == "peer" and (seconds := found[entry.contestant.name]) is not None
    }
    limit = hardware.limit(item.work(item.rows), rates)
    fastest = min(peers, key=lambda name: peers[name], default=None)
    return {
        "item": item.key,
        "title": item.title,
        "limit_s": limit,
        "ours_over_limit": ours / limit if ours is not None and limit else None,
        "fastest_peer": fastest,
        "faster_than_fastest_peer": peers[fastest] / ours if fastest and ours else None,
        "goal": {"faster": item.goal.faster, "above_limit": item.goal.above, "mib": item.goal.mib},
        "contestants": [
            {
                "name": entry.contestant.name,
                "kind": entry.contestant.kind,
                "cpu_s": found[entry.contestant.name],
                "mib": entry.mib / entry.share,
                "extrapolated": entry.extrapolated,
                "agrees": entry.agrees,
                "error": entry.error,
                "note": entry.contestant.note,
            }
            for entry in entries
        ],
    }


def number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-"


def cell(entry: dict[str, object]) -> str:
    """``name seconds (+MiB)`` of one contestant."""
    if entry["error"]:
        return f"{entry['name']} failed ({entry['error']})"
    mark = " (x)" if entry["extrapolated"] else ""
    remark = "; ".join(str(entry[key]) for key in ("agrees", "note") if entry[key] and entry[key] != "equal")
    mib = entry["mib"]
    assert isinstance(mib, float)
    return f"{entry['name']} {number(entry['cpu_s'])}{mark} (+{mib:.0f})" + (f" [{remark}]" if remark else "")


def met(row: dict[str, object]) -> str:
    """Goals of a row, each with yes or no."""
    goal, contestants = row["goal"], row["contestants"]
    assert isinstance(goal, dict)
    assert isinstance(contestants, list)
    if contestants[0]["error"]:
        return "NO"
    said = []
    for key, label, value, least in (
        ("faster", "≥ {:g}x peer", row["faster_than_fastest_peer"], True),
        ("above_limit", "≤ {:g}x limit", row["ours_over_limit"], False),
        ("mib", "≤ {:g} MiB", contestants[0]["mib"], False),
    ):
        if goal[key] is not None and isinstance(value, float):
            holds = value >= goal[key] if least else value <= goal[key]
            said.append(label.format(goal[key]) + (" yes" if holds else " NO"))
    return ", ".join(said)


def line(row: dict[str, object]) -> str:
    contestants = row["contestants"]
    assert isinstance(contestants, list)
    peers = "; ".join(cell(entry) for entry in contestants[1:])
    ratios = (
        f"{number(row['ours_over_limit'])} | {number(row['faster_than_fastest_peer'])} ({row['fastest_peer'] or '-'})"
    )
    return f"| {row['title']} | {cell(contestants[0])} | {peers} | {number(row['limit_s'])} | {ratios} | {met(row)} |"


def versions() -> dict[str, str]:
    names = {"modAL": "modAL-python", "apricot": "apricot-select", "faiss": "faiss-cpu"}
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(names.get(name, name))
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def preload() -> None:
    """Import what contestants use, so that their processes need not."""
    torch.set_num_threads(1)
    modules = (
        "skactiveml.pool",
        "small_text.query_strategies.strategies",
        "small_text.integrations.pytorch.query_strategies.strategies",
        "cleanlab.multiannotator",
        "baal.active.heuristics",
        "modAL.dropout",
        "modAL.uncertainty",
        "batchbald_redux.batchbald",
        "apricot",
        "faiss",
        "sklearn.cluster",
    )
    for module in modules:
        with contextlib.suppress(ImportError):
            shims.load(module)


def chosen(keys: list[str] | None) -> list[tuple[Item, tuple[Contestant, ...]]]:
    """Items whose strategy is shipped, with the contestants that are installed."""
    items = [item for item in ITEMS if keys is None or item.key in keys]
    for item in items:
        if not shipped(item.contestants[0]):
            print(f"left out: {item.title}, whose strategy is not shipped")
    return [
        (item, tuple(one for one in item.contestants if not one.library or shims.installed(one.library)))
        for item in items
        if shipped(item.contestants[0])
    ]


def small(keys: list[str] | None) -> int:
    """Every result beside ours at tiny sizes; 1 where one differs."""
    differ = 0
    for item, contestants in chosen(keys):
        for entry in try_out(item, contestants):
            said = entry.error or entry.agrees or "not compared"
            differ += bool(entry.error) or said.startswith("differs")
            if entry.error or entry.contestant.kind != "ours":
                print(f"{item.key}: {entry.contestant.name}: {said}", flush=True)
    print(f"{differ} differ")
    return int(differ > 0)


def full(keys: list[str] | None, out: Path | None) -> None:
    """The table on standard output, and the JSON file."""
    preload()
    rates = hardware.rates()
    print("one core: " + ", ".join(f"{key} {value:.3g}" for key, value in rates.items()))
    rows = []
    items = chosen(keys)
    print("\n| item | ours: CPU-s (+MiB) | others | limit, s | ours/limit | x faster than | goals |\n|" + " --- |" * 7)
    for item, contestants in items:
        rows.append(record(item, hold(item, contestants), rates))
        print(line(rows[-1]), flush=True)
    if out:
        written = {"machine": platform.machine(), "rates": rates, "versions": versions(), "items": rows}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny sizes: correctness only")
    parser.add_argument("--only", nargs="+", metavar="ITEM", choices=[item.key for item in ITEMS])
    parser.add_argument(
        "--out", type=Path, help=f"JSON file; a run of all items writes results/{RESULTS.name} by itself"
    )
    arguments = parser.parse_args()
    if arguments.small:
        return small(arguments.only)
    full(arguments.only, arguments.out or (None if arguments.only else RESULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
