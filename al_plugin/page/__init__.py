"""The page of a round: from its content, all in memory, to one self-contained HTML file. No script, no network."""

from al_plugin.page.document import build

__all__ = ["build"]
