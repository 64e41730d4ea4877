"""What the campaign's .dvcignore names: files that DVC leaves out where it hashes a folder."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

FILE = ".dvcignore"

Rule = tuple[re.Pattern[str], bool, bool]

# Named by DVC itself in every repository.
_ALWAYS = (".hg/", ".git/", ".git", ".dvc/")


def left_out(root: Path = Path()) -> Callable[[str], bool]:
    """Whether DVC leaves out a file, by its path from ``root``, the repository; of its .dvcignore alone."""
    path = root / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return _remembered(text)


@cache
def _remembered(text: str) -> Callable[[str], bool]:
    """Each path is looked at once: the commits of a long campaign hold the same ones again and again."""
    rules = _rules(text)
    return cache(lambda name: _names(rules, name))


def _names(rules: Sequence[Rule], name: str) -> bool:
    """Whether the last rule that fits the file, or else a folder that it lies in, leaves it out."""
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        path, is_folder = "/".join(parts[:end]), end < len(parts)
        fitting = (leaves for rule, leaves, folders in rules if (is_folder or not folders) and rule.fullmatch(path))
        if next(fitting, False):
            return True
    return False


def _rules(text: str) -> tuple[Rule, ...]:
    """The lines of a .dvcignore, the last first: pattern, whether it leaves out, whether it is for folders alone."""
    lines = (*_ALWAYS, *(line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")))
    found: list[Rule] = []
    for line in reversed(lines):
        pattern = line.removeprefix("!")
        try:
            found.append((re.compile(_expression(pattern)), pattern == line, pattern.endswith("/")))
        except re.error:
            continue  # a range that runs backwards fits nothing
    return tuple(found)


def _expression(pattern: str) -> str:
    """A pattern of Git's as a regular expression; one without a slash but at its end fits in every folder.

    What lies in a folder that it fits, it fits too.
    """
    bare = pattern.rstrip("/")
    words = bare.removeprefix("/").split("/")
    if "/" not in bare:
        words = ["**", *words]
    spelled = [r"(?:[^/]+/)*" if word == "**" else f"{_word(word)}/" for word in words[:-1]]
    return "".join([*spelled, ".+" if words[-1] == "**" else _word(words[-1]), "(?:/.*)?"])


def _word(word: str) -> str:
    """A word between two slashes."""
    parts = re.findall(r"\\.|\[[!^]?\]?[^\]]*\]|\*+|.", word)
    return "".join(map(_part, parts))


def _part(part: str) -> str:
    if part.startswith("*"):
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        inside = part[1:-1].replace("[", r"\[")
        return f"(?!/)[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    return re.escape(part[1:] if len(part) > 1 else part)
