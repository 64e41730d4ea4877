"""Kill a campaign at many instants, repair, run the same command again, compare with the undisturbed round.

python tests/faults/kills.py --kills 200 --folder /tmp/al-faults   (make faults)
"""

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from worlds import AL, VERBS, Verb, World, kept_files, processes_in  # noqa: E402

# Of 200 kills; none twice. A stage makes a few dozen changes, so that nearly each instant between two is met.
SHARES = {
    "query export": 9,
    "labels add": 23,
    "oracle": 14,
    "merge": 18,
    "train": 31,
    "score": 21,
    "select": 12,
    "track": 15,
    "dvc from run-cache": 32,
    "dvc repro": 14,
    "dvc, any time": 11,
}
# Files that DVC itself writes in place.
IN_PLACE = ("dvc.lock", ".dvc/tmp/rwlock")


@dataclass(frozen=True)
class Strike:
    """One kill: of which verb, how (see injection/sitecustomize.py; ``wall``: the whole dvc, after seconds), when."""

    verb: str
    kind: str
    at: float


@dataclass(frozen=True)
class Outcome:
    """What came of a kill. ``struck`` is false where the command had ended before."""

    strike: Strike
    struck: bool
    repaired: tuple[str, ...]
    wrong: tuple[str, ...]


def plan(world: World, kills: int, seed: int) -> list[Strike]:
    """So many kills, spread over the verbs and within each over its changes of files."""
    rng = random.Random(seed)
    total = sum(SHARES.values())
    strikes: list[Strike] = []
    for name, share in SHARES.items():
        n = max(1, round(share * kills / total))
        strikes += list(_of_verb(world, name, n, rng))
    strikes = strikes[:kills]
    rng.shuffle(strikes)  # so that a run that is stopped has met every verb
    return strikes


def _of_verb(world: World, name: str, n: int, rng: random.Random) -> list[Strike]:
    if not VERBS[name].program:
        return [Strike(name, "wall", round(rng.uniform(0.1, 0.95), 3)) for _ in range(n)]
    events = world.events(name)
    emptied = [path for empties, path in events if empties]
    torn = [at for at, path in enumerate(emptied, 1) if path in IN_PLACE]
    empty = [at for at, (empties, path) in enumerate(events, 1) if empties and path in IN_PLACE]
    if not torn:  # nothing is written in place: any instant
        step = len(events) / n
        return [Strike(name, "kill", 1 + int(step * i)) for i in range(n)] if step > 1 else _all(name, len(events))
    some = [Strike(name, "torn", at) for at in rng.sample(torn, min(n // 4, len(torn)))]
    some += [Strike(name, "kill", at) for at in rng.sample(empty, min(n // 4, len(empty)))]
    rest = rng.sample(range(1, len(events) + 1), n - len(some))
    return some + [Strike(name, "kill", at) for at in sorted(rest)]


def _all(name: str, changes: int) -> list[Strike]:
    return [Strike(name, "kill", at) for at in range(1, changes + 1)]


def strike(world: World, blow: Strike, folder: Path, seconds: float = 0.0) -> Outcome:
    """Kill once, repair, run the same command again; then what is not as in the undisturbed round."""
    verb = VERBS[blow.verb]
    here = world.copy(verb, folder, ready=blow.verb == "dvc from run-cache")
    wrong: list[str] = []
    if blow.kind == "wall":
        struck = _kill_after(world, verb, here, blow.at * seconds)
        wrong += _outlived(here)
    else:
        at = blow.at if blow.kind == "cpu" else int(blow.at)
        struck = world.run(here, *verb.command, fault=f"{verb.program}|{blow.kind}|{at}").returncode != 0
    said = world.run(here, *AL, "repair")
    repaired = tuple(line for line in (said.stdout + said.stderr).splitlines() if line != "nothing to repair")
    if not (blow.verb == "query export" and (here / "sheet.csv").exists()):
        again = world.run(here, *verb.command)
        if again.returncode:
            wrong.append(f"the command fails afterwards: {(again.stderr or again.stdout).strip()[-300:]}")
    wrong += world.differences(verb, here)
    if not wrong:
        shutil.rmtree(here)
    return Outcome(blow, struck, repaired, tuple(wrong))


def _known(log: Path) -> list[Outcome]:
    """Outcomes of an earlier run in the same folder that was stopped."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    return [
        Outcome(Strike(**row["strike"]), row["struck"], tuple(row["repaired"]), tuple(row["wrong"])) for row in rows
    ]


def _kill_after(world: World, verb: Verb, here: Path, seconds: float) -> bool:
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(verb.command, cwd=here, env=world.environment, stdout=quiet, stderr=quiet)
    try:
        running.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
        return True
    return False


def _outlived(here: Path) -> list[str]:
    """What children of the killed dvc still did. One that was importing notices later, and must have written nothing."""
    before, deadline = kept_files(here), time.monotonic() + 120
    while processes_in(here) and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = [f"process {number} outlived dvc" for number in processes_in(here)]
    return alive if kept_files(here) == before else [*alive, "something was written after dvc was killed"]


def _mended(line: str) -> bool:
    return not line.startswith("al repair: ")  # what is left to a person


def table(outcomes: Sequence[Outcome]) -> str:
    """Verb, kills, byte-identical, how many `al repair` had to mend, failures."""
    lines = ["| verb | kills | byte-identical | mended by `al repair` | failures |", "|---|---|---|---|---|"]
    rows = {name: [one for one in outcomes if one.strike.verb == name and one.struck] for name in SHARES}
    every = [one for struck in rows.values() for one in struck]
    for name, own in [*rows.items(), ("all", every)]:
        identical, mended = sum(not one.wrong for one in own), sum(any(map(_mended, one.repaired)) for one in own)
        lines.append(f"| {name} | {len(own)} | {identical} | {mended} | {len(own) - identical} |")
    return "\n".join(lines)


def main() -> int:
    """Run the kills; exit code 1 if a campaign came out otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=VERBS, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="work here and leave what failed")
    arguments = parser.parse_args()
    root = (arguments.folder or Path(tempfile.mkdtemp(prefix="al-faults-"))).resolve()
    world = World(root / "world").build()
    started = time.monotonic()
    shutil.rmtree(root / "timed", ignore_errors=True)
    world.must(world.copy(VERBS["dvc, any time"], root / "timed"), *VERBS["dvc, any time"].command)
    seconds = time.monotonic() - started
    strikes = [blow for blow in plan(world, arguments.kills, arguments.seed) if arguments.only in (None, blow.verb)]
    log = root / "outcomes.jsonl"
    done = _known(log)
    left = [blow for blow in strikes if blow not in {outcome.strike for outcome in done}]
    writing = threading.Lock()

    def one(blow: Strike) -> None:
        folder = root / f"{blow.verb} {blow.kind} {blow.at}".replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
        outcome = strike(world, blow, folder, seconds)
        with writing, open(log, "a", encoding="utf-8") as told:
            done.append(outcome)
            told.write(json.dumps(asdict(outcome)) + "\n")
            if outcome.wrong or outcome.repaired or not outcome.struck:
                print(f"{len(done)}/{len(strikes)} {blow} {outcome.repaired} {outcome.wrong}", flush=True)

    with ThreadPoolExecutor(arguments.workers) as workers:
        for future in [workers.submit(one, blow) for blow in left]:
            future.result()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(table(done))
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU seconds, {time.monotonic() - started:.0f} s by the clock")
    if arguments.folder is None:
        shutil.rmtree(root)
    return 1 if any(outcome.wrong for outcome in done) else 0


if __name__ == "__main__":
    sys.exit(main())
