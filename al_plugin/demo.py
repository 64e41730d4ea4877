"""A whole campaign in a fresh folder: real data, real commands, every step committed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from al_plugin import commands, layout, store, template
from al_plugin.data.digits import CLASSES, digits
from al_plugin.errors import CampaignError

_IDENTITY = ("-c", "user.name=al demo", "-c", "user.email=al-demo@localhost")


def build(folder: Path, rounds: int, n: int, say: Callable[[str], None]) -> None:
    """Make a campaign in ``folder``, which must be empty or new, and run ``rounds`` answered rounds.

    Round 0 has no labels and no model; each later round answers the query with `al oracle`, runs
    `dvc repro` and commits.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CampaignError(f"{folder} is not empty", change="name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    say(f"starting a campaign in {folder}: git init, dvc init, al init")
    commands.git("init", "--quiet", cwd=folder)
    commands.dvc("init", cwd=folder)
    for key, value in (("core.analytics", "false"), ("core.check_update", "false")):
        commands.dvc("config", key, value, cwd=folder)
    template.write(folder, "digits-demo", CLASSES)
    _set(folder / layout.PARAMS, "  n:", str(n))
    pool, evaluation, answers = digits()
    store.write_table(folder / layout.POOL / "part-00000.parquet", pool)
    store.write_table(folder / layout.EVAL / "part-00000.parquet", evaluation)
    store.write_bytes(folder / layout.ORACLE, answers)
    commands.dvc("add", layout.POOL, layout.EVAL, cwd=folder)
    # Ignored, so that no real answer key is committed by accident; here a clone should have it.
    commands.git("add", "--force", layout.ORACLE, cwd=folder)
    commit(folder, "Start the campaign")
    for number in range(rounds + 1):
        if number:
            _al(folder, "oracle")
            commit(folder, f"Label round {number}")
        say(f"round {number}: dvc repro")
        commands.dvc("repro", cwd=folder)
        commit(folder, f"Round {number}")


def commit(folder: Path, message: str) -> None:
    """Commit everything under a neutral identity, unless nothing changed."""
    commands.git("add", "--all", cwd=folder)
    if commands.git("status", "--porcelain", cwd=folder):
        commands.git(*_IDENTITY, "commit", "--quiet", "--no-verify", "-m", message, cwd=folder)


def _al(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "al_plugin.cli.main", *arguments]
    done = subprocess.run(command, cwd=folder, env=commands.environment(), capture_output=True, check=False)
    if done.returncode:
        raise CampaignError(f"al {arguments[0]} failed in the demo: {done.stderr.decode().strip()}")


def _set(path: Path, key: str, value: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{key} {value}\n" if line.startswith(key) else f"{line}\n" for line in lines), "utf-8")
