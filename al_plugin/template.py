"""What `al init` writes: the stage scripts, dvc.yaml, params.yaml, suite, folders, ignore files."""

import json
from importlib import resources
from pathlib import Path

import al_plugin
from al_plugin import __version__, layout, targets
from al_plugin.errors import CampaignError

SCRIPTS = ("merge_labels.py", "train.py", "score.py", "select_query.py", "track.py")

_FOLDER_NOTES = {
    layout.LABELS: "Label rounds, one folder `round_NNNN` each: the query that was asked, and one CSV per batch\n"
    "and annotator. File answers with `al labels add FILE`; files here are never edited.\n",
    layout.MANIFESTS: "SHA-256 of every file in data/labels, always in Git, so that a missing or altered label file\n"
    "is refused.\n",
    layout.QUERIES: "Queries handed to people, one file each; files here are never edited or deleted. `al query\n"
    "export FILE` files one, `al query withdraw` marks it as withdrawn.\n",
    layout.ENVIRONMENTS: "What computed each round: versions, torch build, threads, processor. Written by train, to\n"
    "be committed; nothing is computed from it. `al replay` names what has changed since.\n",
    layout.START: "The model that `train` starts from where params.yaml sets `train.warm_start`; `al warm-start`\n"
    "copies the current one here and tracks it with DVC, `al warm-start --off` takes it out.\n",
}


def source(name: str) -> Path:
    """A shipped file: inside the installed package, or in the checkout that it runs from."""
    packaged = Path(str(resources.files(al_plugin))) / "template" / name
    checkout = Path(al_plugin.__file__).parent.parent / name
    return packaged if packaged.exists() else checkout


def note(folder: str) -> str:
    """What a folder's README.md says."""
    return _FOLDER_NOTES[folder]


def files(name: str, classes: tuple[str, ...], task: str = targets.CLASSES) -> dict[str, str]:
    """Text of every file of a new campaign, by path."""
    texts = {f"pipelines/{script}": source(f"pipelines/{script}").read_text("utf-8") for script in SCRIPTS}
    texts[layout.DVC_YAML] = pipeline(source("dvc.yaml").read_text("utf-8"))
    texts[layout.PARAMS] = params(source("params.yaml").read_text("utf-8"), name, classes, task)
    texts[layout.SUITE] = suite(source(layout.SUITE).read_text("utf-8"), task)
    texts |= {f"{folder}/README.md": note for folder, note in _FOLDER_NOTES.items()}
    return texts


def pipeline(text: str) -> str:
    """The shipped dvc.yaml without its `prepare` stage and without this package's own files.

    An installed plugin is no file of the repository: params.yaml pins its version instead.
    """
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.startswith("  ") and not line.startswith("   ") and line.endswith(":"):
            skipping = line.strip() == "prepare:"
        if not skipping and not line.strip().startswith("- al_plugin/"):
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def suite(text: str, task: str) -> str:
    """The shipped suite, with words for a label that the task does not allow."""
    if task == targets.CLASSES:
        return text
    reason, remedy = {
        targets.MULTILABEL: (
            "the label is not a set of campaign.classes",
            f"write names exactly, joined by {targets.SEPARATOR} and each once; for none of them status empty",
        ),
        targets.REGRESSION: (
            "the label is not a number",
            "write a finite decimal number with a point, such as 3.5 or -2e-3",
        ),
    }[task]
    found = json.loads(text)
    for rule in found["expectations"]:
        if rule["meta"]["rule"] == "label_allowed":
            rule["description"] = f"{reason.capitalize()}."
            rule["meta"] |= {"reason": reason, "remedy": remedy}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def params(text: str, name: str, classes: tuple[str, ...], task: str = targets.CLASSES) -> str:
    """The shipped params.yaml for another campaign: name, experiment, classes, task, plugin version."""
    values = {
        "  name:": name,
        "  experiment:": f"al/{name}",
        "  classes:": "[" + ", ".join(_quoted(label) for label in classes) + "]",
        "  plugin_version:": f'"{__version__}"',
    }
    if task != targets.CLASSES:
        values["  classes:"] += f"\n  task: {task}"
        values["  criteria:"] = "{}                 # plateau, labels, money: docs/tasks.md"
        metrics = targets.of(task, classes).metrics
        values["  metric:"] = f"{metrics[0]}              # on the evaluation set: or {', '.join(metrics[1:])}"
    lines = []
    for line in text.splitlines():
        key = next((key for key in values if line.startswith(key)), None)
        lines.append(line if key is None else f"{key} {values[key]}")
    made = "\n".join(lines) + "\n"
    return made.replace("  strategy: majority\n", "  strategy: mean\n") if task == targets.REGRESSION else made


def ignore_lines() -> dict[str, tuple[str, ...]]:
    """Lines that the campaign's ignore and attribute files must hold."""
    outputs = ("pool", "eval", "oracle")
    return {
        ".gitignore": (
            *(f"/data/{folder}" for folder in outputs),
            *(f"/{folder}" for folder in layout.OUTPUTS),
            "/.al",
            "/mlflow.db",
            "/mlruns",
            "/gx/uncommitted",
            "__pycache__/",
            "*.pyc",
            ".*.writing",
        ),
        ".dvcignore": (
            *("__pycache__/", "*.pyc", ".ipynb_checkpoints/", ".pytest_cache/", ".DS_Store", ".*.writing"),
            *("/.al", "/mlruns", "/gx/uncommitted", ".venv/"),
        ),
        ".gitattributes": (
            "data/labels/** -text",
            "data/manifests/** -text",
            "data/queries/** -text",
            "data/environments/** -text",
            # Each line stands for itself: those of two branches are all true.
            "data/environments/*.jsonl merge=union",
            "gx/** -text",
            "pipelines/** -text",
            # Never half of each side: whichever side is kept, `dvc repro` makes it whole.
            "dvc.lock -text",
            "dvc.lock -merge",
            "*.dvc merge=dvc",
            "data/queries/released.txt merge=union",
        ),
    }


def write(root: Path, name: str, classes: tuple[str, ...], task: str = targets.CLASSES) -> list[str]:
    """Write a campaign into ``root`` and return the paths written; refuses to overwrite anything."""
    texts = files(name, classes, task)
    in_the_way = [path for path in texts if (root / path).exists()]
    if in_the_way:
        raise CampaignError(
            f"{', '.join(in_the_way[:5])} exist already, so nothing was written",
            change="move them away, or start the campaign in a folder of its own",
        )
    written = []
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written + complete_ignore_files(root)


def complete_ignore_files(root: Path) -> list[str]:
    """Add the lines that ignore and attribute files lack; the paths that changed."""
    return [path for path, lines in ignore_lines().items() if _append(root / path, lines)]


def _append(path: Path, lines: tuple[str, ...]) -> bool:
    """Add the lines a file lacks under a heading; what is there stays."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lacking = [line for line in lines if line not in text.splitlines()]
    if lacking:
        start = f"{text.rstrip()}\n\n" if text.strip() else ""
        added = "\n".join(["# active learning (al init)", *lacking])
        path.write_text(f"{start}{added}\n", encoding="utf-8", newline="\n")
    return bool(lacking)


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
