"""Every shipped strategy in a round, through the stages' own scripts, by its name in params.yaml."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import al, stage, truth, turn

from al_plugin import campaign as inputs
from al_plugin import layout, store
from al_plugin.data.pool import sample_table
from al_plugin.data.sets import Labeled, Scoreboard
from al_plugin.rounds.select import Asked, select
from al_plugin.strategies import registry
from al_plugin.strategies.recipes import RECIPES

CLASSES = ("a", "b", "c")
BY_TRAINING = {
    signal: name
    for name in registry.shipped("train")
    for signal in registry.load("train", name).card.provides
    if name != "single"
}
BY_TRAINING |= dict.fromkeys(registry.load("train", "single").card.provides, "single")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, seedling) -> Path:
    """A campaign with one label round; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("labelled") / "campaign"
    shutil.copytree(seedling, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        turn()
        assert al("oracle") == 0
    return root


@pytest.fixture
def round_one(labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "campaign"
    shutil.copytree(labelled, root)
    monkeypatch.chdir(root)
    for name in ("DVC_STAGE", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return root


def choose(**strategies: str) -> None:
    """Set the strategies of stages in params.yaml."""
    text = Path(layout.PARAMS).read_text()
    for name, value in strategies.items():
        assert f"\n{name}:\n  strategy: null" in text
        text = text.replace(f"\n{name}:\n  strategy: null", f"\n{name}:\n  strategy: {value}")
    Path(layout.PARAMS).write_text(text.replace("recipe: auto", "recipe: margin"))


def asked() -> list[str]:
    rows = [json.loads(line) for line in Path(layout.QUERY).read_text().splitlines()]
    found = [row["sample_id"] for row in rows]
    assert len(set(found)) == 12
    assert not set(found) & set(inputs.read_labeled(CLASSES).sample_ids)
    return found


def training_for(*strategies: registry.Strategy) -> str:
    """A training method that gives every signal these strategies name."""
    needed = {
        signal.removeprefix("labeled_")
        for chosen in strategies
        for signal in chosen.signals
        if registry.SIGNALS[signal].source == "model"
    }
    for name in ("single", *registry.shipped("train")):
        if needed <= set(registry.load("train", name).card.provides):
            return name
    raise AssertionError(f"no training method gives {needed}")


def of_classes(stage_name: str) -> list[str]:
    """The strategies that mean something under campaign.task classes; tests/test_tasks.py runs the others."""
    return [name for name in sorted(registry.shipped(stage_name)) if registry.load(stage_name, name).fits("classes")]


@pytest.mark.parametrize("name", of_classes("score"))
def test_every_score_strategy(name: str, round_one: Path) -> None:
    """One score per pool sample, none missing, and a query from it."""
    choose(score=name, select="top", train=training_for(registry.load("score", name)))
    turn()
    parts = [pq.read_table(path) for path in sorted(Path(layout.SCORES).glob("*.parquet"))]
    assert sum(map(len, parts)) == 90
    assert not any(part.column("score").null_count for part in parts)
    asked()


@pytest.mark.parametrize("name", of_classes("select"))
def test_every_select_strategy(name: str, round_one: Path) -> None:
    """Exactly the asked number of distinct unlabelled samples, the same when the stage runs again."""
    chosen = registry.load("select", name)
    choose(select=name, train=training_for(chosen))
    turn()
    first = asked()
    Path(layout.QUERY).unlink()
    assert stage("select_query") == 0
    assert asked() == first


@pytest.mark.parametrize("name", sorted(registry.shipped("train")))
def test_every_training_method(name: str, round_one: Path) -> None:
    """Weights, metrics and scores come out, and the model has learned three separate blobs."""
    choose(train=name, score="entropy", select="top")
    turn()
    metrics = store.read_json(layout.TRAIN_METRICS, "")
    assert metrics["eval"]["accuracy"] > 0.5
    recorded = metrics["dynamics"]["mean_dispersion"] is not None
    assert recorded == ("pool_dispersion" in registry.load("train", name).card.provides)
    asked()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_a_valid_triple(name: str) -> None:
    """The parts of a recipe exist and fit together."""
    recipe = RECIPES[name]
    parts = [registry.load(s, getattr(recipe, s)) for s in ("train", "score", "select")]
    gives = set(parts[0].card.provides)
    for part in parts[1:]:
        wanted = {s.removeprefix("labeled_") for s in part.signals if registry.SIGNALS[s].source == "model"}
        assert wanted <= gives, (part.name, wanted - gives)


PROBE = '''
import numpy as np
from al_plugin.strategies.registry import strategy


@strategy("probe", reference="none", cost="O(N)", use="a test")
def probe(scores, log_probs, mc_log_probs, target_mc_log_probs, head_weight, head_bias, labels, labeled_embeddings,
          labeled_mc_log_probs, embeddings, n: int) -> np.ndarray:
    """The first candidates."""
    np.savez("seen.npz", **{name: np.array(value) for name, value in locals().items()})
    return np.arange(n)
'''


def test_what_select_is_handed(round_one: Path) -> None:
    """Posterior samples come along axis N, labels in the order of labelled rows, the head whole."""
    Path("probing.py").write_text(PROBE.replace("          labeled_mc_log_probs, ", "          "))
    store.write_table(Path("data/target/t.parquet"), sample_table(["t1", "t2", "t3"], np.eye(3, 4)))
    text = Path(layout.PARAMS).read_text().replace("target: data/pool", "target: data/target")
    Path(layout.PARAMS).write_text(text.replace("passes: 20", "passes: 6"))
    choose(select='"probing:probe"')
    turn()
    seen = np.load("seen.npz")
    n, labelled = 90 - 12, 12
    assert seen["mc_log_probs"].shape == (6, n - 1, 3)  # the random share, 1 of 12, is drawn before
    assert seen["target_mc_log_probs"].shape == (6, 3, 3)
    assert seen["log_probs"].shape == (n - 1, 3)
    assert seen["labels"].tolist() == [
        CLASSES.index(truth(sample)) for sample in inputs.read_labeled(CLASSES).sample_ids
    ]
    assert len(seen["labeled_embeddings"]) == labelled
    # The head handed out is the one that made the predictions.
    logits = seen["embeddings"] @ seen["head_weight"].T + seen["head_bias"]
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logits, seen["log_probs"], atol=1e-4)
    # A sample's posterior predictions average to about its prediction: rows are not mixed up.
    mean = np.exp(seen["mc_log_probs"]).mean(axis=0)
    assert (mean.argmax(axis=1) == seen["log_probs"].argmax(axis=1)).mean() > 0.9


def test_laplace_posterior(round_one: Path) -> None:
    """score.posterior: laplace gives other posterior samples, the same again on a rerun."""
    choose(score="bald", select="top")
    turn()
    dropout = pq.read_table(f"{layout.SCORES}/part-00000.parquet").column("score").to_numpy()
    text = Path(layout.PARAMS).read_text()
    Path(layout.PARAMS).write_text(text.replace("posterior: dropout", "posterior: laplace"))
    for _ in range(2):
        assert stage("score") == 0
        laplace = pq.read_table(f"{layout.SCORES}/part-00000.parquet").column("score").to_numpy()
        assert not np.allclose(dropout, laplace)
    assert (laplace >= 0).all()


def test_relabelling_asks_labelled_samples_again(round_one: Path) -> None:
    """With select.relabel labelled samples compete; without it none is asked."""
    Path("again.py").write_text(
        "import numpy as np\nfrom al_plugin.strategies.registry import strategy\n\n\n"
        '@strategy("labelled_first", reference="none", cost="O(N)", use="a test")\n'
        "def labelled_first(annotations):\n"
        '    """s = number of annotators. Range [0, A]."""\n'
        "    return (annotations >= 0).sum(axis=1).astype(float)\n"
    )
    choose(score='"again:labelled_first"', select="top")
    turn()
    labelled = set(inputs.read_labeled(CLASSES).sample_ids)
    asked()
    text = Path(layout.PARAMS).read_text().replace("relabel: false", "relabel: true")
    Path(layout.PARAMS).write_text(text.replace("random_share: 0.1", "random_share: 0"))
    assert stage("select_query") == 0
    rows = [json.loads(line) for line in Path(layout.QUERY).read_text().splitlines()]
    assert {row["sample_id"] for row in rows} == labelled
    assert al("oracle") == 0
    turn()
    # The same annotator: the newer answer stands.
    assert store.read_table(layout.VOTES, "").column("round").to_pylist() == [2] * 12
    assert set(inputs.read_labeled(CLASSES).sample_ids) == labelled


def test_a_strategy_s_note_is_a_warning_of_the_round() -> None:
    """Members that agree carry no information: batch_bald says that its batch was saturated at once."""
    log_probs = np.log(np.tile([[0.7, 0.2, 0.1]], (20, 1)))
    ids = np.array([f"s{i}" for i in range(20)], dtype=object)
    board = Scoreboard(ids, np.zeros(20), [None] * 20, [None] * 20)
    posterior = {"mc_log_probs": np.stack([log_probs, log_probs])}
    strategy, nobody = registry.load("select", "batch_bald"), Labeled([], np.empty(0, dtype=np.int64))
    chosen = select(board, posterior, nobody, set(), strategy, {}, Asked(25, 0.0, 1, 1, 0), "why")
    assert len(chosen.rows) == 20
    assert "20 candidates are left" in chosen.warning
    assert "batch_bald: the information of 2 posterior samples is used up after" in chosen.warning
