"""Where things lie in a campaign, relative to the repository root. No other module spells a path."""

import re
from collections.abc import Iterable

PARAMS = "params.yaml"
DVC_YAML = "dvc.yaml"
DVC_LOCK = "dvc.lock"
SUITE = "gx/expectations/label_batch.json"
DATA_DOCS = "gx/uncommitted/data_docs"

POOL = "data/pool"
EVAL = "data/eval"
ORACLE = "data/oracle/answers.csv"

QUERIES = "data/queries"
WITHDRAWN = "data/queries/withdrawn"
RELEASED = "data/queries/released.txt"
LABELS = "data/labels"
LABELS_DVC = "data/labels.dvc"
MANIFESTS = "data/manifests"
ENVIRONMENTS = "data/environments"
START = "data/start"
START_DVC = "data/start.dvc"
START_WEIGHTS = "data/start/weights.safetensors"
START_CARD = "data/start/card.json"

LABELED = "merged/labeled.parquet"
VOTES = "merged/votes.parquet"
ASKED = "merged/asked.parquet"
QUARANTINE = "merged/quarantine.parquet"
LABEL_METRICS = "metrics/labels.json"
VALIDATION = "reports/validation.json"

WEIGHTS = "model/weights.safetensors"
CARD = "model/card.json"
FORGETTING = "dynamics/forgetting.parquet"
POOL_DYNAMICS = "dynamics/pool.parquet"
EVAL_COPIES = "dynamics/eval_copies.json"
TRAIN_METRICS = "metrics/train.json"
TRAINING_CURVE = "plots/training.csv"
CONFUSION = "plots/confusion.csv"

SCORES = "scores"
SCORE_METRICS = "metrics/scores.json"
SCORE_HISTOGRAM = "plots/scores.csv"

QUERY = "query/query.jsonl"
SELECT_METRICS = "metrics/select.json"

# Files of label rounds and their manifests; queries handed out, with the number of the label round they ask for.
FILED = re.compile(rf"(?:{LABELS}|{MANIFESTS})/round_\d+/.+")
_ROUND = re.compile(r"round_([0-9]{1,9})")
HANDED_OUT = re.compile(rf"{QUERIES}/round_(\d+)[^/]*\.jsonl")

PRIVATE = ".al"
TRAININGS = ".al/cache/train"
SET_ASIDE = ".al/set_aside"

# Folders that hold nothing but outputs of the stages.
OUTPUTS = ("merged", "model", "dynamics", "scores", "query", "metrics", "plots", "reports")


def round_folder(number: int) -> str:
    """``round_NNNN``."""
    return f"round_{number:04d}"


def round_number(name: str) -> int | None:
    """The number of the label round whose folder has this name; None for any other name, such as ``round_1``."""
    found = _ROUND.fullmatch(name)
    number = int(found[1]) if found else None
    return number if number is not None and round_folder(number) == name else None


def rounds_in(names: Iterable[str]) -> set[int]:
    """Numbers of the label rounds that files lie in, ``round_NNNN/name`` each; hidden files are of no round."""
    words = (name.split("/", 1) for name in names)
    folders = {folder for folder, *rest in words if rest and not rest[0].startswith(".")}
    return {number for number in map(round_number, folders) if number is not None}


def filed_query(number: int, key: str) -> str:
    """A query handed out for label round ``number``; ``key`` says by content which."""
    return f"{QUERIES}/{round_folder(number)}-{key}.jsonl"


def round_query(key: str) -> str:
    """The same in the folder of its label round, which its answers complete."""
    return f"query-{key}.jsonl"


def environment_of(number: int) -> str:
    """Which environment computed a round: a line for each of its models."""
    return f"{ENVIRONMENTS}/{round_folder(number)}.jsonl"
