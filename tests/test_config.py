"""params.yaml: every mistake is one line that says what was asked, found, and what to change."""

import pytest
from conftest import ROOT

from al_plugin import __version__
from al_plugin.config import check_version, read_params
from al_plugin.documents import read_yaml
from al_plugin.errors import AlError, ParamsError

GOOD = """
campaign: {name: toy, classes: ["a", "b"]}
"""


def test_defaults_are_valid() -> None:
    """Only a name and classes are required."""
    params = read_params(GOOD.encode())
    assert params.campaign.classes == ("a", "b")
    assert params.select.n == 50


def test_shipped_params_are_valid_and_of_this_version() -> None:
    """The file at the root is what `al init` starts from."""
    check_version(read_params((ROOT / "params.yaml").read_bytes()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select: {stategy: margin}", ["unknown key 'stategy'", "did you mean 'strategy'"]),
        ("sellect: {n: 3}", ["unknown key 'sellect'", "did you mean 'select'"]),
        ("score: {strategy: margn}", ["'margn'", "did you mean 'margin'", "entropy"]),
        ("select: {strategy: margin}", ["not a select strategy (score.strategy takes it)"]),
        ("select: {strategy: no.such:thing}", ["cannot be imported"]),
        ("select: {n: 0}", ["select.n", "0", "[1, inf]"]),
        ("select: {n: many}", ["select.n", "'many'", "int"]),
        ("select: {n: 2.5}", ["select.n", "2.5", "int"]),
        ("select: {random_share: 1.5}", ["select.random_share", "[0, 1]"]),
        ("select: {random_share: .nan}", ["select.random_share", "nan"]),
        ("select: {typiclust: {neighbours: 0}}", ["select.typiclust.neighbours", "[1, inf]"]),
        ("select: {typiclust: {neighbors: 5}}", ["neighbors", "did you mean 'neighbours'"]),
        ("select: {typiclust: 5}", ["select.typiclust"]),
        ("train: {single: {dropout: 2}}", ["train.single.dropout", "0.95"]),
        ("train: {lr: true}", ["train.lr", "bool"]),
        ("train: [1, 2]", ["section train", "list"]),
        ("tracking: {required: maybe}", ["tracking.required", "bool"]),
        ("select: {n: 3, n: 4}", ["'n' stands twice"]),
        ("select: {n: [", ["not YAML"]),
    ],
)
def test_a_mistake_is_named(text: str, words: list[str]) -> None:
    """Unknown keys with the near match, wrong types, values out of range, broken YAML."""
    with pytest.raises(AlError) as caught:
        read_params((GOOD + text).encode())
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("bare", ["[0, 1]", "[yes, no]", "[1.0, 2.0]", "[null, a]", "[2026-01-01, a]"])
def test_unquoted_classes_are_refused(bare: str) -> None:
    """YAML reads 0, yes and null as numbers, booleans and nothing; labels are strings."""
    with pytest.raises(ParamsError, match="quote every class"):
        read_params(f"campaign: {{name: toy, classes: {bare}}}".encode())


@pytest.mark.parametrize("classes", ['["a"]', '["a", "a"]', '["a", ""]', "a", "[]"])
def test_classes_must_be_distinct_names(classes: str) -> None:
    with pytest.raises(ParamsError, match=r"campaign\.classes"):
        read_params(f"campaign: {{name: toy, classes: {classes}}}".encode())


def test_missing_name_is_said() -> None:
    with pytest.raises(ParamsError, match=r"campaign\.name is missing"):
        read_params(b'campaign: {classes: ["a", "b"]}')


def test_a_campaign_name_with_a_slash_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"campaign\.name"):
        read_params(b'campaign: {name: "a/b", classes: ["a", "b"]}')


@pytest.mark.parametrize(
    "uri",
    ["https://me:hunter2@mlflow.example/", "postgresql://al:hunter2@db/mlflow", "http://h:5000/?access_token=hunter2"],
)
def test_an_address_of_mlflow_with_a_password_is_refused_and_not_repeated(uri: str) -> None:
    """params.yaml lies in Git, and every run in MLflow has it among its files."""
    with pytest.raises(ParamsError) as caught:
        read_params((GOOD + f'tracking: {{uri: "{uri}"}}').encode())
    message = str(caught.value)
    assert "hunter2" not in message
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:5000", "https://me@mlflow.example/a:b", "sqlite:///a:b@c.db", "databricks://me:prod"]
)
def test_an_address_without_a_password_is_taken(uri: str) -> None:
    assert read_params((GOOD + f'tracking: {{uri: "{uri}"}}').encode()).tracking.uri == uri


def test_a_key_twice_names_its_file_and_line() -> None:
    with pytest.raises(ParamsError, match=r"^dvc\.lock line 3 .*key 'stages' stands twice"):
        read_yaml(b"schema: '2.0'\nstages: {}\nstages: {}\n", "dvc.lock")


def test_scientific_notation_is_a_number() -> None:
    """YAML 1.1 reads 1e-3 as text, DVC's YAML 1.2 as a number."""
    assert read_params((GOOD + "train: {lr: 1e-3}").encode()).train.lr == 0.001


def test_yaml_tags_are_not_executed() -> None:
    with pytest.raises(ParamsError, match="not YAML"):
        read_params((GOOD + "train: !!python/object/apply:os.system [true]").encode())


def test_an_impossible_combination_names_both_sides() -> None:
    """A select strategy that asks for a signal the training method does not give."""
    with pytest.raises(AlError, match=r"unknown_signal_strategy|cannot be imported|not a select"):
        read_params((GOOD + "select: {strategy: unknown_signal_strategy}").encode())


def test_another_plugin_version_is_refused() -> None:
    text = 'campaign: {name: toy, classes: ["a", "b"], plugin_version: "0.0.1"}'
    with pytest.raises(ParamsError, match=f"asks for al-plugin 0.0.1, found {__version__}"):
        check_version(read_params(text.encode()))
