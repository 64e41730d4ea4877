"""DVC stage merge-labels: from filed label rounds to the labelled set."""

from al_plugin import campaign, layout, ledger, store
from al_plugin.config import Params
from al_plugin.data.expectations import read_suite, validate
from al_plugin.rounds.merge import gate_columns, merge
from al_plugin.stage import run
from al_plugin.strategies import registry


def merge_labels(params: Params) -> None:
    rounds = ledger.read_rounds()
    classes, task = params.campaign.classes, params.campaign.task
    suite = read_suite(store.read_bytes(layout.SUITE, "restore it, or take it from `al init`"), layout.SUITE)
    table = gate_columns(rounds, campaign.read_pool_ids(), classes, task)
    outcomes = validate(table, suite) if rounds else []
    strategy = registry.load("merge", params.merge.strategy)
    merged = merge(rounds, table, outcomes, classes, strategy, params.knobs_of(strategy), task)
    store.write_table(layout.LABELED, merged.labeled)
    store.write_table(layout.VOTES, merged.votes)
    store.write_table(layout.ASKED, merged.asked)
    store.write_table(layout.QUARANTINE, merged.quarantine)
    store.write_json(layout.LABEL_METRICS, merged.metrics)
    store.write_json(layout.VALIDATION, merged.validation)


if __name__ == "__main__":
    run("merge-labels", merge_labels)
