"""DVC stage train: from the labelled set to a model and its training dynamics."""

from al_plugin import campaign, layout, ranks, store, witness
from al_plugin.aside import beside_training, devices_at_hand, read_start
from al_plugin.config import Params
from al_plugin.rounds import seeds
from al_plugin.rounds.copies import eval_copies, pool_copies
from al_plugin.rounds.train import train
from al_plugin.stage import run
from al_plugin.strategies import registry


def train_model(params: Params) -> None:
    devices_at_hand(params.train)
    shared, classes = params.campaign, params.campaign.classes
    pool, number = campaign.read_pool(params), campaign.read_round()
    labeled = campaign.read_labeled(classes, shared.task)
    triple = params.triple(labeled.per_class(len(classes)))
    strategy = registry.load("train", triple.train)
    task = params.train.settings() | {"threads": shared.threads, "seed": seeds.number(shared.seed, number, "train")}
    evaluation, knobs = campaign.read_evaluation(params, pool), params.knobs_of(strategy)
    start = read_start(params.train.warm_start, classes, number) if labeled.labels.size else None
    with beside_training(params.train.checkpoint_every) as aside:
        trained = train(pool, labeled, evaluation, classes, strategy, task, knobs, number, aside, start, shared.task)
        if not ranks.is_first():
            return
        campaign.write_eval_copies(eval_copies(pool, evaluation, params.data.copy_radius) | pool_copies(pool))
        campaign.write_weights(trained.weights)
        store.write_json(layout.CARD, trained.card)
        store.write_table(layout.FORGETTING, trained.forgetting)
        store.write_table(layout.POOL_DYNAMICS, trained.dynamics)
        store.write_json(layout.TRAIN_METRICS, trained.metrics)
        store.write_bytes(layout.TRAINING_CURVE, store.csv_text(trained.curve))
        store.write_bytes(layout.CONFUSION, store.csv_text(trained.confusion))
    witness.testify(number, params.train.device)


if __name__ == "__main__":
    run("train", train_model)
