"""DVC stage score: from the model to one score per pool sample."""

from pathlib import Path

from al_plugin import campaign, layout, store
from al_plugin.campaign import Targets
from al_plugin.config import Params
from al_plugin.rounds import seeds
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.stage import run
from al_plugin.strategies import recipes, registry


def score_pool(params: Params) -> None:
    shared, model, number = params.campaign, campaign.read_model(), campaign.read_round()
    labeled = campaign.read_labeled(shared.classes, shared.task)
    triple = params.triple(labeled.per_class(len(shared.classes)))
    chosen = [registry.load(stage, getattr(triple, stage)) for stage in ("train", "score", "select")]
    recipes.check_pairing(*chosen, fitted=model.card["fitted"], task=shared.task)
    _, by_score, by_select = chosen
    targets = Targets(params.score.target, params.score.targets, seeds.number(shared.seed, number, "targets"))
    inputs = campaign.read_inputs({*by_score.signals, *by_select.signals}, params, labeled, targets)
    sampling = Sampling(shared.seed, params.score.passes, params.score.posterior, params.score.precision)
    scored = score(model, inputs, sampling, by_score, by_select, params.knobs_of(by_score))
    for part, table in scored.tables.items():
        store.write_table(Path(layout.SCORES, f"{part}.parquet"), table)
        for name, values in scored.signals[part].items():
            store.write_array(Path(layout.SCORES, part, f"{name}.npy"), values)
    for name, values in scored.shared.items():
        store.write_array(Path(layout.SCORES, f"{name}.npy"), values)
    store.write_json(layout.SCORE_METRICS, scored.metrics)
    store.write_bytes(layout.SCORE_HISTOGRAM, store.csv_text(scored.histogram))


if __name__ == "__main__":
    run("score", score_pool)
