"""Classifiers of scikit-learn's kind as models: trees as arrays, estimators stored without pickle."""

# ruff: noqa: NPY002 - the global generators are what is looked at

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import digits_split
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from al_plugin.checks.train import _task
from al_plugin.data.sets import Inputs, Labeled, Model
from al_plugin.errors import StrategyError
from al_plugin.math.committee import mutual_information
from al_plugin.math.trees import FLOOR, floored_log
from al_plugin.models.fitted_once import fitting, sklearn_seed
from al_plugin.models.restore import member_log_probs, members, model_signals
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.train import train
from al_plugin.strategies import recipes, registry

pytest.importorskip("skops", reason="needs al-plugin[estimators]")

FORESTS = {"random_forest": RandomForestClassifier, "extra_trees": ExtraTreesClassifier}
CLASSES = tuple("0123456789")
MODULE = '''
import numpy as np
from subprocess import Popen
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC


class Centroids(ClassifierMixin, BaseEstimator):
    """Softmax of the distances to class means; draws from NumPy's global generator."""

    def __init__(self, noise=1e-3):
        self.noise = noise

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == one].mean(axis=0) for one in self.classes_])
        self.means_ += self.noise * np.random.standard_normal(self.means_.shape)
        self.words_ = {"alpha", "beta", "gamma", "delta"}
        return self

    def predict_proba(self, X):
        far = ((X[:, None] - self.means_[None]) ** 2).sum(axis=2)
        near = np.exp(far.min(axis=1, keepdims=True) - far)
        return near / near.sum(axis=1, keepdims=True)


class TwoColumns(Centroids):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, :2]


class Forgetful(Centroids):
    """What it predicts with is lost when it is stored."""

    def __getstate__(self):
        return {**self.__dict__, "means_": np.zeros_like(self.means_)}


class Locked(Centroids):
    def fit(self, X, y):
        self.open_ = open(__file__)
        return super().fit(X, y)


def shifted(X):
    return X + 1.0


def steps():
    return make_pipeline(FunctionTransformer(shifted), StandardScaler(), LogisticRegression())


def boosted():
    return make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=2))


def calibrated():
    return CalibratedClassifierCV(SVC(), cv=2)


def wants(argument):
    return LogisticRegression()


def a_class():
    return LogisticRegression


def no_probabilities():
    return SVC()


number = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's module in the folder where the stages run."""
    (tmp_path / "my_estimators.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_estimators"
    sys.modules.pop("my_estimators", None)


def fitted(name, task=None, **knobs):
    return registry.load("train", name).function(_task() if task is None else task, **knobs)


def signals(result, features):
    return model_signals({"network": result.network}, result.weights, features)


def on_digits(name, labels=150, **knobs):
    """A round of train on digits: pool, labelled, evaluation, Trained."""
    pool, truth, evaluation = digits_split(0)
    labeled = Labeled([str(i) for i in pool.ids[:labels]], truth[:labels])
    task = {"epochs": 3, "batch_size": 32, "lr": 0.005, "weight_decay": 0.01, "dynamics_every": 1}
    task |= {"threads": 1, "seed": 7}
    strategy = registry.load("train", name)
    return pool, labeled, evaluation, train(pool, labeled, evaluation, CLASSES, strategy, task, knobs, 1)


# --- trees as arrays


@pytest.mark.parametrize("name", FORESTS)
@pytest.mark.parametrize("depth", [0, 3])
def test_a_forest_is_that_of_scikit_learn(name, depth):
    """Mean and members are, bit for bit in float64, what scikit-learn's forest and its trees predict."""
    from al_plugin.math.trees import mean_probabilities, tree_probabilities
    from al_plugin.models.forest import _trees

    pool, truth, evaluation = digits_split(0)
    task = _task(features=pool.features[:80], labels=truth[:80], pool_features=pool.features, n_classes=10)
    result = fitted(name, task, trees=7, max_depth=depth)
    theirs = FORESTS[name](n_estimators=7, max_depth=depth or None, random_state=sklearn_seed(task.seed))
    theirs.fit(task.features, task.labels)
    trees = _trees(result.weights)
    assert np.array_equal(mean_probabilities(trees, evaluation.features), theirs.predict_proba(evaluation.features))
    each = [one.predict_proba(evaluation.features) for one in theirs.estimators_]
    assert np.array_equal(tree_probabilities(trees, evaluation.features), np.stack(each))


@pytest.mark.parametrize("name", FORESTS)
def test_thresholds_divide_as_in_scikit_learn(name):
    """A feature that equals the threshold goes left."""
    features = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)
    task = _task(features=features, labels=np.array([0, 0, 1, 1]), pool_features=features, n_classes=2)
    result = fitted(name, task, trees=3)
    trees, inner = result.weights, result.weights["trees.threshold"] != 0
    edge = trees["trees.threshold"][inner].astype(np.float32)[:, None]
    theirs = FORESTS[name](n_estimators=3, random_state=sklearn_seed(task.seed)).fit(features, task.labels)
    ours = np.exp(signals(result, edge)[0].astype(np.float64))
    np.testing.assert_allclose(ours, theirs.predict_proba(edge), atol=1e-6)


@pytest.mark.parametrize("name", FORESTS)
def test_trees_are_the_committee_that_bald_scores(name):
    pool, labeled, _, result = on_digits(name, trees=9)
    card, weights = result.card, result.weights
    chosen = [registry.load("score", "bald"), registry.load("select", "top")]
    recipes.check_pairing(registry.load("train", name), *chosen, fitted=True)
    scored = score(Model(card, weights), Inputs(pool, labeled), Sampling(0, passes=2), *chosen, {})
    by_tree = member_log_probs(card, members(card, weights), pool.features)
    assert by_tree.shape == (9, len(pool), 10)
    found = np.array(scored.tables["part-00000"].column("score"))
    np.testing.assert_allclose(found, mutual_information(by_tree), atol=1e-6)
    assert found.max() > 0.1
    mean = np.exp(model_signals(card, weights, pool.features)[0])
    np.testing.assert_allclose(mean, np.exp(by_tree).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("name", [*FORESTS, "estimator"])
def test_digits_are_learned(name):
    """Better than 0.85 on 150 digits; metrics and tables say that there were no epochs."""
    *_, result = on_digits(name)
    assert result.metrics["eval"]["accuracy"] > 0.85
    assert set(result.metrics["dynamics"].values()) == {None}
    assert result.forgetting.num_rows == 0
    assert result.dynamics.column("pool_dispersion").null_count == result.dynamics.num_rows
    assert result.curve["epoch"] == [0]
    assert result.metrics["final_loss"] == result.curve["loss"][0] >= 0


@given(st.floats(-(2.0**99), 2.0**99), st.floats(-(2.0**99), 2.0**99, width=32))
def test_thresholds_in_float32_divide_the_same(threshold, x):
    from al_plugin.math.trees import rounded_down

    down = rounded_down(np.array([threshold]))
    assert down.dtype == np.float32
    for value in (np.float32(x), down[0], np.nextafter(down[0], np.float32(np.inf))):
        assert (value <= down[0]) == (float(value) <= threshold)


def test_threads_do_not_change_a_forest():
    assert same(fitted("random_forest", _task(threads=1)), fitted("random_forest", _task(threads=3)))


def same(one, other):
    assert one.weights.keys() == other.weights.keys()
    return all(one.weights[name].tobytes() == other.weights[name].tobytes() for name in one.weights)


# --- the floor


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_floored_log_probabilities(seen, unseen, seed):
    """They sum to 1, are at least log(floor / (1 + C floor)), keep the order, and unseen classes have the least."""
    rng = np.random.default_rng(seed)
    classes = seen + unseen
    probabilities = rng.dirichlet(np.full(seen, 0.05), size=8)
    at = np.sort(rng.choice(classes, size=seen, replace=False))
    found = floored_log(probabilities, at, classes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1.0, atol=1e-6)
    assert (found >= np.log(FLOOR / (1 + classes * FLOOR)) - 1e-5).all()
    np.testing.assert_allclose(np.exp(found[:, at]), probabilities, atol=2 * classes * FLOOR)
    never = np.setdiff1d(np.arange(classes), at)
    assert (found[:, never] <= found.min(axis=1, keepdims=True) + 1e-6).all()


@pytest.mark.parametrize("name", [*FORESTS, "estimator"])
def test_a_class_without_labels_has_the_floor(name):
    task = _task()
    kept = task.labels != 1
    result = fitted(name, replace(task, features=task.features[kept], labels=task.labels[kept]))
    log_probs, _ = signals(result, task.pool_features)
    np.testing.assert_allclose(log_probs[:, 1], np.log(FLOOR), atol=1e-3)
    assert np.isfinite(log_probs).all()
    assert (log_probs[: len(kept)][kept].argmax(axis=1) == task.labels[kept]).all()


@pytest.mark.parametrize("name", [*FORESTS, "estimator"])
def test_labels_of_one_class(name):
    task = _task(labels=np.full(12, 2))
    log_probs, _ = signals(fitted(name, task), task.pool_features)
    assert (log_probs.argmax(axis=1) == 2).all()
    assert np.isfinite(log_probs).all()


def test_embeddings_are_standardised_features():
    task = _task()
    for name in (*FORESTS, "estimator"):
        _, embeddings = signals(fitted(name), task.pool_features)
        np.testing.assert_allclose(embeddings.mean(axis=0), 0, atol=1e-6)
        wide = task.pool_features.std(axis=0) > 0
        np.testing.assert_allclose(embeddings.std(axis=0)[wide], 1, atol=1e-6)


# --- estimators by import path

SHIPPED = [
    "sklearn.linear_model:LogisticRegression",
    "sklearn.ensemble:HistGradientBoostingClassifier",
    "sklearn.ensemble:GradientBoostingClassifier",
    "sklearn.ensemble:RandomForestClassifier",
    "sklearn.neighbors:KNeighborsClassifier",
    "sklearn.naive_bayes:GaussianNB",
    "sklearn.gaussian_process:GaussianProcessClassifier",
    "sklearn.neural_network:MLPClassifier",
    "sklearn.discriminant_analysis:LinearDiscriminantAnalysis",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", SHIPPED)
def test_estimators_of_scikit_learn(path):
    """Loaded from their bytes they predict what a fit of scikit-learn on the same features predicts."""
    module, _, name = path.partition(":")
    task = _task()
    result = fitted("estimator", estimator=path)
    theirs = getattr(__import__(module, fromlist=[name]), name)()
    if "random_state" in theirs.get_params():
        theirs.set_params(random_state=sklearn_seed(task.seed))
    mean, scale = result.weights["mean"], result.weights["scale"]
    theirs.fit((task.features - mean) / scale, task.labels)
    expected = theirs.predict_proba((task.pool_features - mean) / scale)
    np.testing.assert_allclose(np.exp(signals(result, task.pool_features)[0]), expected, atol=1e-5)


OWN = ["Centroids", "steps", "boosted", "calibrated"]


@pytest.mark.parametrize("name", OWN)
def test_estimators_of_a_user(own, name):
    """A class, and factories of pipelines: repeatable though it draws from a global generator; separate blobs learned."""
    task = _task()
    one = fitted("estimator", estimator=f"{own}:{name}")
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    assert same(one, fitted("estimator", estimator=f"{own}:{name}"))
    assert np.array_equal(np.random.get_state()[1], before)
    assert one.curve["train_accuracy"] == [1.0]
    log_probs, _ = signals(one, task.pool_features)
    assert log_probs.shape == (24, 3)


def test_raw_features_where_standardise_is_off(own):
    task = _task()
    result = fitted("estimator", estimator=f"{own}:Centroids", standardise=False)
    means = [task.features[task.labels == c].mean(axis=0) for c in range(3)]
    far = ((task.pool_features[:, None] - np.stack(means)[None]) ** 2).sum(axis=2)
    assert np.array_equal(signals(result, task.pool_features)[0].argmax(axis=1), far.argmin(axis=1))


def test_random_state_is_the_seeds_unless_it_is_set():
    from al_plugin.models.estimator import new_estimator

    made = new_estimator("sklearn.ensemble:RandomForestClassifier", 11)
    assert made.random_state == 11
    nested = new_estimator("test_estimator:nested", 11).get_params()
    assert (nested["logisticregression__random_state"], nested["pca__random_state"]) == (11, 3)


def nested():
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(PCA(2, random_state=3), LogisticRegression())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("no_probabilities", "has no predict_proba; name a classifier with predict_proba"),
        ("a_class", "it is a class"),
        ("wants", "cannot be called without arguments"),
        ("number", "is not a class or function"),
        ("missing", "cannot be imported"),
        ("TwoColumns", r"gave no probabilities of shape \(12, 3\)"),
        ("Forgetful", "predicts otherwise once it is stored and loaded"),
        ("Locked", "cannot be stored without pickle|not trusted"),
    ],
)
def test_refusals_are_one_line(own, name, found):
    with pytest.raises(StrategyError, match=found) as refusal:
        fitted("estimator", estimator=f"{own}:{name}")
    assert "\n" not in str(refusal.value)
    assert name in str(refusal.value)


def test_a_fit_that_fails_is_one_line(own):
    """Two folds want two labels of each class."""
    task = _task()
    few = replace(task, features=task.features[:3], labels=task.labels[:3])
    with pytest.raises(StrategyError, match="cannot be fitted to 3 labels"):
        fitted("estimator", few, estimator=f"{own}:calibrated")


def test_without_skops_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(StrategyError, match=r"pip install 'al-plugin\[estimators\]'"):
        fitted("estimator")
    assert fitted("random_forest").weights, "a forest needs no extra"


def test_posterior_samples_of_an_estimator_are_refused():
    chosen = [registry.load("score", "bald"), registry.load("select", "top")]
    with pytest.raises(StrategyError, match=r"bald needs mc_log_probs, which train\.strategy estimator does not give"):
        recipes.check_pairing(registry.load("train", "estimator"), *chosen, fitted=True)


# --- the bytes

CHILD = """
import hashlib, sys, warnings
warnings.simplefilter("ignore")
filler = [object() for _ in range(int(sys.argv[1]))]  # other addresses
sys.path.insert(0, {tests!r})
from al_plugin.checks.train import _task
from al_plugin.strategies import registry
for path in {paths!r}:
    result = registry.load("train", "estimator").function(_task(), estimator=path)
    print(hashlib.sha256(b"".join(result.weights[n].tobytes() for n in sorted(result.weights))).hexdigest())
for name in ("random_forest", "extra_trees"):
    result = registry.load("train", name).function(_task())
    print(hashlib.sha256(b"".join(result.weights[n].tobytes() for n in sorted(result.weights))).hexdigest())
"""


@pytest.mark.filterwarnings("ignore")
def test_the_same_fit_is_the_same_bytes_in_any_process(own, tmp_path):
    """This process and one with another hash seed and other addresses."""
    from conftest import ROOT

    paths = [*SHIPPED, *(f"{own}:{name}" for name in OWN)]
    code = CHILD.format(paths=paths, tests=str(ROOT))
    other = subprocess.Popen(
        [sys.executable, "-c", code, "1000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    mine = [fitted("estimator", estimator=path) for path in paths] + [fitted(name) for name in FORESTS]
    here = [hashlib.sha256(b"".join(r.weights[n].tobytes() for n in sorted(r.weights))).hexdigest() for r in mine]
    assert other.communicate()[0].split() == here
    assert len(set(here)) == len(here)


def test_the_bytes_hold_no_pickle_no_address_and_no_time():
    content = fitted("estimator", estimator="sklearn.ensemble:RandomForestClassifier").weights["estimator"].tobytes()
    with ZipFile(io.BytesIO(content)) as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        schema = archive.read("schema.json").decode()
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"json", "npy"}
        for name in archive.namelist():
            if name != "schema.json":
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
    assert "__id__" not in schema


# --- what is never loaded


def forged(own, obj, path):
    """Weights of a fit of ``path`` whose estimator is replaced by ``obj``."""
    import skops.io

    result = fitted("estimator", estimator=path)
    weights = dict(result.weights)
    weights["estimator"] = np.frombuffer(skops.io.dumps(obj), dtype=np.uint8)
    return {"network": result.network}, weights


def test_types_from_elsewhere_are_never_loaded(own, tmp_path):
    """Not a type of another module, not one that the user's module merely imports; nothing runs meanwhile."""
    import json as plain

    (tmp_path / "elsewhere.py").write_text(
        "from pathlib import Path\nfrom sklearn.base import BaseEstimator\n"
        "Path('imported').touch()\nclass Evil(BaseEstimator):\n"
        "    def __setstate__(self, state):\n        Path('ran').touch()\n"
    )
    import elsewhere

    (tmp_path / "imported").unlink()
    card, weights = forged(own, elsewhere.Evil(), f"{own}:Centroids")
    sys.modules.pop("elsewhere")
    with pytest.raises(StrategyError, match=r"holds elsewhere\.Evil, which is not trusted to be loaded"):
        model_signals(card, weights, _task().pool_features)
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "ran").exists()

    import my_estimators

    card, weights = forged(own, my_estimators.Centroids(), f"{own}:Centroids")
    with ZipFile(io.BytesIO(weights["estimator"].tobytes())) as archive:
        schema = plain.loads(archive.read("schema.json"))
    schema["__class__"] = "Popen"
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", plain.dumps(schema))
    weights["estimator"] = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    with pytest.raises(StrategyError, match=rf"holds {own}\.Popen, which is not trusted"):
        model_signals(card, weights, _task().pool_features)


def test_broken_weights_are_one_line():
    result = fitted("estimator")
    for content in (b"PK no archive", result.weights["estimator"].tobytes()[:-40]):
        weights = {**result.weights, "estimator": np.frombuffer(content, dtype=np.uint8)}
        with pytest.raises(StrategyError, match="not in skops' format"):
            model_signals({"network": result.network}, weights, _task().pool_features)


def test_another_users_types_are_not_trusted_by_naming_scikit_learn(own):
    import my_estimators

    made = my_estimators.Centroids().fit(_task().features, _task().labels)
    card, weights = forged(own, made, "sklearn.linear_model:LogisticRegression")
    with pytest.raises(StrategyError, match=r"holds my_estimators\.Centroids"):
        model_signals(card, weights, _task().pool_features)


def test_fitting_puts_global_generators_back():
    import random

    random.seed(4)
    np.random.seed(4)
    expected = (np.random.get_state()[1].copy(), random.getstate())
    with fitting(9, 1):
        first = np.random.random(), random.random()
    assert np.array_equal(np.random.get_state()[1], expected[0])
    assert random.getstate() == expected[1]
    with fitting(9, 1):
        assert (np.random.random(), random.random()) == first


@pytest.mark.parametrize("name", [*FORESTS, "estimator"])
def test_weights_go_through_safetensors(name):
    from safetensors.numpy import load, save

    result = fitted(name)
    read = load(save(dict(result.weights)))
    expected, found = (
        signals(result, _task().pool_features),
        model_signals({"network": result.network}, read, _task().pool_features),
    )
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


# --- through the stages


def answered_round(params_from, params_to):
    """Answer the cold-start query, change params, run the loop again; the new round's files."""
    from conftest import al, turn

    from al_plugin import layout, store

    al("oracle")
    text = Path(layout.PARAMS).read_text()
    assert params_from in text
    Path(layout.PARAMS).write_text(text.replace(params_from, params_to))
    turn()
    return (
        store.read_json(layout.CARD, ""),
        store.read_json(layout.TRAIN_METRICS, ""),
        Path(layout.WEIGHTS).read_bytes(),
    )


@pytest.mark.filterwarnings("ignore")
def test_the_estimator_of_the_documentation_runs_in_a_campaign(first_round, capsys):
    """docs/models.md, saved as told; a second run of train writes the same bytes."""
    from conftest import ROOT, stage

    from al_plugin import layout

    text = (ROOT / "docs/models.md").read_text()
    code = text.split("<!-- tested: estimator -->", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    Path("my_models.py").write_text(code)
    setting = 'train:\n  strategy: estimator\n  estimator: {estimator: "my_models:boosted"}'
    card, metrics, weights = answered_round("train:\n  strategy: null", setting)
    sys.modules.pop("my_models")
    assert card["network"]["estimator"] == "my_models:boosted"
    assert card["signals"] == ["log_probs", "embeddings"]
    assert 0 <= metrics["eval"]["accuracy"] <= 1
    assert stage("train") == 0, capsys.readouterr().err
    assert Path(layout.WEIGHTS).read_bytes() == weights


def test_a_forest_and_its_vote_run_in_a_campaign(first_round):
    import pyarrow.parquet as pq

    text = "train:\n  strategy: random_forest\n  random_forest: {trees: 20}"
    calibrated = Path("params.yaml").read_text().replace("holdout: 0.0", "holdout: 0.3")
    Path("params.yaml").write_text(calibrated.replace("calibrate: false", "calibrate: true"))
    card, metrics, _ = answered_round("train:\n  strategy: null", text)
    assert card["network"]["members"] == 20
    assert metrics["dynamics"]["mean_forgetting_events"] is None
    assert metrics["calibration"]["temperature"] == card["calibration_temperature"] > 0
    params = Path("params.yaml").read_text().replace("score:\n  strategy: null", "score:\n  strategy: vote_entropy")
    Path("params.yaml").write_text(params)
    from conftest import turn

    turn()
    scores = np.concatenate(
        [pq.read_table(path).column("score").to_numpy() for path in Path("scores").glob("*.parquet")]
    )
    assert np.isfinite(scores).all()
    assert scores.max() > 0
