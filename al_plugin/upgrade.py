"""Move a campaign to this version of the package: stage scripts, dvc.yaml, names and version in params.yaml."""

from pathlib import Path

from al_plugin import __version__, commands, layout, store, template
from al_plugin.config import RENAMED, newer, read_params
from al_plugin.documents import read_yaml
from al_plugin.errors import CampaignError


def upgrade() -> list[str]:
    """Write what this version's `al init` would, and return the paths that changed; nothing is committed.

    Labels, queries and data stay as they are. What `al init` once wrote must be committed, so that Git
    shows the difference and gives back what was a person's own.
    """
    commands.require_git()
    if Path("al_plugin", "__init__.py").is_file():
        raise CampaignError("this is al_plugin's own repository", change="run al upgrade in a campaign of yours")
    scripts = {f"pipelines/{name}": template.source(f"pipelines/{name}") for name in template.SCRIPTS}
    texts = {path: source.read_text("utf-8") for path, source in scripts.items()}
    texts[layout.DVC_YAML] = template.pipeline(template.source(layout.DVC_YAML).read_text("utf-8"))
    texts[layout.PARAMS] = moved(Path(layout.PARAMS).read_text("utf-8"))
    read_params(texts[layout.PARAMS].encode())  # what renaming cannot mend is refused before anything is written
    found = [path for path, text in texts.items() if _text(path) != text]
    changed = commands.git("status", "--porcelain", "--", *found).splitlines() if found else []
    if changed:
        paths = ", ".join(line.split(maxsplit=1)[1] for line in changed[:3])
        raise CampaignError(f"{paths} has changes that are not committed", change="commit them, then run al upgrade")
    for path in found:
        store.write_bytes(path, texts[path].encode())
    return found + template.complete_ignore_files(Path())


def moved(text: str) -> str:
    """A params.yaml with this version and today's names; CampaignError where it asks for a newer version."""
    asked = str(((read_yaml(text.encode(), layout.PARAMS) or {}).get("campaign") or {}).get("plugin_version") or "")
    if newer(asked, __version__):
        raise CampaignError(
            f"the campaign was moved to al-plugin {asked} already, found {__version__}",
            change=f"pip install al-plugin=={asked}",
        )
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        key = line.strip().partition(":")[0]
        if line[:1].strip() and line[:1] != "#":
            section = key
        name = RENAMED.get(f"{section}.{key}", "")
        if line.startswith(f"  {key}:") and name.startswith(f"{section}."):
            line = line.replace(key, name.removeprefix(f"{section}."), 1)  # noqa: PLW2901
        if asked and section == "campaign" and key == "plugin_version":
            line = line.replace(asked, __version__, 1)  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def _text(path: str) -> str | None:
    return Path(path).read_text("utf-8") if Path(path).is_file() else None
