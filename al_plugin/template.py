"""What `al init` writes: the stage scripts, dvc.yaml, params.yaml, suite, folders, ignore files."""

from importlib import resources
from pathlib import Path

import al_plugin
from al_plugin import __version__, layout
from al_plugin.errors import CampaignError

SCRIPTS = ("merge_labels.py", "train.py", "score.py", "select_query.py", "track.py")

_FOLDER_NOTES = {
    layout.LABELS: "Label rounds, one folder `round_NNNN` each: the query that was asked, and one CSV per batch\n"
    "and annotator. File answers with `al labels add FILE`; files here are never edited.\n",
    layout.MANIFESTS: "SHA-256 of every file in data/labels, always in Git, so that a missing or altered label file\n"
    "is refused.\n",
    layout.QUERIES: "Queries handed to people and not answered yet. `al query export FILE` files one here,\n"
    "`al query withdraw` sets it aside.\n",
}


def source(name: str) -> Path:
    """A shipped file: inside the installed package, or in the checkout that it runs from."""
    packaged = Path(str(resources.files(al_plugin))) / "template" / name
    checkout = Path(al_plugin.__file__).parent.parent / name
    return packaged if packaged.exists() else checkout


def files(name: str, classes: tuple[str, ...]) -> dict[str, str]:
    """Text of every file of a new campaign, by path."""
    texts = {f"pipelines/{script}": source(f"pipelines/{script}").read_text("utf-8") for script in SCRIPTS}
    texts[layout.DVC_YAML] = pipeline(source("dvc.yaml").read_text("utf-8"))
    texts[layout.PARAMS] = params(source("params.yaml").read_text("utf-8"), name, classes)
    texts[layout.SUITE] = source(layout.SUITE).read_text("utf-8")
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


def params(text: str, name: str, classes: tuple[str, ...]) -> str:
    """The shipped params.yaml for another campaign: name, experiment, classes, plugin version."""
    values = {
        "  name:": name,
        "  experiment:": f"al/{name}",
        "  classes:": "[" + ", ".join(_quoted(label) for label in classes) + "]",
        "  plugin_version:": f'"{__version__}"',
    }
    lines = []
    for line in text.splitlines():
        key = next((key for key in values if line.startswith(key)), None)
        lines.append(line if key is None else f"{key} {values[key]}")
    return "\n".join(lines) + "\n"


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
            "gx/** -text",
            "pipelines/** -text",
            "dvc.lock -text",
            "*.dvc merge=dvc",
        ),
    }


def write(root: Path, name: str, classes: tuple[str, ...]) -> list[str]:
    """Write a campaign into ``root`` and return the paths written; refuses to overwrite anything."""
    texts = files(name, classes)
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
    for path, lines in ignore_lines().items():
        if _append(root / path, lines):
            written.append(path)
    return written


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
