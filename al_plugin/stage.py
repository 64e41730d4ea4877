"""What every stage does around its one function."""

import atexit
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from threadpoolctl import threadpool_limits

from al_plugin import layout, ranks, waiting
from al_plugin.config import check_version, read_params
from al_plugin.errors import AlError, CampaignError
from al_plugin.foreign import printable
from al_plugin.settings import Params

# Stages that read what people file.
_READS_FILED = ("merge-labels", "select")


def run(name: str, work: Callable[[Params], None]) -> None:
    """Run one stage: die with DVC, hold the stage's lock, read params, work; one line on error.

    Another process of the same stage (``ranks``) works under the first one's lock and dies with it.
    Exits with 1 after an ``AlError``; any other exception is a bug and keeps its traceback.
    """
    die_with_parent()
    # Collecting garbage while torch, MLflow or great-expectations are imported, and once more at the
    # end, takes a third of a stage's time; long work still collects, but seldom.
    gc.set_threshold(100_000, 50, 1000)
    atexit.register(gc.freeze)
    ranks.may_start_others(sys.argv[0])
    try:
        params = load_params()
        check_version(params)
        with _lock(name) if ranks.is_first() else nullcontext(), _while_read(name):
            # Sums over several threads add up in another order, so the count is part of the result.
            threadpool_limits(params.campaign.threads)
            work(params)
    except AlError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # no space, no permission
        told = printable(f"{error.filename or ''}: {error.strerror or error}")
        print(f"{name}: {told}", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print(f"{name}: not enough memory", file=sys.stderr)
        sys.exit(1)


def load_params(root: str = ".") -> Params:
    """Settings of the campaign at ``root``; CampaignError where there is none."""
    path = Path(root, layout.PARAMS)
    if not path.is_file():
        raise CampaignError(f"{path} is not there", change="run in a campaign's root, or start one with `al init`")
    return read_params(path.read_bytes())


def die_with_parent() -> None:
    """Under DVC, or as another process of a stage, on Linux: be killed when what started this one dies."""
    started = "DVC_STAGE" in os.environ or not ranks.is_first()
    if not started or sys.platform != "linux":
        return
    parent = ranks.first() or os.getppid()
    if not ranks.first() and _adopted_by(parent):
        sys.exit(1)  # DVC died while this process was importing, and a next one may be at work
    pr_set_pdeathsig = 1
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # the parent died in between


def _adopted_by(parent: int) -> bool:
    """Whether the parent is no DVC but who takes in orphans: of another session, or the system's first process."""
    try:
        if os.getsid(parent) != os.getsid(0):
            return True
        command = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return True  # it is gone this instant
    return parent == 1 and b"dvc" not in command and b"python" not in command


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """The stage's lock: a killed DVC may have left its child at work; wait until it has ended."""
    with waiting.alone(name, f"another {name} of this clone to end"):
        yield


@contextmanager
def _while_read(name: str) -> Iterator[None]:
    """Nobody files labels or queries while a stage reads them: it sees a batch whole, or not at all."""
    with waiting.reading() if name in _READS_FILED else nullcontext():
        yield
