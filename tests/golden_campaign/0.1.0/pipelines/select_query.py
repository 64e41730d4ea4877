"""DVC stage select: from scores to the next query."""

import sys

from al_plugin import campaign, layout, ledger, store
from al_plugin.config import Params
from al_plugin.data.queries import to_jsonl
from al_plugin.rounds.select import Asked, select, summary
from al_plugin.stage import run
from al_plugin.strategies import registry


def select_query(params: Params) -> None:
    shared, number = params.campaign, campaign.read_round()
    labeled = campaign.read_labeled(shared.classes, shared.task)
    triple = params.triple(labeled.per_class(len(shared.classes)))
    asked = Asked(params.select.n, params.select.random_share, params.select.annotators, number, shared.seed)
    handed_out = ledger.open_query(number + 1)
    if handed_out is not None:
        rows = handed_out
        print(f"select: query {number + 1} is handed out and asked again as it is, whatever params.yaml says now;")
        print("select: `al query withdraw` lets the next dvc repro choose anew")
    else:
        board, signals = campaign.read_scoreboard()
        taken = store.read_table(layout.ASKED, "run dvc repro")
        of_eval, alike = campaign.read_copies()
        excluded = ledger.excluded(taken, labeled.sample_ids, relabel=params.select.relabel) | of_eval
        strategy = registry.load("select", triple.select)
        knobs = params.knobs_of(strategy)
        money = campaign.read_money(board.ids, params.select)
        selected = select(board, signals, labeled, excluded, strategy, knobs, asked, triple.reason, money, alike)
        rows = selected.rows
        if selected.warning:
            print(f"select: warning: {selected.warning}", file=sys.stderr)
    store.write_bytes(layout.QUERY, to_jsonl(rows))
    store.write_json(layout.SELECT_METRICS, summary(rows, number))


if __name__ == "__main__":
    run("select", select_query)
