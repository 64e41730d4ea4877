"""What every stage does around its one function."""

import atexit
import ctypes
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits

from al_plugin import layout
from al_plugin.config import Params, check_version, read_params
from al_plugin.errors import AlError, CampaignError


def run(name: str, work: Callable[[Params], None]) -> None:
    """Run one stage: die with DVC, hold the stage's lock, read params, work; one line on error.

    Exits with 1 after an ``AlError``; any other exception is a bug and keeps its traceback.
    """
    die_with_parent()
    # Collecting garbage while torch, MLflow or great-expectations are imported, and once more at the
    # end, takes a third of a stage's time; long work still collects, but seldom.
    gc.set_threshold(100_000, 50, 1000)
    atexit.register(gc.freeze)
    try:
        params = load_params()
        check_version(params)
        with open(_lock_file(name), "w", encoding="utf-8") as lock:
            # A killed DVC may have left its child at work; wait until it has ended.
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Sums over several threads add up in another order, so the count is part of the result.
            threadpool_limits(params.campaign.threads)
            work(params)
    except AlError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # no space, no permission
        print(f"{name}: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)


def load_params(root: str = ".") -> Params:
    """Settings of the campaign at ``root``; CampaignError where there is none."""
    path = Path(root, layout.PARAMS)
    if not path.is_file():
        raise CampaignError(f"{path} is not there", change="run in a campaign's root, or start one with `al init`")
    return read_params(path.read_bytes())


def die_with_parent() -> None:
    """Under DVC on Linux: be killed when the process that started this one dies."""
    if "DVC_STAGE" not in os.environ or sys.platform != "linux":
        return
    parent = os.getppid()
    pr_set_pdeathsig = 1
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # the parent died in between


def _lock_file(name: str) -> Path:
    folder = Path(layout.PRIVATE, "locks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.lock"
