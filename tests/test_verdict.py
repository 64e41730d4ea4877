"""The verdict from what past rounds left behind: numbers by hand, refusals, and how long reading takes."""

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CLASSES, al, blobs, commit
from past_campaign import Past, build
from sklearn.metrics import cohen_kappa_score

from al_plugin import commands, history, layout, store
from al_plugin.config import read_params
from al_plugin.data.pool import sample_table
from al_plugin.math.intervals import Estimate, Refused
from al_plugin.rounds.judge import Verdict
from al_plugin.tracking import record
from al_plugin.verdict import read_curve, verdict

TRUTH = {f"s-{i:05d}": CLASSES[i % 3] for i in range(5000)}


@pytest.fixture(autouse=True)
def _no_memory() -> None:
    history.cache_folder.cache_clear()


def params(stop: str = "{}", n: int = 20):
    text = f'campaign: {{name: t, classes: ["a", "b", "c"]}}\nselect: {{n: {n}}}\nstop: {stop}\n'
    return read_params(text.encode())


@pytest.fixture
def past(campaign: Path) -> Path:
    build(campaign, Past())
    return campaign


def scores_of(number: int) -> dict[str, tuple[str, float]]:
    content = history.read_folder(history.past_rounds()[number], layout.SCORES, ".parquet")["part-00000.parquet"]
    table = pq.read_table(io.BytesIO(content))
    return dict(
        zip(
            table["sample_id"].to_pylist(),
            zip(table["predicted"].to_pylist(), table["confidence"].to_pylist(), strict=True),
            strict=True,
        )
    )


def query_of(number: int) -> list[dict]:
    path = Path(layout.LABELS, layout.round_folder(number), "query.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_number_by_hand(past: Path) -> None:
    """Kappa by scikit-learn, the control by counting rows, from the files themselves."""
    found = verdict(params())
    assert [fact.number for fact in found.rounds] == list(range(7))
    assert [fact.labels for fact in found.rounds] == [0, 20, 40, 60, 80, 100, 120]
    asked = {row["sample_id"] for number in range(1, 5) for row in query_of(number)}
    before, now = scores_of(3), scores_of(4)
    free = [name for name in now if name not in asked]
    expected = cohen_kappa_score([before[name][0] for name in free], [now[name][0] for name in free])
    assert found.rounds[4].kappa == pytest.approx(expected, abs=1e-12)
    assert found.rounds[4].changed == np.mean([before[name][0] != now[name][0] for name in free])
    assert found.rounds[0].kappa is None
    assert found.rounds[1].kappa is None  # round 0 has no model
    right = total = 0
    for number in range(1, 6):
        for row in query_of(number + 1):
            if row["kind"] == "random":
                total += 1
                right += scores_of(number)[row["sample_id"]][0] == TRUTH[row["sample_id"]]
    assert total == 20
    assert found.pool_accuracy.value == pytest.approx(right / total)
    assert found.chosen_accuracy.value < found.pool_accuracy.value
    assert isinstance(found.selection_bias, Estimate)


def test_the_model_is_judged_by_answers_it_had_not_seen(past: Path) -> None:
    """Round r's predictions against answers to the query it asked; the newest model has no answers yet."""
    counted = {fact.number: fact.counted for fact in verdict(params()).rounds}
    assert counted[0] is None
    assert counted[6] is None
    assert {counted[r].random for r in range(1, 6)} == {4}
    assert counted[2].population == 300 - 40


def test_a_sample_that_was_trained_on_is_no_control(past: Path) -> None:
    """A query that asks a labelled sample again does not count it."""
    path = Path(layout.LABELS, layout.round_folder(3), "query.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    known = query_of(1)[0]["sample_id"]
    rows[0] |= {"sample_id": known}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {fact.number: fact for fact in verdict(params()).rounds}[2].counted.random == 3


def test_criteria_are_judged_and_compose(past: Path) -> None:
    stop = "{criteria: {stabilising_predictions: 0.2, delta_f: 0.0, labels: 120}, combine: %s, min_rounds: %d}"
    found = verdict(params(stop % ("any", 3)))
    assert {state.name: state.holds for state in found.criteria} == {
        "stabilising_predictions": True,
        "delta_f": False,
        "labels": True,
    }
    assert found.decision.stop
    assert "120 of 120 labels spent" in found.decision.reason
    assert not verdict(params(stop % ("all", 3))).decision.stop
    assert verdict(params(stop % ("any", 99))).decision.reason == "labels: 120 of 120 labels spent"


def test_evaluation_labels_decide_only_where_plateau_is_named(past: Path) -> None:
    """The same campaign with other metrics: every other criterion says the same."""
    stop = "{criteria: {stabilising_predictions: null, delta_f: null, overall_uncertainty: null, classification_change: null, plateau: null}}"
    states = verdict(params(stop)).criteria
    assert [state.name for state in states if state.on_evaluation] == ["plateau"]


def test_error_stability_fits_a_companion_to_the_labels_of_each_round(past: Path) -> None:
    """Bounds from round 2 on, and the ratio to the first of them."""
    found = verdict(params("{criteria: {error_stability: 0.9}, window: 2}"))
    bounds = [fact.stability for fact in found.rounds]
    assert bounds[:2] == [None, None]
    assert all(bound > 0 for bound in bounds[2:])
    assert found.criteria[0].numbers["ratio"] == pytest.approx(bounds[-1] / min(bounds[2:5]))
    assert verdict(params()).rounds[-1].stability is None


def test_error_stability_is_of_the_pool_that_a_round_ran_on(past: Path) -> None:
    """Once the pool is another, a bound is remembered or missing, and never that of today's pool."""
    asked = params("{criteria: {error_stability: 0.9}, window: 2}")
    bounds = [fact.stability for fact in verdict(asked).rounds]
    ids, features, _ = blobs(40, 9, "later")
    store.write_table(Path(layout.POOL, "part-00001.parquet"), sample_table(ids, 5 * features))
    assert [fact.stability for fact in verdict(asked).rounds] == bounds
    shutil.rmtree(Path(layout.PRIVATE, "cache", "verdict"))
    found = verdict(asked)
    assert [fact.stability for fact in found.rounds] == [None] * len(bounds)
    assert not found.criteria[0].holds
    Path(layout.POOL, "part-00001.parquet").unlink()
    assert [fact.stability for fact in verdict(asked).rounds] == bounds


def test_the_forecast_is_for_the_next_query_and_for_what_is_asked(past: Path) -> None:
    assert list(verdict(params()).forecast) == [140]
    found = verdict(params(), more=[100, 500]).forecast
    assert list(found) == [220, 620]
    assert all(isinstance(one, Estimate) and one.low <= one.value <= one.high for one in found.values())


def test_a_random_curve_gives_labels_saved_and_advice(past: Path, capsys: pytest.CaptureFixture) -> None:
    """Random drawing that needs twice the labels, and one that needs half of them."""
    reached = verdict(params()).rounds[-1].accuracy

    def curve(name: str, factor: float) -> Path:
        rows = [(n, 0.95 - 0.6 * (n / factor / 20) ** -0.8) for n in range(40, 640, 40)]
        Path(name).write_text(
            "labels,accuracy\n" + "".join(f"{n},{accuracy}\n" for n, accuracy in rows if accuracy > 0)
        )
        return Path(name)

    slow = verdict(params(), random_curve=curve("slow.csv", 2.5))
    assert slow.saved.target == reached
    assert slow.saved.saved.value > 100
    fast = verdict(params(), random_curve=curve("fast.csv", 0.3))
    assert fast.saved.saved.high < 0
    assert "does not pay" in fast.advice
    assert al("verdict", "--random-curve", "slow.csv") == 0
    assert "labels saved" in capsys.readouterr().out


def test_of_a_simulations_curves_the_arm_random_is_read(past: Path) -> None:
    Path("curves.csv").write_text("arm,seed,labels,accuracy\nmargin,0,50,0.9\nrandom,0,50,0.5\nrandom,1,50,0.6\n")
    assert read_curve(Path("curves.csv")) == ([50.0, 50.0], [0.5, 0.6])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "needs labels and accuracy"),
        ("labels,accuracy\n50,much\n", "no pair of numbers"),
        ("labels,accuracy\n50,1.5\n", "outside 0 to 1"),
        ("labels,accuracy\n0,0.5\n", "labels below 1"),
        ("labels,accuracy\ninf,0.9\n10,0.5\n", "infinite"),
        ("labels,accuracy\n10," + "9" * 200_000 + "\n", "is no CSV (field larger than field limit"),
    ],
)
def test_a_bad_random_curve_is_one_line(past: Path, text: str, words: str, capsys: pytest.CaptureFixture) -> None:
    Path("curve.csv").write_text(text)
    assert al("verdict", "--random-curve", "curve.csv") == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_what_cannot_be_said_is_refused_with_the_reason(campaign: Path) -> None:
    """No random share, no curve of random drawing, no costs."""
    build(campaign, Past(rounds=2, random=0))
    found = verdict(params("{criteria: {money: 10, error_stability: null}}"))
    assert "no random row" in found.pool_accuracy.refused
    assert "no random control (select.random_share)" in found.saved.refused
    assert "cannot be said" in found.advice
    assert "2 of the 4" in next(iter(found.forecast.values())).refused
    assert [state.holds for state in found.criteria] == [None, None]
    assert not found.decision.stop


def test_a_random_curve_that_never_gets_there_is_refused(past: Path) -> None:
    Path("curve.csv").write_text("labels,accuracy\n" + "".join(f"{n},{0.4 - 8 / n}\n" for n in range(50, 500, 50)))
    found = verdict(params(), random_curve=Path("curve.csv"))
    assert "never reach" in found.saved.refused


def test_one_round_only(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    build(campaign, Past(rounds=0))
    found = verdict(params())
    assert found.round == 0
    assert not found.decision.stop
    assert isinstance(found.pool_accuracy, Refused)
    assert al("verdict") == 0
    assert "go on: 0 of at least 3 rounds" in capsys.readouterr().out


def test_no_round_at_all_is_one_line(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("verdict") == 1
    said = capsys.readouterr().err
    assert "no round can be read" in said
    assert "dvc repro" in said
    assert said.count("\n") == 1


def test_rounds_that_are_not_cached_are_told(past: Path, capsys: pytest.CaptureFixture) -> None:
    """Without round 4's scores two pairs of models are missing, and the command says how to get them."""
    gone = history.past_rounds()[4].outputs()[layout.SCORES]
    Path(".dvc/cache/files/md5", gone[:2], gone[2:]).unlink()
    found = verdict(params())
    by_round = {fact.number: fact for fact in found.rounds}
    assert by_round[4].kappa is None
    assert by_round[5].kappa is None
    assert by_round[6].kappa is not None
    assert "round 4" in by_round[4].missing
    assert found.criteria[0].holds is None
    assert al("verdict") == 0
    assert "run dvc fetch --all-commits" in capsys.readouterr().out
    shutil.rmtree(".dvc/cache")
    assert al("verdict") == 1
    assert "dvc fetch" in capsys.readouterr().err


def test_what_was_missing_is_read_once_it_is_there(past: Path) -> None:
    gone = Path(".dvc/cache/files/md5", (digest := history.past_rounds()[4].outputs()[layout.SCORES])[:2], digest[2:])
    content = gone.read_bytes()
    gone.unlink()
    assert verdict(params()).rounds[4].kappa is None
    gone.write_bytes(content)
    assert verdict(params()).rounds[4].kappa is not None


def test_the_round_in_the_working_tree_counts(campaign: Path) -> None:
    """Not committed yet, but finished: dvc.lock pins it."""
    build(campaign, Past(rounds=3))
    commands.git("reset", "--quiet", "--soft", "HEAD~1")
    assert list(history.past_rounds()) == [0, 1, 2]
    assert verdict(params()).round == 3
    (campaign / layout.MANIFESTS / "round_0004").mkdir()
    (campaign / layout.MANIFESTS / "round_0004" / "b01.json").write_text("{}")
    assert verdict(params()).round == 2  # labels came in since: that round is not finished


def test_money_is_what_the_answers_cost(campaign: Path) -> None:
    build(campaign, Past(rounds=3, cost=True))
    found = verdict(params("{criteria: {money: 50}}"))
    price = {f"s-{i:05d}": i % 4 + 0.5 for i in range(300)}
    expected = {str(r): sum(price[row["sample_id"]] for row in query_of(r)) for r in (1, 2, 3)}
    assert found.money == pytest.approx(expected)
    assert found.criteria[0].holds is (sum(expected.values()) >= 50)


def test_a_stochastic_strategy_gives_lures_estimate(campaign: Path) -> None:
    """Error of the newest answered model on its candidates; the truth is in the interval."""
    build(campaign, Past(rounds=4, n=60, random=6, strategy="softmax", pool=600))
    found = verdict(params())
    assert isinstance(found.risk, Estimate)
    asked = {row["sample_id"] for number in range(1, 4) for row in query_of(number)}
    truth = np.mean([guess != TRUTH[name] for name, (guess, _) in scores_of(3).items() if name not in asked])
    assert found.risk.low <= truth <= found.risk.high
    assert found.rounds[1].risk is not None


def test_lure_knows_which_samples_the_evaluation_set_holds_too(campaign: Path) -> None:
    build(campaign, Past(rounds=4, n=60, random=6, strategy="softmax", pool=600, of_evaluation=5))
    assert isinstance(verdict(params()).risk, Estimate)


def test_lure_is_refused_where_the_candidates_cannot_be_rebuilt(campaign: Path) -> None:
    build(campaign, Past(rounds=2, strategy="softmax"))
    path = Path(layout.LABELS, layout.round_folder(2), "query.jsonl")
    path.write_text(path.read_text().replace("of 280 candidates", "of 279 candidates"))
    assert "cannot be rebuilt" in verdict(params()).risk.refused


def test_the_document_is_json_and_the_same_twice(past: Path, capsys: pytest.CaptureFixture) -> None:
    texts = []
    for _ in range(2):
        assert al("verdict", "--json", "--labels", "100") == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    document = json.loads(texts[0])
    assert document["schema"] == "verdict/1"
    assert document["forecast"][0]["labels"] == 220
    assert set(document["forecast"][0]) == {"labels", "value", "low", "high", "level"}
    assert document["saved"].keys() == {"refused"}
    assert [point["labels"] for point in document["control"]["points"]] == [20, 40, 60, 80, 100]
    assert set(document["biased"]) >= {"chosen_accuracy", "per_class"}


def test_status_says_stop_or_go_on(past: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("status") == 0
    said = capsys.readouterr().out
    for line in ("advice    go on:", "forecast  ", "control   "):
        assert line in said


def test_labels_must_be_positive(past: Path, capsys: pytest.CaptureFixture) -> None:
    assert al("verdict", "--labels", "0") == 1
    assert "name 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ("{criteria: {kapa: 1}}", "unknown key 'kapa'"),
        ("{criteria: [plateau]}", "write name: threshold"),
        ("{criteria: {labels: null}}", "it takes a budget"),
        ("{criteria: {plateau: often}}", "a threshold, or null"),
        ("{criteria: {plateau: -1}}", "0 or more"),
        ("{combine: most}", "any, all"),
        ("{window: 0}", "stop.window"),
        ("{min_rounds: -1}", "stop.min_rounds"),
        ("{budget: 5}", "unknown key 'budget'"),
    ],
)
def test_a_mistake_in_section_stop_is_named(stop: str, words: str) -> None:
    with pytest.raises(Exception, match=r"params\.yaml") as caught:
        params(stop)
    assert words in str(caught.value)


def test_twenty_rounds_are_read_fast_and_the_second_time_faster(campaign: Path) -> None:
    """20 rounds of a pool of 5,000: seconds at first, then what was read is remembered by its content."""
    build(campaign, Past(rounds=20, pool=5000))
    took = []
    found: list[Verdict] = []
    for _ in range(2):
        start = time.perf_counter()
        found.append(verdict(params()))
        took.append(time.perf_counter() - start)
    print(f"20 rounds: {took[0]:.2f} s, then {took[1]:.2f} s")
    assert found[0].document() == found[1].document()
    assert took[1] < 1.5
    assert took[0] < 15


def test_a_rewritten_branch_is_read_anew(past: Path) -> None:
    """What is remembered is keyed by content: another history gives its own numbers."""
    first = [fact.uncertainty for fact in verdict(params()).rounds]
    shutil.rmtree(layout.LABELS)
    shutil.rmtree(layout.MANIFESTS)
    build(past, Past(n=30))
    commit(past, "Again")
    found = verdict(params()).rounds
    assert [fact.labels for fact in found] == [0, 30, 60, 90, 120, 150, 180]
    assert all(new != old for new, old in zip([fact.uncertainty for fact in found][1:], first[1:], strict=True))


def test_mlflow_is_told_what_only_the_rounds_before_can_say(past: Path) -> None:
    """Flat finite numbers; none for another round than the one in the working tree, or outside of it."""
    told = record._judged(params(), past, past, 6)
    found = verdict(params())
    assert told["kappa"] == found.rounds[-1].kappa
    assert told["control_accuracy"] == found.pool_accuracy.value
    assert told["control_low"] < told["control_accuracy"] < told["control_high"]
    assert told["forecast_low"] < told["forecast"] < told["forecast_high"]
    assert told["stop"] == 0.0
    assert record._judged(params(), past, past, 5) == {}
    assert record._judged(params(), past.parent, past.parent, 6) == {}


def test_a_clone_reads_past_rounds_from_the_cache_of_its_home(
    past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `al track --all` tells old rounds: the clone's own cache holds its round at most."""
    here = record._judged(params(), past, past, 6)
    commands.git("clone", "--quiet", str(past), str(tmp_path / "clone"))
    shutil.copytree(past / layout.EVAL, tmp_path / "clone" / layout.EVAL)
    monkeypatch.chdir(tmp_path / "clone")
    history.cache_folder.cache_clear()
    assert record._judged(params(), Path.cwd(), Path.cwd(), 6) == {}
    assert record._judged(params(), Path.cwd(), past, 6) == here


@pytest.mark.parametrize("path", [layout.TRAIN_METRICS, layout.LABELED, "part"])
def test_a_damaged_past_is_one_line_and_never_fails_the_telling(
    path: str, past: Path, capsys: pytest.CaptureFixture
) -> None:
    outputs = history.past_rounds()[6].outputs()
    digest = outputs.get(path)
    if digest is None:
        scores = outputs[layout.SCORES]
        digest = json.loads(Path(".dvc/cache/files/md5", scores[:2], scores[2:]).read_text())[0]["md5"]
    Path(".dvc/cache/files/md5", digest[:2], digest[2:]).write_text("{ not json")
    assert record._judged(params(), past, past, 6) == {}
    assert al("verdict") == 1
    said = capsys.readouterr().err
    assert "damaged" in said
    assert said.count("\n") == 1


def test_rounds_without_metrics_are_told(past: Path, capsys: pytest.CaptureFixture) -> None:
    digest = history.past_rounds()[3].outputs()[layout.TRAIN_METRICS]
    Path(".dvc/cache/files/md5", digest[:2], digest[2:]).unlink()
    found = verdict(params())
    assert found.unread == (3,)
    assert [fact.number for fact in found.rounds] == [0, 1, 2, 4, 5, 6]
    assert al("verdict") == 0
    assert "metrics of rounds 3 are not in this machine's DVC cache" in capsys.readouterr().out
