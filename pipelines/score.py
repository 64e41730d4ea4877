"""DVC stage score: from the model to one score per pool sample."""

from pathlib import Path

from al_plugin import campaign, layout, store
from al_plugin.config import Params
from al_plugin.rounds.score import score
from al_plugin.stage import run
from al_plugin.strategies import recipes, registry


def score_pool(params: Params) -> None:
    shared, card = params.campaign, campaign.read_card()
    labeled = campaign.read_labeled(shared.classes)
    triple = recipes.resolve(shared.recipe, params.overrides(), labeled.per_class(len(shared.classes)))
    chosen = [registry.load(stage, getattr(triple, stage)) for stage in ("train", "score", "select")]
    recipes.check_pairing(*chosen, fitted=card["fitted"])
    _, by_score, by_select = chosen
    weights, dispersion = campaign.read_weights(), campaign.read_dispersion()
    pool = campaign.read_pool()
    settings = (params.knobs_of(by_score), shared.seed, params.score.passes)
    scored = score(pool, card, weights, dispersion, labeled, by_score, by_select, *settings)
    for part, table in scored.tables.items():
        store.write_table(Path(layout.SCORES, f"{part}.parquet"), table)
        for name, values in scored.signals[part].items():
            store.write_array(Path(layout.SCORES, part, f"{name}.npy"), values)
    store.write_json(layout.SCORE_METRICS, scored.metrics)


if __name__ == "__main__":
    run("score", score_pool)
