"""git and dvc, called as commands. Nobody imports dvc."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from al_plugin.errors import CampaignError
from al_plugin.foreign import visible, without_secrets

# DVC and MLflow report home by default; here they do not unless the user says so.
_QUIET = {
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def git(*arguments: str, cwd: str | Path = ".", env: Mapping[str, str] | None = None) -> str:
    """Output of a git command, stripped; CampaignError with git's own words if it fails."""
    values = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, env=values, capture_output=True, check=False)
    except FileNotFoundError:
        raise CampaignError("git is not installed", change="install git") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        said = next((line for line in words if line.startswith(("fatal:", "error:"))), words[-1])
        raise CampaignError(f"git {arguments[0]} failed: {said}")
    return done.stdout.decode(errors="surrogateescape").strip()


def git_bytes(*arguments: str, cwd: str | Path = ".", content: bytes | None = None) -> bytes | None:
    """Raw output of a git command, or None if it fails (an object that is not there)."""
    done = subprocess.run(["git", *arguments], cwd=cwd, input=content, capture_output=True, check=False)
    return None if done.returncode else done.stdout


def changes(base: str, *paths: str) -> dict[str, str]:
    """A, M, D or T of each tracked file under ``paths`` that differs from a commit, by path from the current folder."""
    words = git("diff", "--name-status", "--no-renames", "-z", "--relative", base, "--", *paths).split("\0")
    return dict(zip(words[1::2], words[::2], strict=False))


def require_git(cwd: str | Path = ".") -> Path:
    """The Git work tree that holds ``cwd``; CampaignError if there is none."""
    try:
        return Path(git("rev-parse", "--show-toplevel", cwd=cwd))
    except CampaignError as error:
        if "not installed" in str(error):
            raise
        raise CampaignError(f"{Path(cwd).resolve()} is not in a Git repository", change="run git init") from None


def require_dvc(cwd: str | Path = ".") -> None:
    """CampaignError unless ``cwd`` is the root of a DVC repository."""
    if not Path(cwd, ".dvc").is_dir():
        raise CampaignError(f"{Path(cwd).resolve()} is not a DVC repository", change="run dvc init")


# Without -P a dvc.py of the current folder would run in DVC's place, and `al ci check` is to run no code of a branch.
_DVC = (sys.executable, "-P", "-m", "dvc")


def dvc(*arguments: str, cwd: str | Path = ".") -> str:
    """Output of dvc, run with this Python; CampaignError with the first words of complaint if it fails."""
    command = [*_DVC, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, check=False)
    if done.returncode:
        raise _dvc_failed(arguments[0], (done.stderr or done.stdout).decode(errors="replace").splitlines())
    return done.stdout.decode(errors="replace").strip()


def dvc_aloud(*arguments: str, held: Sequence[int] = ()) -> None:
    """The same for long work: what DVC and its stages print is passed on while they run.

    DVC inherits the file descriptors ``held``, so that a lock on one outlives a killed caller.
    """
    sys.stdout.flush()
    command = [*_DVC, *arguments]
    said: list[str] = []
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, pass_fds=held) as running:
        for line in running.stderr or ():
            said.append(line.decode(errors="replace").rstrip())
            sys.stderr.write(f"{visible(without_secrets(said[-1]))}\n")
    if running.returncode:
        raise _dvc_failed(arguments[0], said)


def _dvc_failed(command: str, said: Sequence[str]) -> CampaignError:
    # A stage's own line stands before DVC's, which only says that the stage failed.
    lines = [line for line in said if line.strip() and not line.startswith("WARNING")]
    if lines and lines[0].startswith("Traceback"):  # a bug; its last line says what
        lines = [line for line in lines if not line.startswith(("ERROR", " "))][-1:]
    reason = f": {lines[0].removeprefix('ERROR: ')}" if lines else ""
    return CampaignError(f"dvc {command} failed{reason}")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with this Python first on PATH, and telemetry off unless set."""
    values = {**_QUIET, **os.environ, **(extra or {})}
    values["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), values.get("PATH", "")])
    return values
