"""Whole campaigns through `dvc repro`: every kind of data, every recipe that trains in its own way."""

from pathlib import Path

import pytest
from campaigns import KINDS, answer, asked, change, start, turn

from al_plugin.strategies.recipes import RECIPES

pytestmark = pytest.mark.dvc


@pytest.mark.parametrize("kind", KINDS)
def test_a_campaign_of_each_kind_of_data(kind: str, tmp_path: Path) -> None:
    """Round 0 without labels and two answered rounds; the third query asks nothing twice."""
    root = start(tmp_path / "campaign", kind)
    assert turn(root)["eval"]["accuracy"] is None
    seen = asked(root)
    for _ in range(2):
        answer(root)
        metrics = turn(root)
        seen += asked(root)
    assert len(set(seen)) == len(seen) == 36
    assert metrics["labels"] == 24
    assert metrics["eval"]["accuracy"] > 0.8


# Those whose training differs; the others share `single`, and test_registry_round.py runs all of them.
OWN_TRAINING = (
    *("qbc", "ensemble", "snapshot", "diversity_ensemble", "split_head", "bayes_by_backprop", "swag"),
    *("suggestive_annotation", "forest", "learning_loss", "ceal", "consistency", "svp", "vaal", "mal"),
)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with one answered round; copy it."""
    root = start(tmp_path_factory.mktemp("answered") / "campaign", "vectors")
    turn(root)
    answer(root)
    return root


def two_rounds(recipe: str, answered: Path, root: Path) -> None:
    import shutil

    shutil.copytree(answered, root, symlinks=True)
    change(root, recipe=recipe)
    first = turn(root)
    queries = asked(root)
    answer(root)
    second = turn(root)
    assert [first["labels"], second["labels"]] == [12, 24]
    assert not set(queries) & set(asked(root))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", OWN_TRAINING)
def test_a_campaign_of_each_training_method(recipe: str, answered: Path, tmp_path: Path) -> None:
    two_rounds(recipe, answered, tmp_path / "campaign")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - set(OWN_TRAINING)))
def test_a_campaign_of_every_other_recipe(recipe: str, answered: Path, tmp_path: Path) -> None:
    two_rounds(recipe, answered, tmp_path / "campaign")


def test_every_training_method_is_here() -> None:
    trained = {RECIPES[recipe].train for recipe in OWN_TRAINING}
    assert trained == {triple.train for triple in RECIPES.values()} - {"single"}
