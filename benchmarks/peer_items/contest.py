"""Let the contestants of one item run in turn, and compare their results with ours."""

import multiprocessing
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from peer_items import worker
from peer_items.item import Array, Contestant, Item

REPEATS, ITEM_SECONDS, RUN_SECONDS = 5, 20.0, 100.0


@dataclass
class Entry:
    """What one contestant did: seconds and MiB by batch size, and its last result."""

    contestant: Contestant
    share: float
    seconds: dict[int, float] = field(default_factory=dict)
    mib: float = 0.0
    error: str = ""
    result: Array | None = None
    agrees: str = ""

    def estimate(self, n: int, *, per_step: bool) -> float | None:
        """CPU seconds for the whole item, from those of a share of its rows or picks."""
        if not self.seconds:
            return None
        sizes = sorted(self.seconds)
        if len(sizes) == 1:
            return self.seconds[sizes[0]] / self.share
        few, more = sizes
        slope = max(self.seconds[more] - self.seconds[few], 0.0) / (more - few)
        whole = slope if per_step else self.seconds[few] + slope * (n - few)
        return whole / self.share

    @property
    def extrapolated(self) -> bool:
        """Whether the seconds are not those of the whole item."""
        return self.share < 1 or len(self.seconds) > 1


class Worker:
    """A contestant's process, forked."""

    def __init__(self, item: Item, entry: Entry, rows: int) -> None:
        self.entry = entry
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker.serve, args=(item, entry.contestant, rows, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self) -> dict[str, Any]:
        """The next answer, or an error where the process ended or ran too long."""
        try:
            late = not self.pipe.poll(RUN_SECONDS)
            answer = {"error": f"not done within {RUN_SECONDS:.0f} s of wall time"} if late else self.pipe.recv()
        except EOFError:
            answer = {"error": "its process ended, perhaps out of memory"}
        self.entry.error = str(answer.get("error", ""))
        return dict(answer)

    def run(self, n: int) -> None:
        """One run, noted in the entry."""
        self.pipe.send(n)
        note(self.entry, n, self.hear())

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def note(entry: Entry, n: int, answer: dict[str, Any]) -> None:
    """Keep the best seconds, the largest memory and the last result."""
    if "error" not in answer:
        entry.seconds[n] = min(entry.seconds.get(n, float("inf")), answer["cpu_s"])
        entry.mib = max(entry.mib, answer["mib"])
        entry.result = answer["result"]


def hold(item: Item, contestants: tuple[Contestant, ...]) -> list[Entry]:
    """All contestants of an item in turn, up to REPEATS times within ITEM_SECONDS; each at least once."""
    entries = [Entry(one, one.share) for one in contestants]
    workers = [Worker(item, entry, max(int(item.rows * entry.share), 1)) for entry in entries]
    try:
        for one in workers:
            one.hear()
        started = time.monotonic()
        for repeat in range(REPEATS):
            for one in workers:
                spent = sum(one.entry.seconds.values())
                late = time.monotonic() - started + spent > ITEM_SECONDS
                for n in one.entry.contestant.sizes or (item.n,):
                    # What takes long is as exact after one run.
                    if not one.entry.error and not (repeat and (late or spent > ITEM_SECONDS / 10)):
                        one.run(n)
    finally:
        for one in workers:
            one.end()
    compare(item, entries, item.rows)
    return entries


def try_out(item: Item, contestants: tuple[Contestant, ...]) -> list[Entry]:
    """All contestants once, in this process, at the small size: for their results."""
    entries = [Entry(one, 1.0) for one in contestants]
    inputs = item.inputs(item.small_rows)
    for entry in entries:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                note(entry, item.small_n, worker.measured(entry.contestant.prepare(inputs), item.small_n))
        except Exception as error:  # noqa: BLE001 - one contestant's failure is its entry in the table
            entry.error = f"{type(error).__name__}: {error}"
    compare(item, entries, item.small_rows)
    return entries


def compare(item: Item, entries: list[Entry], rows: int) -> None:
    """Say for each entry how it agrees with ours: ``equal``, ``differs: why`` or nothing where there is no telling."""
    ours = entries[0].result
    for entry in entries:
        if entry.result is None or ours is None or not entry.contestant.checked:
            continue
        entry.agrees = verdict(item, ours, entry, rows)


def verdict(item: Item, ours: Array, entry: Entry, rows: int) -> str:
    """How one result agrees with ours."""
    theirs = entry.contestant.as_ours(entry.result)
    if item.agree in ("scores", "shifted"):
        return _scores(ours[: len(theirs)], theirs, shifted=item.agree == "shifted") if _same_rows(item, entry) else ""
    if item.agree == "batch":
        return "" if entry.contestant.kind != "ours" or len(np.unique(theirs)) == len(theirs) else "differs: repeats"
    if item.agree == "picks":
        return _picks(ours, theirs) if entry.share == 1 else ""
    if item.quality is not None and len(theirs) == len(ours):
        inputs = item.inputs(rows)
        mine, other = item.quality(inputs, ours), item.quality(inputs, theirs)
        ratio = mine / other if mine > 0 else other / mine
        return (
            f"objective {ratio:.3f} of theirs"
            if ratio >= 1 - item.slack
            else f"differs: objective {ratio:.3f} of theirs"
        )
    return ""


def _same_rows(item: Item, entry: Entry) -> bool:
    return entry.share == 1 or item.key.startswith(("entropy", "margin", "confidence"))


def _scores(ours: Array, theirs: Array, *, shifted: bool) -> str:
    if shifted:
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    gap = np.abs(ours - theirs)
    if np.isnan(gap).any():
        return f"differs: {int(np.isnan(gap).sum())} NaN"
    far = gap > 2e-4 + 1e-3 * np.abs(theirs)
    return f"differs: {int(far.sum())} of {len(far)}, by up to {gap.max():.2g}" if far.any() else "equal"


def _picks(ours: Array, theirs: Array) -> str:
    both = min(len(ours), len(theirs))
    if np.array_equal(ours[:both], theirs[:both]):
        return f"equal ({both} picks)"
    first = int(np.flatnonzero(ours[:both] != theirs[:both])[0])
    shared = len(np.intersect1d(ours[:both], theirs[:both]))
    return f"differs: from pick {first + 1} on, {shared} of {both} shared"
