"""The model that MLflow holds: no pickle, no al_plugin, the same numbers."""

import json
import shutil
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import tracking_server as rounds
from campaigns import KINDS
from mlflow.exceptions import MlflowException
from safetensors.numpy import load_file

from al_plugin import layout
from al_plugin.data.forms.form import Settings, encode, fit, to_json
from al_plugin.models.restore import model_signals
from al_plugin.models.task import Body, TrainingTask
from al_plugin.parts import read_parts
from al_plugin.strategies import registry
from al_plugin.tracking import artifacts, model, place, record, served, session, tell


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign whose round 1 was told; do not write to it."""
    root = tmp_path_factory.mktemp("told")
    shutil.copy(rounds.empty_database(), root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "_made", lambda _: iter([("query/query.json", b"{}")]))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert tell(rounds.make_round(root, 1, 15, uri="sqlite:///mlflow.db"), root=root).status == "told"
    return root


def location(root: Path) -> Path:
    """Folder of the challenger's files."""
    (found,) = (root / "mlruns").glob("*/models/*/artifacts")
    return found


def expected(root: Path, features: np.ndarray) -> np.ndarray:
    card = json.loads((root / layout.CARD).read_text())
    log_probs, _ = model_signals(card, load_file(root / layout.WEIGHTS), features)
    return np.exp(log_probs)


@pytest.fixture(scope="module")
def loaded(told: Path) -> mlflow.pyfunc.PyFuncModel:
    with session.quiet():
        return mlflow.pyfunc.load_model(str(location(told)))


FEATURES = np.random.default_rng(5).normal(size=(1500, rounds.WIDTH)).astype(np.float32)
AS_LISTS = pd.DataFrame({"sample_id": ["x"] * 1500, "features": FEATURES.tolist()})


@pytest.mark.parametrize(
    "given",
    [
        FEATURES,
        FEATURES.astype(np.float64),
        pd.DataFrame(FEATURES),
        pd.DataFrame(FEATURES.astype(np.float64), columns=list("vwxyz")),
        AS_LISTS,
        FEATURES.tolist(),
    ],
    ids=["float32", "float64", "frame", "named float64 frame", "pool part", "lists"],
)
def test_predictions_are_those_of_the_pipeline(told: Path, loaded: mlflow.pyfunc.PyFuncModel, given: object) -> None:
    """Bit for bit, in batches too, whatever the type of the features."""
    found = loaded.predict(given)
    assert list(found.columns) == list(rounds.CLASSES)
    np.testing.assert_array_equal(found.to_numpy(), expected(told, FEATURES))


def test_predicting_twice_gives_the_same(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    """Dropout is off."""
    pd.testing.assert_frame_equal(loaded.predict(FEATURES), loaded.predict(FEATURES))
    np.testing.assert_allclose(loaded.predict(FEATURES).sum(axis=1), 1, rtol=1e-6)


def test_the_index_of_a_frame_is_kept(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    frame = pd.DataFrame(FEATURES[:3], index=["a", "b", "c"])
    assert list(loaded.predict(frame).index) == ["a", "b", "c"]


def test_no_rows_give_no_rows(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    assert loaded.predict(FEATURES[:0]).shape == (0, 3)


@pytest.mark.parametrize("given", [FEATURES[:2, :4], np.zeros(5), np.zeros((2, 5, 1)), pd.DataFrame(FEATURES[:2, 1:])])
def test_a_wrong_width_is_named(loaded: mlflow.pyfunc.PyFuncModel, given: object) -> None:
    with pytest.raises(MlflowException, match=r"takes 5 features per sample, shape \(samples, 5\).* given shape \("):
        loaded.predict(given)


def test_features_that_are_no_numbers_are_refused(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    with pytest.raises(MlflowException, match="features must be numbers"):
        loaded.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))


def test_no_pickle_and_no_path_of_this_machine(told: Path) -> None:
    names = {path.name for path in location(told).rglob("*") if path.is_file()}
    assert names == {
        *("MLmodel", "served.py", "card.json", "weights.safetensors"),
        *("requirements.txt", "conda.yaml", "python_env.yaml"),
    }
    assert (location(told) / "served.py").read_bytes() == Path(served.__file__).read_bytes()
    needs = (location(told) / "requirements.txt").read_text()
    assert "torch==" in needs
    assert "+" not in needs
    assert "al-plugin" not in needs


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "al_plugin":
            raise ImportError("al_plugin is not here")
sys.meta_path.insert(0, Block())
import warnings
warnings.simplefilter("ignore")
import mlflow, numpy as np
model = mlflow.pyfunc.load_model({uri!r})
print(model.predict(np.load("features.npy")).to_json(orient="split", double_precision=15))
"""


def test_it_loads_without_pickle_and_without_al_plugin(told: Path, tmp_path: Path) -> None:
    """In a fresh process where al_plugin cannot be imported, from the registry's alias."""
    np.save(tmp_path / "features.npy", FEATURES[:7])
    done = rounds.run_python(
        BLOCKED.format(uri="models:/zoo@challenger"),
        tmp_path,
        MLFLOW_TRACKING_URI=f"sqlite:///{told / 'mlflow.db'}",
        MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["columns"] == list(rounds.CLASSES)
    np.testing.assert_allclose(found["data"], expected(told, FEATURES[:7]), rtol=1e-6, atol=1e-12)


def test_two_versions_in_one_process_are_two_models(told: Path, tmp_path: Path) -> None:
    """The network's code is in the model's own file, so that no version is served by another's."""
    other = tmp_path / "other"
    shutil.copytree(location(told), other)
    text = (other / "served.py").read_text()
    (other / "served.py").write_text(text.replace("np.exp(log_probs)", "np.exp(log_probs) * 0"))
    with session.quiet():
        first, second = (mlflow.pyfunc.load_model(str(path)) for path in (location(told), other))
    assert second.predict(FEATURES[:2]).to_numpy().sum() == 0
    np.testing.assert_array_equal(first.predict(FEATURES[:2]).to_numpy(), expected(told, FEATURES[:2]))


def test_a_network_that_is_not_known_is_not_logged(tmp_path: Path) -> None:
    """Rather than logged as something that cannot be loaded."""
    root = tmp_path
    params = rounds.make_round(root, 1, 15)
    assert model.servable(record.read(params, root))
    card = json.loads((root / layout.CARD).read_text())
    card["network"]["kind"] = "unknown"
    (root / layout.CARD).write_text(json.dumps(card))
    assert not model.servable(record.read(params, root))


def test_the_model_carries_its_numbers(told: Path) -> None:
    """MLflow's table of models is then a table of rounds."""
    where = place.resolve(f"sqlite:///{told / 'mlflow.db'}", told)
    asked = mlflow.MlflowClient(where.uri)
    experiment = asked.get_experiment_by_name("al/zoo")
    (logged,) = asked.search_logged_models([experiment.experiment_id])
    assert (logged.name, logged.model_type) == ("r0001", "classifier")
    assert {metric.key for metric in logged.metrics} >= {"round/accuracy", "round/labels", "scores/mean"}
    assert logged.params["strategy"] == "margin"
    (run,) = asked.search_runs([experiment.experiment_id], "tags.`al.kind` = 'round'")
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert run.data.tags["al.model"] == logged.model_id


@pytest.mark.parametrize("body", [Body("mlp"), Body("linear"), Body("cnn", (1, 8, 8), 1)], ids=lambda body: body.name)
@pytest.mark.parametrize("method", ["single", "ensemble", "split_head", "bayes_by_backprop", "swag", "mal", "proxy"])
def test_every_kind_of_model_and_network_is_served_as_the_pipeline_computes_it(method: str, body: Body) -> None:
    pool = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    labels = np.arange(20) % 3
    task = TrainingTask(pool[:20].copy(), labels, pool, 3, 2, 8, 0.01, 0.01, 0, 1, 1, body=body)
    fitted = registry.load("train", method).function(task)
    model = served.Served()
    model.classes, model.network, model.temperature = ["a", "b", "c"], dict(fitted.network), None
    model.form = {"kind": "vector"}
    model.weights = {k: torch.from_numpy(v) for k, v in fitted.weights.items() if not k.startswith("proxy.")}
    expected = np.exp(model_signals({"network": fitted.network}, fitted.weights, pool)[0])
    np.testing.assert_allclose(model.predict(None, pool).to_numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["texts", "tables", "image_files"])
def test_samples_are_served_as_the_pool_has_them(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which, names = np.arange(30) % 3, [f"s-{i}" for i in range(30)]
    KINDS[kind](tmp_path, names, which, np.random.default_rng(0), labeled=False)
    (part,) = read_parts(str(tmp_path), "part", "").values()
    form = fit([part], Settings(image_size=12, text_features=64))
    rows = encode(form, part)
    body = Body("mlp", form.shape, form.groups)
    fitted = registry.load("train", "single").function(
        TrainingTask(rows, which, rows, 3, 2, 8, 0.01, 0.01, 0, 1, 1, body=body)
    )
    model = served.Served()
    model.classes, model.network, model.temperature = ["a", "b", "c"], dict(fitted.network), None
    model.form = json.loads(json.dumps(to_json(form)))
    model.weights = {k: torch.from_numpy(v) for k, v in fitted.weights.items()}
    frame = part.table.to_pandas()
    if kind == "image_files":
        frame["image"] = [(tmp_path / uri).read_bytes() for uri in frame.pop("uri")]
    expected = np.exp(model_signals({"network": fitted.network}, fitted.weights, rows)[0])
    np.testing.assert_allclose(model.predict(None, frame).to_numpy(), expected, atol=1e-6)
    with pytest.raises(MlflowException):
        model.predict(None, frame.drop(columns=frame.columns[-1]))
    monkeypatch.setitem(sys.modules, "al_plugin.data.forms.form", None)
    with pytest.raises(MlflowException, match="al_plugin turns samples of kind"):
        model.predict(None, frame)
