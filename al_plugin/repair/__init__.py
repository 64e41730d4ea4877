"""What a kill, a full disk or a broken disk can leave behind, and the way back. Nothing is deleted: it is set aside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from al_plugin import commands, ledger
from al_plugin.errors import AlError
from al_plugin.repair import cache, leftovers, locks, pointers, unmerged
from al_plugin.repair.fault import Fault


@dataclass(frozen=True)
class Mended:
    """One line on each thing that was done, and on each that is left to a person."""

    done: tuple[str, ...]
    left: tuple[str, ...]


def faults(*, deep: bool = False) -> Iterator[Fault]:
    """What is broken, found by looking only; ``deep`` reads and hashes every file of the DVC cache.

    The campaign is the current folder. Hold ``locks.dvc_at_rest`` meanwhile.
    """
    yield from locks.stale()
    yield from pointers.torn()
    yield from leftovers.unfinished()
    yield from _of_labels()
    if deep:
        yield from cache.damaged()


def mend(*, deep: bool = False) -> Mended | None:
    """Mend what can be mended; None, and nothing touched, where DVC is writing here this instant."""
    with locks.dvc_at_rest() as at_rest:
        if not at_rest:
            return None
        found = list(faults(deep=deep))
        done = tuple(fault.mend() for fault in found if fault.mend is not None)
    return Mended(done, tuple(fault.text for fault in found if fault.mend is None))


def mended() -> tuple[str, ...]:
    """Mend before a command that calls DVC; what was done. What is left to a person that command meets itself."""
    done = mend()
    return done.done if done else ()


def _of_labels() -> Iterator[Fault]:
    """A label batch whose filing was killed (what is there is whole, other files may be missing), or one not merged."""
    if not Path(".dvc").is_dir() or commands.git_bytes("rev-parse", "--git-dir") is None:
        return
    try:
        rounds = ledger.read_rounds()
    except AlError as error:
        try:
            ledger.read_rounds(interrupted=True)
        except AlError:
            return  # more than a killed filing: `al doctor` and the stages say what
        yield Fault(f"a label batch is half filed ({error.found}): run the `al labels add` that was stopped again")
        return
    yield from unmerged.pinned(rounds)
