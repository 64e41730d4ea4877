"""What DVC sees is what runs: deps cover imports, outputs are cached and ignored, no oracle."""

import subprocess
import sys
from pathlib import Path

import pytest
import wiring
import yaml
from conftest import CLASSES, ROOT

from al_plugin import layout, template

STAGES = wiring.stages()


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_what_the_stage_imports(stage: str) -> None:
    """An edit of any file a stage can execute makes it run again; `python tests/wiring.py` rewrites the list."""
    assert wiring.declared(stage) == wiring.reached(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_depends_on_the_whole_package(stage: str) -> None:
    assert "al_plugin" not in STAGES[stage]["deps"]
    assert "al_plugin/strategies" not in STAGES[stage]["deps"]


def outputs() -> list[tuple[str, str, dict]]:
    found = []
    for name, stage in STAGES.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
                found.append((name, path, options))
    return found


def test_every_output_is_cached() -> None:
    """One `cache: false` output that is no metric bars a stage from the run-cache."""
    assert all(options.get("cache", True) for _, _, options in outputs())


def test_track_is_a_sink() -> None:
    assert not [path for stage, path, _ in outputs() if stage == "track"]


@pytest.mark.parametrize("path", sorted({path for _, path, _ in outputs()}))
def test_outputs_are_ignored_by_git_here_and_in_new_campaigns(path: str) -> None:
    """A failing repro takes DVC's own .gitignore lines back, so ours stand on their own."""
    root_lines = (ROOT / ".gitignore").read_text().splitlines()
    for lines in (root_lines, template.ignore_lines()[".gitignore"]):
        assert any(f"/{path}".startswith(f"{line}/") or f"/{path}" == line for line in lines), path


@pytest.mark.parametrize("stage", ["merge-labels", "train", "score", "select", "track"])
def test_no_stage_of_the_loop_reads_the_oracle(stage: str) -> None:
    """Neither as a dependency nor in the code it reaches."""
    assert not [dep for dep in STAGES[stage]["deps"] if "oracle" in dep]
    for path in [*wiring.reached(stage), wiring.script_of(STAGES[stage])]:
        files = sorted((ROOT / path).glob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]
        for file in files:
            if file.name != "layout.py":
                assert "layout.ORACLE" not in file.read_text(), file


@pytest.mark.parametrize("script", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda p: p.name)
def test_stage_scripts_are_thin(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= 40


@pytest.mark.parametrize("script", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda p: p.name)
def test_stage_scripts_spell_no_path(script: Path) -> None:
    """Paths stand in layout.py alone."""
    assert not [f for f in ("data/", "merged/", "model/", "metrics/") if f'"{f}' in script.read_text()]


def test_layout_and_dvc_yaml_name_the_same_outputs() -> None:
    named = {value for key, value in vars(layout).items() if key.isupper() and isinstance(value, str)}
    for _, path, _ in outputs():
        assert path in named or path == "data/oracle", path


IMPORTS = {
    "merge_labels": {"torch", "mlflow", "sklearn", "matplotlib", "great_expectations", "pandas", "scipy"},
    "train": {"torch", "mlflow", "sklearn", "matplotlib", "great_expectations", "pandas", "scipy"},
    "score": {"torch", "mlflow", "sklearn", "matplotlib", "great_expectations", "pandas", "scipy"},
    "select_query": {"torch", "mlflow", "sklearn", "matplotlib", "great_expectations", "pandas", "scipy"},
    "track": {"torch", "sklearn", "great_expectations"},
}


@pytest.mark.parametrize("script", IMPORTS)
def test_a_stage_imports_nothing_heavy_until_it_must(script: str) -> None:
    """What is imported when the script is loaded; torch and great-expectations come when used."""
    code = f"import runpy, sys; runpy.run_path('pipelines/{script}.py'); print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not IMPORTS[script] & set(loaded.stdout.split())


def test_a_new_campaign_has_the_stages_without_this_package() -> None:
    """`al init` writes the same pipeline without `prepare` and without files of the plugin."""
    written = yaml.safe_load(template.files("x", CLASSES)["dvc.yaml"])["stages"]
    assert list(written) == ["train", "score", "select", "merge-labels", "track"]
    for name, stage in written.items():
        expected = {**STAGES[name], "deps": [d for d in STAGES[name]["deps"] if not d.startswith("al_plugin/")]}
        assert stage == expected


def test_every_stage_depends_on_the_plugin_version() -> None:
    """In a user's repository the plugin is no file, so its version is what makes stages run again."""
    for name in ("merge-labels", "train", "score", "select"):
        assert "campaign.plugin_version" in STAGES[name]["params"], name


def test_the_stage_scripts_of_a_new_campaign_are_these() -> None:
    texts = template.files("x", CLASSES)
    for script in template.SCRIPTS:
        assert texts[f"pipelines/{script}"] == (ROOT / "pipelines" / script).read_text()
