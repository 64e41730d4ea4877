"""What a round does in Git: who commits, what must be committed before, one commit, one push."""

import re
from collections.abc import Mapping
from pathlib import Path

from al_plugin import commands, layout
from al_plugin.errors import CampaignError

_ROLES = ("AUTHOR", "COMMITTER")
# What a round writes into Git.
_WRITTEN = (layout.DVC_LOCK, layout.QUERIES, layout.ENVIRONMENTS)


def identity(author: str | None) -> dict[str, str]:
    """Who commits, as variables for Git: the one named, or whom Git is told of; nobody is made up."""
    if author is not None:
        found = re.fullmatch(r"\s*([^<>\n]*[^<>\n\s])\s*<([^<>\s]+)>\s*", author)
        if found is None:
            raise CampaignError(f"--author {author!r} names nobody", change="write it as 'NAME <MAIL>'")
        return {f"GIT_{role}_{key}": found[at] for role in _ROLES for at, key in ((1, "NAME"), (2, "EMAIL"))}
    known = {role: _ident(role) for role in _ROLES}
    given = known["AUTHOR"] or known["COMMITTER"]
    if given is None:
        raise CampaignError(
            "nobody is named to commit as", change="set GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL, or give --author"
        )
    return {
        f"GIT_{role}_{key}": (known[role] or given)[at] for role in _ROLES for at, key in ((0, "NAME"), (1, "EMAIL"))
    }


def _ident(role: str) -> tuple[str, str] | None:
    said = commands.git_bytes("-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT")
    found = None if said is None else re.match(r"(.+) <(.+)> \d+ ", said.decode(errors="replace"))
    return None if found is None else (found[1], found[2])


def branch() -> str:
    """The branch that HEAD is on."""
    name = commands.git_bytes("symbolic-ref", "--short", "--quiet", "HEAD")
    if name is None:
        raise CampaignError("HEAD is on no branch, so there is none to push to", change="name it with --branch")
    return name.decode().strip()


def refuse_changes() -> None:
    """A commit must hold all that its round was made of."""
    prefix = commands.git("rev-parse", "--show-prefix")
    tracked = commands.git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", ".")
    inside = (layout.LABELS, layout.MANIFESTS)
    new = commands.git("ls-files", "--others", "--exclude-standard", "-z", "--", *inside)
    changed = [line.lstrip()[2:].lstrip().removeprefix(prefix) for line in tracked.split("\0") if line]
    mine = [path for path in changed if not path.startswith(_WRITTEN)] + [path for path in new.split("\0") if path]
    if mine:
        shown = ", ".join(mine[:3]) + (f" and {len(mine) - 3} more" if len(mine) > 3 else "")
        raise CampaignError(f"{shown} is not committed, so nobody could repeat the round", change="commit it first")


def commit(identity: Mapping[str, str], message: str) -> str | None:
    """Commit what the round wrote, if anything is new; the commit."""
    written = [path for path in _WRITTEN if Path(path).exists()]
    commands.git("add", "--all", "--", *written)
    if not commands.git("diff", "--cached", "--name-only", "--", *written):
        return None
    commands.git("commit", "--quiet", "-m", message, "--", *written, env=identity)
    return commands.git("rev-parse", "HEAD")


def push(remote: str, branch: str) -> None:
    """Push HEAD; CampaignError that says so where the branch has commits that HEAD has not."""
    try:
        commands.git("push", "--quiet", "--", remote, f"HEAD:refs/heads/{branch}")
    except CampaignError as error:
        known = commands.git_bytes("ls-remote", "--", remote, f"refs/heads/{branch}")
        there = known.split()[0].decode() if known else ""
        if there and commands.git_bytes("merge-base", "--is-ancestor", there, "HEAD") is None:
            raise CampaignError(
                f"{remote}/{branch} moved on while the round ran, so it was not pushed",
                change="run it again on the new state; in CI the run that the new commit started does",
            ) from None
        raise CampaignError(str(error)) from None
