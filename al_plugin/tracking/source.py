"""Where a dataset of a run is kept: in DVC, under its MD5.

An entry point of MLflow's (``mlflow.dataset_source``), loaded while MLflow is imported.
"""

from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource


class DVCDatasetSource(DatasetSource):
    """A file or folder of a campaign as it was at one time.

    ``path`` is relative to the campaign, ``md5`` is DVC's (``.dir`` at the end: a folder), ``repo``
    a hint where people find the repository.
    """

    def __init__(self, path: str, md5: str, repo: str = "") -> None:
        self.path = path
        self.md5 = md5
        self.repo = repo

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    def load(self, root: str | Path | None = None) -> str:
        """Local path of the content with this MD5, kept in the campaign's ``.al/cache``.

        Call it in the campaign, or name its folder in ``root``. The content comes from DVC's cache,
        else from the commit whose dvc.lock has this MD5, by `dvc get`; CampaignError if neither has
        it. Changing what lies there changes nothing in DVC.
        """
        from al_plugin.tracking import fetch

        return str(fetch.fetch(self.path, self.md5, self.repo, root))

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, dict) and {"path", "md5"} <= set(raw_source) <= {"path", "md5", "repo"}

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DVCDatasetSource":
        return cls.from_dict(raw_source)

    def to_dict(self) -> dict[str, Any]:
        """Path, MD5 and repository."""
        return {"path": self.path, "md5": self.md5, "repo": self.repo}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DVCDatasetSource":
        """The source that ``to_dict`` described."""
        return cls(source_dict["path"], source_dict["md5"], source_dict.get("repo", ""))
