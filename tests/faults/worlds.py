"""A small campaign, kept at each step of a round, so that a fault can strike one step and be compared."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]  # also when run as a script

import campaigns  # noqa: E402
from conftest import commit, tree  # noqa: E402

from al_plugin import commands, layout  # noqa: E402
from al_plugin.documents import read_yaml  # noqa: E402

PYTHON = sys.executable
AL = (PYTHON, "-m", "al_plugin.cli.main")
DVC = (PYTHON, "-m", "dvc", "repro", "--quiet")
SHEET = "answers.csv"


@dataclass(frozen=True)
class Verb:
    """What is struck: the command, the process in it, the state before, the state at the end."""

    name: str
    command: tuple[str, ...]
    program: str
    before: str
    after: str
    stage: str = ""


VERBS = {
    verb.name: verb
    for verb in (
        Verb("query export", (*AL, "query", "export", "sheet.csv"), "-m al_plugin.cli.main query", "asked", "exported"),
        Verb("labels add", (*AL, "labels", "add", SHEET), "-m al_plugin.cli.main labels", "filled", "added"),
        Verb("oracle", (*AL, "oracle"), "-m al_plugin.cli.main oracle", "asked", "answered"),
        Verb("merge", (*DVC, "select"), "pipelines/merge_labels.py", "labelled", "selected", "merge-labels"),
        Verb("train", (*DVC, "select"), "pipelines/train.py", "merged", "selected", "train"),
        Verb("score", (*DVC, "select"), "pipelines/score.py", "trained", "selected", "score"),
        Verb("select", (*DVC, "select"), "pipelines/select_query.py", "scored", "selected", "select"),
        Verb("track", DVC, "pipelines/track.py", "selected", "tracked", "track"),
        Verb("dvc repro", (*DVC, "select"), "-m dvc", "labelled", "selected"),
        Verb("dvc from run-cache", (*DVC, "select"), "-m dvc", "labelled", "selected"),
        Verb("dvc, any time", DVC, "", "labelled", "tracked"),
    )
}
_STAGES = (("merge-labels", "merged"), ("train", "trained"), ("score", "scored"), ("select", "selected"))
_ORDER = ("labelled", "merged", "trained", "scored", "selected", "tracked")


class World:
    """Folders of one campaign at each step, all in ``root``; made once, copied for each fault."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = commands.environment({"DVC_SITE_CACHE_DIR": str(root / "site"), "GIT_OPTIONAL_LOCKS": "0"})
        for name in ("MLFLOW_TRACKING_URI", "DVC_STAGE", "DVC_ROOT", "AL_FAULT", "AL_FAULT_LOG"):
            self.environment.pop(name, None)

    def at(self, step: str) -> Path:
        return self.root / step

    def build(self, *, quick: bool = False) -> "World":
        """Every step of round 1, undisturbed; ``quick`` leaves out single stages, MLflow and `al labels add`."""
        if (self.root / "built").exists():
            return self
        self.root.mkdir(parents=True, exist_ok=True)
        here = campaigns.start(self.root / "now", "vectors")
        self.must(here, *DVC, *(["select"] if quick else []))
        commit(here, "Round 0")
        self.keep(here, "asked")
        self.watched(here, "query export")
        self.keep(here, "exported")
        if not quick:
            self.fill(here)
            self.keep(here, "filled")
            self.watched(here, "labels add")
            self.keep(here, "added")
        shutil.rmtree(here)
        shutil.copytree(self.at("asked"), here, symlinks=True)
        self.watched(here, "oracle")
        self.keep(here, "answered")
        commit(here, "Label round 1")
        self.keep(here, "labelled")
        if quick:
            self.must(here, *DVC, "select")
            self.keep(here, "selected")
        else:
            for (stage, step), name in zip(_STAGES, ("merge", "train", "score", "select"), strict=True):
                self.watched(here, name, *DVC, "--single-item", stage)
                self.keep(here, step)
            self.watched(here, "track")
            self.keep(here, "tracked")
            self.watched(self.copy(VERBS["dvc repro"], self.root / "whole"), "dvc repro")
        ready = self.copy(VERBS["dvc from run-cache"], self.root / "ready", ready=True)
        self.watched(ready, "dvc from run-cache")
        for scratch in ("now", "whole", "ready"):
            shutil.rmtree(self.root / scratch, ignore_errors=True)
        (self.root / "built").touch()
        return self

    def watched(self, here: Path, name: str, *command: str) -> None:
        """A verb undisturbed, with a note of every change of a file that its process makes."""
        verb = VERBS[name]
        fault = f"{verb.program}|kill|0"
        done = self.run(here, *(command or verb.command), fault=fault, log=self.root / f"{name}.events")
        assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"

    def events(self, name: str) -> list[tuple[bool, str]]:
        """Changes that a verb makes, in order: whether it empties a file, and which."""
        lines = (self.root / f"{name}.events").read_text().splitlines()
        return [(words[2] == "1", words[3]) for words in (line.split(" ", 3) for line in lines)]

    def keep(self, here: Path, step: str) -> None:
        shutil.copytree(here, self.at(step), symlinks=True)

    def fill(self, here: Path) -> None:
        """Answer the sheet as a person would, by the answer key."""
        known = dict(line.split(",") for line in (here / layout.ORACLE).read_text().splitlines())
        header, *rows = (here / "sheet.csv").read_text().splitlines()
        names = header.split(",")
        filled = [header]
        for row in rows:
            cells = dict(zip(names, row.split(","), strict=True))
            cells |= {"label": known[cells["sample_id"]], "annotator": "ann"}
            filled.append(",".join(cells[name] for name in names))
        (here / SHEET).write_text("\n".join(filled) + "\n")

    def copy(self, verb: Verb, to: Path, *, ready: bool = False) -> Path:
        """The campaign as it is before the verb; later stages, or with ``ready`` all, stand in the run-cache.

        They are taken from there only where what they read is what it was in the undisturbed round.
        """
        shutil.copytree(self.at(verb.before), to, symlinks=True)
        later = (
            [stage for stage, step in _STAGES if _ORDER.index(step) > _ORDER.index(verb.before)] if verb.stage else []
        )
        wanted = [stage for stage, _ in _STAGES] if ready else later[1:]
        if wanted:
            self.give_run_cache(to, wanted)
        return to

    def give_run_cache(self, to: Path, stages: list[str]) -> None:
        done = self.at("selected") / ".dvc" / "cache"
        lock = read_yaml((self.at("selected") / layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK)["stages"]
        mine = {lock[stage]["cmd"] for stage in stages}
        for run in (done / "runs").rglob("*"):
            if run.is_file() and read_yaml(run.read_bytes(), run.name)["cmd"] in mine:
                self._bring(run, done, to)
        for stage in stages:
            for out in lock[stage]["outs"]:
                path = done / "files" / "md5" / out["md5"][:2] / out["md5"][2:]
                self._bring(path, done, to)
                if path.suffix == ".dir":
                    for entry in json.loads(path.read_bytes()):
                        self._bring(done / "files" / "md5" / entry["md5"][:2] / entry["md5"][2:], done, to)

    def _bring(self, path: Path, done: Path, to: Path) -> None:
        target = to / ".dvc" / "cache" / path.relative_to(done)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    def run(self, where: Path, *words: str, fault: str = "", log: Path | None = None) -> subprocess.CompletedProcess:
        """A command in a campaign, with a fault in one of its processes."""
        env = dict(self.environment)
        if fault:
            env |= injected(env, fault)
        if log is not None:
            env["AL_FAULT_LOG"] = str(log)
        return subprocess.run(words, cwd=where, env=env, capture_output=True, text=True, check=False)

    def must(self, where: Path, *words: str) -> str:
        done = self.run(where, *words)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def differences(self, verb: Verb, here: Path) -> list[str]:
        """What is not as in the undisturbed round: files byte for byte, Git's index, runs in MLflow, processes."""
        there = self.at(verb.after)
        found = [f"process {number} is alive" for number in processes_in(here)]
        mine, theirs = (kept_files(folder) for folder in (here, there))
        found += [f"{path} is missing" for path in sorted(theirs.keys() - mine.keys())]
        found += [f"{path} is too many" for path in sorted(mine.keys() - theirs.keys())]
        found += [f"{path} differs" for path in sorted(mine.keys() & theirs.keys()) if mine[path] != theirs[path]]
        # Where a round was computed is written by train itself; DVC's run-cache does not bring it.
        others = ("--", ".", f":!{layout.ENVIRONMENTS}")
        for words in (("status", "--porcelain", *others), ("ls-files", "--stage", *others)):
            if commands.git(*words, cwd=here) != commands.git(*words, cwd=there):
                found.append(f"git {words[0]} differs: {commands.git(*words, cwd=here)[:300]!r}")
        if told(here) != told(there):
            found.append(f"MLflow was told otherwise: {str(told(here))[:300]}")
        return found


def injected(env: Mapping[str, str], fault: str) -> dict[str, str]:
    """Variables that make child processes import the faults."""
    path = os.pathsep.join([str(HERE / "injection"), *filter(None, [env.get("PYTHONPATH", "")])])
    return {"AL_FAULT": fault, "PYTHONPATH": path}


def kept_files(root: Path) -> dict[str, bytes]:
    """Files of a campaign that must come out alike: not what a kill leaves of one being written, which nobody reads."""
    return {path: content for path, content in tree(root).items() if not path.endswith(".writing")}


def told(root: Path) -> tuple:
    """Runs that MLflow holds: name, kind, whether finished telling, and every metric with its step."""
    path = root / "mlflow.db"
    if not path.exists():
        return ()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
        runs = base.execute("select run_uuid, name, status from runs where lifecycle_stage = 'active'").fetchall()
        names = {run: name for run, name, _ in runs}
        tags = base.execute("select run_uuid, key, value from tags where key in ('al.kind', 'al.complete', 'al.key')")
        metrics = base.execute("select run_uuid, key, value, step from metrics")
        models = base.execute("select name, version from model_versions").fetchall()
        return (
            sorted((name, status) for _, name, status in runs),
            sorted((names[run], key, value) for run, key, value in tags if run in names),
            sorted((names[run], key, value, step) for run, key, value, step in metrics if run in names),
            sorted(models),
        )


def processes_in(folder: Path) -> list[int]:
    """Live processes that work in a folder or below, but for this one."""
    found = []
    for name in sorted(set(os.listdir("/proc")) - {str(os.getpid())}):
        try:
            inside = name.isdigit() and Path(os.readlink(f"/proc/{name}/cwd")).is_relative_to(folder)
            if inside and Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(name))
        except OSError:
            continue
    return found
