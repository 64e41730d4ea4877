"""Text that came from people or files, made harmless where it is shown: terminals, logs, Markdown, HTML."""

import re
import unicodedata

_LONGEST = 80
# Sequences that move a terminal's cursor, colour it, set its title, or open a link in it.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters, and format characters, which turn the direction of writing or are not seen.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
# What Markdown may take for structure or for a link. Dots and slashes make no link without `www.` or `:/`,
# and an underscore within a word is one.
_LINKS = r"(?<=www)\.|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
_IN_A_CELL = re.compile(rf"{_LINKS}|[^A-Za-z0-9 ./_-]", re.IGNORECASE)
_IN_A_SENTENCE = re.compile(rf"{_LINKS}|:(?! )|[^A-Za-z0-9 ./_:,;()-]", re.IGNORECASE)


def plain(text: str, longest: int | None = None) -> str:
    """One line without anything that a terminal or a CI log would act on, cut to ``longest`` characters."""
    text = _ESCAPES.sub("", text)
    text = " ".join("".join(" " if _is_break(c) else c for c in text if _is_break(c) or not _is_unseen(c)).split())
    text = text.replace("##", "# #")  # `##[` and `##vso[` are commands to the runner of a CI job, anywhere in a line
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def cell(text: str, longest: int = _LONGEST) -> str:
    """The text as HTML code for a cell or a line of Markdown: it is shown, and nothing in it is a link, tag or name.

    Marks become numeric entities, which Markdown never takes for structure; neither people nor issues
    are referred to within code.
    """
    shown = _IN_A_CELL.sub(lambda found: _entity(found[0]), plain(text, longest))
    return f"<code>{shown}</code>" if shown else ""


def sentence(text: str, longest: int = 400) -> str:
    """The same for words of our own that hold words of others, without the look of code."""
    return _IN_A_SENTENCE.sub(lambda found: _entity(found[0]), plain(text, longest))


def _entity(character: str) -> str:
    return f"&#{ord(character)};" if ord(character) < 128 else character


def _is_break(character: str) -> bool:
    return character in "\n\r\t\v\f\x85\u2028\u2029"


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN
