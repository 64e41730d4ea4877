"""What DVC leaves out where it hashes a folder: the same as DVC says, file by file and hash by hash."""

import random
from pathlib import Path

import chained_campaign
import pytest
from dvc.ignore import DvcIgnorePatterns

from al_plugin import commands, dvc_ignore, history, layout, template
from al_plugin.tracking import digests

FILES = ("a", ".gitkeep", ".DS_Store", ".a.writing", "b.pyc", "__pycache__/c", "round_0001/b01.json", "round_0001/.x")


@pytest.mark.parametrize("lines", [(), template.ignore_lines()[".dvcignore"]], ids=["none", "of al init"])
def test_hashes_are_those_of_dvc(lines: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands.git("init", "--quiet")
    commands.dvc("init", "--quiet")
    Path(dvc_ignore.FILE).write_text("".join(f"{line}\n" for line in ("# Comment", "", *lines)))
    for name in FILES:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    commands.dvc("add", "data")
    pinned = next(word for word in Path("data.dvc").read_text().split() if word.endswith(".dir"))
    assert history.folder_hash(history.digests_of(Path("data"))) == pinned
    assert history.folder_hash(history.digests_of(tmp_path / "data", tmp_path)) == pinned
    monkeypatch.chdir("/")
    assert digests.digest(tmp_path, "data", {}) == pinned


@pytest.mark.filterwarnings("ignore::FutureWarning")  # DVC's expressions hold `[[`
def test_every_pattern_fits_what_dvc_fits(tmp_path: Path) -> None:
    """DVC's own reading of 2,000 ignore files of up to four lines."""
    draw = random.Random(0)
    names = ("a", "b.pyc", ".DS_Store", ".x.writing", "__pycache__", "data", "manifests", ".gitkeep", "x[1]", "#a")
    patterns = (
        *("a", "*.pyc", "__pycache__/", ".DS_Store", ".*.writing", "/data", "data/", "/data/manifests", "**/a"),
        *("data/**/a", "!a", "!*.pyc", "?", "[a-c]", "[!a]", "[^a]*", "x[[]1]", r"\#a", "# a", "*", "!data/"),
        *("/a/", "!/data/a", ".*", "!.gitkeep", "b.*c", "data/*/a", "b**c"),
    )

    def left_out(lines: list[str], path: str) -> bool:
        (tmp_path / dvc_ignore.FILE).write_text("\n".join(lines))
        return dvc_ignore.left_out(tmp_path)(path)

    for _ in range(2000):
        lines = draw.choices(patterns, k=draw.randint(0, 4))
        path = "/".join(draw.choices(names, k=draw.randint(1, 4)))
        folder, _, name = f"/{path}".rpartition("/")
        theirs = DvcIgnorePatterns([line for line in lines if not line.startswith("#")], "/", "/")
        assert left_out(lines, path) == theirs.matches(folder or "/", name), (lines, path)
    assert not left_out(["[b-a]"], "a"), "no range"


@pytest.mark.parametrize("name", [".gitkeep", ".DS_Store"])
def test_a_hidden_file_among_the_manifests_leaves_the_rounds_known(name: str, campaign: Path) -> None:
    """DVC hashes the one and, by .dvcignore, not the other; both are committed."""
    Path(layout.MANIFESTS, name).touch()
    chained_campaign.build(campaign, 1, 6)
    found = history.current_round()
    assert found is not None
    assert found.number == 1
    assert list(history.past_rounds()) == [0, 1]
    assert history.pinned_manifests() == history.present_manifests()
