"""Workflows for GitHub and GitLab, written once into a repository and its owners' from then on."""

from importlib import resources
from pathlib import Path

import al_plugin.ci
from al_plugin import __version__, commands, store
from al_plugin.errors import CampaignError

KINDS = ("github", "gitlab")
_WHERE = {"github": ".github/workflows/active-learning.yml", "gitlab": ".gitlab/active-learning.yml"}
_GITLAB_MAIN = ".gitlab-ci.yml"


def write(kind: str, root: Path) -> list[str]:
    """Write the workflow of the campaign at ``root`` into its Git repository; what was done, in lines."""
    refuse_overwriting(kind, root)
    top = commands.require_git(root)
    store.write_bytes(top / _WHERE[kind], text(kind, root.resolve().relative_to(top.resolve())).encode())
    said = [f"wrote {_WHERE[kind]}"]
    if kind == "gitlab":
        include = f"include:\n  - local: {_WHERE[kind]}\n"
        if (top / _GITLAB_MAIN).exists():
            said.append(f"{_GITLAB_MAIN} stays as it is; add to its `include:`  - local: {_WHERE[kind]}")
        else:
            store.write_bytes(top / _GITLAB_MAIN, include.encode())
            said.append(f"wrote {_GITLAB_MAIN}")
    return said


def refuse_overwriting(kind: str, root: Path) -> None:
    """CampaignError if the workflow is there already."""
    if (commands.require_git(root) / _WHERE[kind]).exists():
        raise CampaignError(f"{_WHERE[kind]} exists already, so nothing was written", change="edit it, or move it away")


def text(kind: str, folder: Path) -> str:
    """The workflow for a campaign in ``folder`` of its Git repository."""
    template = (resources.files(al_plugin.ci) / "templates" / f"{kind}.yml").read_text("utf-8")
    where = folder.as_posix()
    if any(character in where for character in "\"'\\$%*?[]{}\n"):
        raise CampaignError(f"the folder {where} holds marks that a workflow would interpret", change="rename it")
    prefix = "" if where == "." else f"{where}/"
    return template.replace("@FOLDER@", where).replace("@PREFIX@", prefix).replace("@VERSION@", __version__)
