"""Campaigns of sets of labels and of numbers: what is taken, what is refused, what comes out."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from campaigns import LABELS, answer, answers_of, asked, change, start_task
from campaigns import turn as dvc_turn
from conftest import al, commit, stage, turn
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin import layout, store, targets
from al_plugin.config import read_params
from al_plugin.errors import AlError, DataError
from al_plugin.math import label_doubt, label_metrics, value_metrics
from al_plugin.rounds.consensus import Agreed, Cast, agreed
from al_plugin.rounds.evaluate import MEASURES
from al_plugin.strategies import recipes, registry

TASKS = ("multilabel", "regression")


# --- answers as text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label", ["nan", "NaN", "inf", "1e999", "-1e31", "3,5", "1_000", "0x10", "", " ", "five", "٣", "1 2"]
)
def test_what_is_no_number(label: str) -> None:
    assert targets.of("regression", ()).problem(label).startswith("write a finite decimal number with a point")


@pytest.mark.parametrize("label", ["3", "-3.50", "+.5", "1e-9", "2.", " 4 ", "-0"])
def test_what_is_a_number(label: str) -> None:
    asking = targets.of("regression", ())
    assert asking.problem(label) == ""
    assert asking.array([label]).tolist() == [float(label)]


@given(st.floats(-1e30, 1e30))
def test_the_text_of_a_number_reads_back_as_the_same(value: float) -> None:
    asking = targets.of("regression", ())
    (text,) = asking.texts(np.array([value]))
    assert asking.problem(text) == ""
    assert asking.array([text])[0] == value
    assert not text.startswith("-0.0") or value != 0


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("left|up", "'up' is not among them"),
        ("left|left", "'left' stands twice"),
        ("left||right", "'' is not among them"),
        ("left;right", "'left;right' is not among them"),
        ("Left", "'Left' is not among them"),
        (None, "write names joined by |"),
        (3, "write names joined by |"),
    ],
)
def test_what_is_no_set_of_labels(label: object, words: str) -> None:
    assert words in targets.of("multilabel", LABELS).problem(label)


@given(st.sets(st.sampled_from(LABELS)), st.randoms())
def test_the_text_of_a_set_is_one_whatever_its_order(held: set[str], random) -> None:
    asking = targets.of("multilabel", LABELS)
    given_order = sorted(held)
    random.shuffle(given_order)
    found = asking.array(["|".join(given_order), " | ".join(given_order), given_order])
    assert asking.texts(found) == ["|".join(name for name in LABELS if name in held)] * 3
    assert found.sum() == 3 * len(held)


def test_a_table_names_its_first_bad_labels() -> None:
    with pytest.raises(DataError, match=r"here: labels '1,5', 'nan' are no numbers; write a finite decimal number"):
        targets.encoded(targets.of("regression", ()), ["1", "nan", "1,5"], "here")
    with pytest.raises(DataError, match=r"labels \('left', 'x'\) are not sets of campaign.classes; 'x' is not among"):
        targets.encoded(targets.of("multilabel", LABELS), [["left", "x"], ["left"]], "here")


# --- params.yaml -------------------------------------------------------------------------------

NUMBERS = "campaign: {name: t, task: regression, classes: [], recipe: random}\n"
SETS = 'campaign: {name: t, task: multilabel, classes: ["a", "b"], recipe: random}\n'


def params_of(text: str):
    return read_params(text.encode())


def test_defaults_follow_the_task() -> None:
    numbers, sets = params_of(NUMBERS), params_of(SETS)
    assert (numbers.merge.strategy, numbers.gate.metric, numbers.stop.criteria) == ("mean", "r2", {})
    assert (sets.merge.strategy, sets.gate.metric, sets.stop.criteria) == ("majority", "micro_f1", {})
    classes = params_of('campaign: {name: t, classes: ["a", "b"]}\n')
    assert (classes.merge.strategy, classes.gate.metric) == ("majority", "accuracy")
    assert classes.stop.criteria == {"stabilising_predictions": 0.99}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NUMBERS.replace("[]", '["a", "b"]'), "campaign.task is regression, and campaign.classes holds 2 names; set"),
        (NUMBERS.replace("regression", "regresion"), "did you mean 'regression'"),
        (SETS.replace('"b"', '"b|c"'), "holds 'b|c', and an answer joins names by |"),
        (SETS.replace('["a", "b"]', "[]"), "name at least two classes"),
        (NUMBERS.replace("random", "margin"), "score.strategy margin needs log_probs, which campaign.task regression"),
        (
            SETS.replace("random", "bald"),
            "needs mc_log_probs, which campaign.task multilabel does not have; under it: ",
        ),
        (SETS.replace("random", "igs"), "select.strategy igs needs values, which campaign.task multilabel"),
        (NUMBERS.replace("random", "label_entropy"), "needs label_log_odds, which campaign.task regression does not"),
        (NUMBERS.replace("random", "badge"), "select.strategy badge needs log_probs, which campaign.task regression"),
        (
            NUMBERS + "train: {strategy: vaal}\n",
            "train.strategy vaal trains for classes only, campaign.task is regression; under it: bootstrap_ensemble, ",
        ),
        (SETS + "train: {strategy: random_forest}\n", "random_forest trains for classes only"),
        (
            NUMBERS + "merge: {strategy: majority}\n",
            "merge.strategy majority needs vote_labels, which campaign.task regression does not have; under it: mean, median",
        ),
        (SETS + "merge: {strategy: mean}\n", "merge.strategy mean needs vote_values"),
        (
            NUMBERS + "train: {holdout: 0.2, calibrate: true}\n",
            "train.calibrate: true, which is defined for campaign.task classes only",
        ),
        (SETS + "train: {class_weights: balanced}\n", "class_weights: balanced, which is defined for"),
        (NUMBERS + "score: {posterior: laplace}\n", "score.posterior: laplace, which is defined for"),
        (
            SETS + "stop: {criteria: {stabilising_predictions: null}}\n",
            "stop.criteria.stabilising_predictions, which is",
        ),
        (NUMBERS + "gate: {metric: accuracy}\n", "gate.metric to 'accuracy'; one of: r2, rmse, mae"),
        (SETS + "gate: {metric: r2}\n", "gate.metric to 'r2'; one of: micro_f1, "),
    ],
)
def test_what_a_task_does_not_have_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(AlError) as refused:
        params_of(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("stage_name", ["score", "select"])
def test_every_strategy_fits_some_task_and_class_strategies_fit_classes_alone(stage_name: str) -> None:
    """A strategy that names class probabilities is offered under no other task."""
    for name in registry.shipped(stage_name):
        strategy = registry.load(stage_name, name)
        fits = [task for task in targets.TASKS if strategy.fits(task)]
        assert fits
        if any("log_probs" in signal for signal in strategy.signals):
            assert fits == ["classes"]


# --- consensus ---------------------------------------------------------------------------------


def cast(votes: list[tuple[int, str, str]]) -> Cast:
    who = sorted({name for _, name, _ in votes})
    samples = np.array([at for at, _, _ in votes])
    annotators = np.array([who.index(name) for _, name, _ in votes])
    return Cast(int(samples.max()) + 1, samples, annotators, np.arange(len(votes)), [label for _, _, label in votes])


def test_sets_are_decided_label_by_label() -> None:
    """Two of three for a label hold it, whoever else was named; one label that ties leaves the sample disputed."""
    votes = [
        (0, "x", "left|far"),
        (0, "y", "left"),
        (0, "z", "right|left"),
        (1, "x", "left"),
        (1, "y", ""),
        (2, "x", ""),
    ]
    found = agreed(cast(votes), registry.load("merge", "majority"), {}, targets.of("multilabel", LABELS))
    assert found[0] == Agreed("left", pytest.approx((1 + 2 / 3 + 2 / 3) / 3))
    assert found[1] is None
    assert found[2] == Agreed("", 1.0)


@pytest.mark.parametrize(("strategy", "label"), [("mean", "4.0"), ("median", "2.0")])
def test_numbers_have_a_spread(strategy: str, label: str) -> None:
    votes = [(0, "x", "1"), (0, "y", "2.0"), (0, "z", "9"), (1, "x", "0.10")]
    found = agreed(cast(votes), registry.load("merge", strategy), {}, targets.of("regression", ()))
    assert found == [Agreed(label, None, pytest.approx(np.std([1, 2, 9], ddof=1))), Agreed("0.1", None, None)]


def test_classes_are_decided_as_ever() -> None:
    votes = [(0, "x", "left"), (0, "y", "right"), (0, "z", "left"), (1, "x", "far"), (1, "y", "left")]
    found = agreed(cast(votes), registry.load("merge", "majority"), {}, targets.of("classes", LABELS))
    assert found == [Agreed("left", 2 / 3), None]


# --- metrics against scikit-learn --------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_metrics_of_sets_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    truth = rng.random((rng.integers(2, 30), 4)) < rng.random(4)
    # Whole numbers: ties of the score happen.
    log_odds = rng.integers(-3, 4, size=truth.shape).astype(float) + 0.5 * (seed % 2)
    found, mine = log_odds > 0, MEASURES["multilabel"](log_odds, truth.astype(float))
    held = truth.any(axis=0)
    with np.errstate(all="ignore"):
        assert mine["micro_f1"] == pytest.approx(metrics.f1_score(truth, found, average="micro", zero_division=0))
        if held.any():
            # One label at a time: of a single column scikit-learn makes two classes.
            own = [metrics.f1_score(truth[:, at], found[:, at], zero_division=0) for at in np.flatnonzero(held)]
            assert mine["macro_f1"] == pytest.approx(np.mean(own))
            each = [metrics.average_precision_score(truth[:, c], log_odds[:, c]) for c in np.flatnonzero(held)]
            assert mine["mean_average_precision"] == pytest.approx(np.mean(each))
    assert mine["subset_accuracy"] == metrics.accuracy_score(truth, found)
    p = 1 / (1 + np.exp(-log_odds))
    assert mine["nll"] == pytest.approx(
        np.mean([metrics.log_loss(truth[:, c], p[:, c], labels=[False, True]) for c in range(4)])
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_metrics_of_numbers_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rng.integers(2, 40)) * 10 + 3
    found = truth + rng.normal(size=len(truth))
    mine = MEASURES["regression"](found, truth)
    assert mine["r2"] == pytest.approx(metrics.r2_score(truth, found))
    assert mine["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, found))
    assert mine["mae"] == pytest.approx(metrics.mean_absolute_error(truth, found))


def test_metrics_where_there_is_nothing_to_tell() -> None:
    nothing = np.zeros((3, 2), dtype=bool)
    assert label_metrics.macro_f1(nothing, nothing) == 0
    assert label_metrics.mean_average_precision(nothing, np.zeros((3, 2))) == 0
    assert value_metrics.r2(np.ones(3), np.ones(3)) == 1
    assert value_metrics.r2(np.ones(3), np.zeros(3)) == 0


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=6))
def test_doubt_about_labels_keeps_its_range_and_symmetry(row: list[float]) -> None:
    log_odds = np.array([row])
    for doubt, low, high in (
        (label_doubt.mean_entropy, 0.0, math.log(2)),
        (label_doubt.largest_entropy, 0.0, math.log(2)),
        (label_doubt.negative_margin, -1.0, 0.0),
    ):
        (score,) = doubt(log_odds)
        assert low <= score <= high + 1e-15
        assert score == doubt(-log_odds)[0]
    # Members that agree leave nothing to learn; the doubt within is no disagreement.
    assert label_doubt.mutual_information(np.stack([log_odds] * 3))[0] == pytest.approx(0, abs=1e-14)


# --- networks ----------------------------------------------------------------------------------


def trained(task: str, strategy: str, **knobs):
    """A model of a small task: card, weights, features, labels."""
    from al_plugin.data.pool import Pool
    from al_plugin.data.sets import Evaluation, Labeled
    from al_plugin.rounds.train import train

    rng = np.random.default_rng(3)
    points = rng.normal(size=(60, 4)).astype(np.float32)
    classes = LABELS if task == "multilabel" else ()
    labels = targets.of(task, classes).array(answers_of(task, points))
    if task == "regression":
        labels = 1e6 + 1e4 * labels  # far from 0 and large: standardised or not learned at all
    ids = np.array([f"s{i:02d}" for i in range(60)], dtype=object)
    pool, known = Pool(ids, points, {"p": 60}), Labeled(list(ids[:40]), labels[:40])
    params = params_of(f"campaign: {{name: t, task: {task}, classes: {json.dumps(classes)}, recipe: random}}\n")
    wanted = params.train.settings() | {"threads": 1, "seed": 5, "epochs": 80} | knobs
    evaluation = Evaluation(points[40:], labels[40:])
    return train(pool, known, evaluation, classes, registry.load("train", strategy), wanted, {}, 1, kind=task), points


def test_numbers_come_back_in_their_units() -> None:
    """R² is high where the mean of the answers is far from 0 and their scale large."""
    from al_plugin.models.restore import model_signals

    found, points = trained("regression", "single")
    assert found.metrics["eval"]["r2"] > 0.8
    assert found.card["network"]["target_mean"] > 1e6
    values, embeddings = model_signals(found.card, found.weights, points)
    assert values.dtype == np.float64
    by_hand = embeddings @ found.weights["head.weight"][0] + found.weights["head.bias"][0]
    network = found.card["network"]
    assert np.allclose(values, by_hand.astype(float) * network["target_scale"] + network["target_mean"], rtol=1e-6)
    assert set(found.curve) == {"epoch", "loss"}
    assert found.forgetting.num_rows == 0


@pytest.mark.parametrize("task", TASKS)
def test_a_committee_is_the_mean_of_its_members(task: str) -> None:
    from al_plugin.models.rebuilt import Networks
    from al_plugin.models.restore import members, model_signals

    found, points = trained(task, "ensemble")
    each = Networks(found.card, members(found.card, found.weights)).log_probs(points)
    mean = model_signals(found.card, found.weights, points)[0]
    if task == "regression":
        assert np.allclose(mean, each.mean(axis=0))
    else:
        p = (1 / (1 + np.exp(-each.astype(float)))).mean(axis=0)
        assert np.allclose(mean, np.log(p / (1 - p)), atol=1e-4)
    assert np.ptp(each, axis=0).min() > 0


@pytest.mark.parametrize("task", TASKS)
def test_early_stopping_looks_at_the_loss_of_the_task(task: str) -> None:
    found, _ = trained(task, "single", holdout=0.25, patience=3)
    assert found.metrics["held_out"] == 10
    losses = found.curve["held_out_nll"]
    assert len(losses) < 80 or min(losses) in losses[-4:]


@pytest.mark.parametrize("task", TASKS)
def test_training_is_the_same_bytes_again(task: str) -> None:
    first, second = (trained(task, "single")[0] for _ in range(2))
    assert all(first.weights[name].tobytes() == second.weights[name].tobytes() for name in first.weights)
    assert first.metrics == second.metrics


@pytest.mark.parametrize("task", TASKS)
def test_mc_dropout_heads_are_the_network_with_dropped_units(task: str) -> None:
    from al_plugin.models.posterior import dropout_heads, mc_predictions
    from al_plugin.models.restore import model_signals

    found, points = trained(task, "single")
    embeddings = model_signals(found.card, found.weights, points)[1]
    heads = dropout_heads(found.card, found.weights, 7, np.random.default_rng(0))
    samples = mc_predictions(found.card, embeddings, heads)
    assert samples.shape == ((7, 60) if task == "regression" else (7, 60, 3))
    raw = np.einsum("nd,tcd->tnc", embeddings.astype(float), heads.weight.astype(float)) + heads.bias[:, None]
    network = found.card["network"]
    wanted = raw[..., 0] * network["target_scale"] + network["target_mean"] if task == "regression" else raw
    assert np.allclose(samples, wanted, rtol=1e-4, atol=1e-4)


# --- whole campaigns ---------------------------------------------------------------------------


def answered_once(root: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    start_task(root, task)
    monkeypatch.chdir(root)
    for name in ("DVC_STAGE", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    turn()
    commit(root, "Round 0")
    return root


def exported(root: Path, label_of) -> Path:
    """The open query as a sheet with answers: (status, label) by sample."""
    Path("sheet.csv").unlink(missing_ok=True)
    assert al("query", "export", "sheet.csv") == 0
    rows = list(csv.DictReader(Path("sheet.csv").read_text().splitlines()))
    for row in rows:
        row["annotator"] = "ann"
        row["status"], row["label"] = label_of(row["sample_id"])
    out = root / "filled.csv"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return out


BAD = {"multilabel": ("left|up", "not a set of campaign.classes"), "regression": ("1e999", "the label is not a number")}


@pytest.mark.parametrize("task", TASKS)
def test_a_sheet_of_people_is_checked_and_merged(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One bad answer refuses the sheet with the reason; mended, every row is a label, the empty set included."""
    root = answered_once(tmp_path / "campaign", task, monkeypatch)
    first = asked(root)[0]
    label, reason = BAD[task]
    assert (
        al(
            "labels",
            "add",
            str(
                exported(
                    root, lambda sample: ("", label if sample == first else "1.50" if task == "regression" else "left")
                )
            ),
        )
        == 1
    )
    assert reason in capsys.readouterr().err
    nothing = ("empty", "") if task == "multilabel" else ("", "-2")
    good = exported(
        root, lambda sample: nothing if sample == first else ("", "01.50" if task == "regression" else "far | left")
    )
    assert al("labels", "add", str(good)) == 0
    turn()
    table = {row["sample_id"]: row for row in pq.read_table(layout.LABELED).to_pylist()}
    assert len(table) == 16
    assert table[first]["label"] == ("" if task == "multilabel" else "-2.0")
    assert {row["label"] for sample, row in table.items() if sample != first} == {
        "left|far" if task == "multilabel" else "1.5"
    }
    assert ("spread" in table[first]) == (task == "regression")
    votes = pq.read_table(layout.VOTES).column("label").to_pylist()
    assert ("01.50" if task == "regression" else "far | left") in votes  # what people wrote stays


@pytest.mark.parametrize("task", TASKS)
def test_commands_work_or_say_in_a_line_why_not(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    root = answered_once(tmp_path / "campaign", task, monkeypatch)
    assert al("oracle") == 0
    commit(root, "Labels")
    turn()
    metric = targets.of(task, LABELS).metrics[0]
    capsys.readouterr()
    assert al("status") == 0
    assert f"{metric:9} 0." in capsys.readouterr().out
    assert al("report", "--out", str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text()
    assert {"regression": "R²", "multilabel": "micro f1"}[task] in page
    assert "Confusion" not in page
    for command in (("simulate",), ("recommend",)):
        capsys.readouterr()
        assert al(*command) == 1
        said = capsys.readouterr().err.strip()
        assert f"campaign.task is {task}; see docs/tasks.md" in said
        assert "\n" not in said


@pytest.mark.parametrize("task", TASKS)
def test_every_strategy_that_fits_selects(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself on a fitted model: no label asked again, sixteen samples."""
    root = answered_once(tmp_path / "campaign", task, monkeypatch)
    assert al("oracle") == 0
    turn()
    labelled = set(pq.read_table(layout.LABELED).column("sample_id").to_pylist())
    change(root, epochs="5")
    text = Path(layout.PARAMS).read_text()
    for name in registry.fitting("score", task):
        Path(layout.PARAMS).write_text(
            text.replace("score:\n  strategy: null", f"score:\n  strategy: {name}").replace(
                "select:\n  strategy: null", "select:\n  strategy: top"
            )
        )
        assert stage("train") == stage("score") == stage("select_query") == 0, name
        assert len(set(asked(root)) - labelled) == 16
        scores = pq.read_table(next(Path(layout.SCORES).glob("*.parquet")))
        assert scores.column("score").null_count == 0
        assert scores.column("predicted").null_count == 0
        assert scores.column("confidence").null_count == (len(scores) if task == "regression" else 0)
    for name in registry.fitting("select", task):
        Path(layout.PARAMS).write_text(text.replace("select:\n  strategy: null", f"select:\n  strategy: {name}"))
        assert stage("score") == stage("select_query") == 0, name
        assert len(set(asked(root)) - labelled) == 16


def test_an_evaluation_column_of_numbers_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    root = answered_once(tmp_path / "campaign", "regression", monkeypatch)
    path = root / layout.EVAL / "part-00000.parquet"
    table = pq.read_table(path)
    values = pa.array([float(text) for text in table.column("label").to_pylist()])
    assert al("oracle") == 0
    turn()
    before = json.loads(Path(layout.TRAIN_METRICS).read_text())
    store.write_table(path, table.set_column(table.schema.get_field_index("label"), "label", values))
    turn()
    assert json.loads(Path(layout.TRAIN_METRICS).read_text()) == before
    spoilt = pa.array([math.nan, *values.to_pylist()[1:]])
    store.write_table(path, table.set_column(table.schema.get_field_index("label"), "label", spoilt))
    assert stage("train") == 1


def test_disagreement_keeps_its_digits_near_one_as_near_zero() -> None:
    log_odds = np.array([[[30.0]], [[34.0]]])
    found = [label_doubt.mutual_information(sign * log_odds)[0] for sign in (1, -1)]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] > 0


def test_auto_asks_for_numbers_by_gsx_from_the_first_query_on() -> None:
    """benchmarks/RESULTS.md: TypiClust from nothing is not above random on diabetes, GSx far above."""
    assert {recipes.resolve("auto", {}, [labels], "regression").select for labels in (0, 19, 500)} == {"gsx"}
    by_labels = [recipes.resolve("auto", {}, [9, fewest], "multilabel").select for fewest in (4, 5)]
    assert by_labels == ["typiclust", "top"]


@pytest.mark.dvc
@pytest.mark.parametrize(("task", "recipe"), [("multilabel", "auto"), ("regression", "auto")])
def test_a_campaign_through_dvc_and_mlflow(
    task: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 0 and two answered rounds through `dvc repro`; MLflow serves what the network computes."""
    root = start_task(tmp_path / "campaign", task, recipe=recipe)
    assert set(dvc_turn(root)["eval"].values()) == {None}
    seen = asked(root)
    for _ in range(2):
        answer(root)
        metrics = dvc_turn(root)
        seen += asked(root)
    assert len(set(seen)) == len(seen) == 48
    assert metrics["labels"] == 32
    assert metrics["eval"]["r2" if task == "regression" else "micro_f1"] > 0.7
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert al("verdict") == 0
    assert al("track") == 0
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    served = mlflow.pyfunc.load_model("models:/toy@challenger")
    points = np.random.default_rng(9).normal(size=(5, 4)).astype(np.float32)
    found = served.predict(points)
    from al_plugin.campaign import read_card, read_weights
    from al_plugin.models.restore import model_signals

    own = model_signals(read_card(), read_weights(), points)[0]
    if task == "regression":
        assert np.allclose(found["value"], own, rtol=1e-5)
    else:
        assert list(found.columns) == list(LABELS)
        assert np.allclose(found, 1 / (1 + np.exp(-own)), atol=1e-6)


# --- the documentation -------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "tasks.md").read_text()


def block(name: str) -> str:
    return PAGE.split(f"<!-- tested: {name} -->\n```")[1].split("\n", 1)[1].split("```")[0]


def test_the_campaigns_of_the_documentation_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from al_plugin import commands

    found = []
    for line in block("tasks").splitlines():
        words = shlex.split(line)
        root = tmp_path / words[3]
        root.mkdir()
        commands.git("init", "--quiet", cwd=root)
        commands.dvc("init", "--quiet", cwd=root)
        monkeypatch.chdir(root)
        assert words[0] == "al"
        assert al(*words[1:]) == 0
        found.append(read_params(Path(layout.PARAMS).read_bytes()).campaign.task)
        assert "not one of campaign.classes" not in Path(layout.SUITE).read_text()
    assert found == list(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_sheets_of_the_documentation_are_taken(task: str) -> None:
    from al_plugin.data.answers import read_sheet
    from al_plugin.rounds.gate import is_vote

    asking = targets.of(task, ("drama", "comedy", "crime"))
    answers = read_sheet(block(task).encode(), "docs").answers
    assert [one.status for one in answers] == ["labelled", "labelled", "empty" if task == "multilabel" else "skipped"]
    votes = [one.label for one in answers if is_vote(one, asking)]
    assert [asking.problem(label) for label in votes] == [""] * len(votes)
    texts = asking.texts(asking.array(votes))
    assert texts == (["drama|crime", "comedy", ""] if task == "multilabel" else ["3.5", "-0.002"])


def test_what_the_documentation_says_there_is() -> None:
    for task in TASKS:
        for stage_name in ("train", "score"):
            assert all(f"`{name}`" in PAGE for name in registry.fitting(stage_name, task))


def test_less_error_is_better_at_the_gate() -> None:
    from al_plugin.ci.gates import Reference, quality
    from al_plugin.settings import Gate

    gate = Gate(metric="rmse", max_drop=0.1)
    assert quality(gate, 1.0, Reference(1.5, "before")).passes
    assert not quality(gate, 1.7, Reference(1.5, "before")).passes
