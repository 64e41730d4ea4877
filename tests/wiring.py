"""What a stage's code reaches: its own script, everything that imports, and its strategy folders."""

from pathlib import Path

import grimp
import yaml

ROOT = Path(__file__).parent.parent
# Strategies are imported by name, so no import line leads to them.
FOLDERS = {
    "prepare": (),
    "merge-labels": ("merge",),
    "train": ("train",),
    "score": ("score", "select", "train"),
    "select": ("select",),
    "track": (),
}


# Files that are handed to another library by path.
BY_PATH = {"track": {"al_plugin/tracking/served.py"}}


def stages() -> dict:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def script_of(stage: dict) -> str:
    return next(dep for dep in stage["deps"] if dep.startswith("pipelines/"))


def reached(stage: str) -> set[str]:
    """Paths of the package's files that a stage can execute; strategy folders stand for their files."""
    graph = grimp.build_graph("al_plugin", "pipelines", cache_dir=None)
    script = script_of(stages()[stage]).removesuffix(".py").replace("/", ".")
    start = {script}
    for folder in FOLDERS[stage]:
        start |= {m for m in graph.modules if m.startswith(f"al_plugin.strategies.{folder}")}
    modules = set(start)
    for module in start:
        modules |= graph.find_upstream_modules(module)
    packages = {".".join(m.split(".")[:i]) for m in modules for i in range(1, len(m.split(".")))}
    paths = set()
    for module in modules | packages:
        path = module.replace(".", "/")
        if (ROOT / f"{path}.py").is_file():
            paths.add(f"{path}.py")
        elif (ROOT / path / "__init__.py").is_file():
            paths.add(f"{path}/__init__.py")
    return {_folder(path) for path in paths if path.startswith("al_plugin/")} | BY_PATH.get(stage, set())


def _folder(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:3]) if parts[1] == "strategies" and len(parts) == 4 else path


def declared(stage: str) -> set[str]:
    return {dep for dep in stages()[stage]["deps"] if dep.startswith("al_plugin/")}


def with_code_deps(text: str) -> str:
    """dvc.yaml with each stage's al_plugin deps replaced by what the stage reaches."""
    lines, stage = [], ""
    for line in text.splitlines():
        if line.startswith("  ") and line[2] not in " #" and line.endswith(":"):
            stage = line.strip().rstrip(":")
        if line.strip().startswith("- al_plugin/"):
            continue
        lines.append(line)
        if line.strip().startswith("- pipelines/"):
            lines += [f"      - {path}" for path in sorted(reached(stage))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = ROOT / "dvc.yaml"
    path.write_text(with_code_deps(path.read_text()))
