"""Selection via proxy: how alike proxy and target rank the pool, and what the proxy saves."""

import time

from al_plugin.models.restore import model_signals, scorer
from al_plugin.models.task import Fitted
from al_plugin.strategies import registry

from .images import Images, split, task_of
from .stats import Row


def proxy(data: Images, *, seeds: int, labels: int, epochs: int) -> list[Row]:
    """Spearman's correlation of margins over the pool, as the round reports it; CPU seconds to score the pool."""
    correlations: list[float] = []
    seconds: dict[str, list[float]] = {"target": [], "proxy": []}
    for seed in range(seeds):
        drawn = split(data, labels, seed)
        fitted: Fitted = registry.load("train", "proxy").function(task_of(drawn, epochs=epochs))
        found = fitted.metrics["proxy_correlation"]
        if found is None:
            raise SystemExit(f"a network of seed {seed} gives all samples one margin: lower the learning rate")
        correlations.append(found)
        card = {"network": fitted.network}
        for name, (its_card, weights) in (("target", (card, fitted.weights)), ("proxy", scorer(card, fitted.weights))):
            started = time.process_time()
            model_signals(its_card, weights, drawn.pool)
            seconds[name].append(time.process_time() - started)
    row: Row = {"labels": labels, "Spearman of margins": correlations}
    return [row | {f"scoring by {name}, s": min(took) for name, took in seconds.items()}]
