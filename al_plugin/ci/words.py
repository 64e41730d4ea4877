"""Text that came from people or files, made harmless in Markdown."""

import re

from al_plugin.foreign import printable

_LONGEST = 80
# What Markdown may take for structure or for a link. Dots and slashes make no link without `www.` or `:/`,
# and an underscore within a word is one.
_LINKS = r"(?<=www)\.|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
_IN_A_CELL = re.compile(rf"{_LINKS}|[^A-Za-z0-9 ./_-]", re.IGNORECASE)
_IN_A_SENTENCE = re.compile(rf"{_LINKS}|:(?! )|[^A-Za-z0-9 ./_:,;()-]", re.IGNORECASE)


def cell(text: str, longest: int = _LONGEST) -> str:
    """The text as HTML code for a cell or a line of Markdown: it is shown, and nothing in it is a link, tag or name.

    Marks become numeric entities, which Markdown never takes for structure; neither people nor issues
    are referred to within code.
    """
    shown = _IN_A_CELL.sub(lambda found: _entity(found[0]), printable(text, longest))
    return f"<code>{shown}</code>" if shown else ""


def sentence(text: str, longest: int = 400) -> str:
    """The same for words of our own that hold words of others, without the look of code."""
    return _IN_A_SENTENCE.sub(lambda found: _entity(found[0]), printable(text, longest))


def _entity(character: str) -> str:
    return f"&#{ord(character)};" if ord(character) < 128 else character
