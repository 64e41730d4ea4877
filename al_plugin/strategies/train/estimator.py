"""Classifiers of scikit-learn's kind in the place of a network."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import OneOf, Range, strategy

_ONCE = {
    "fitted_form": "it is fitted in one call: its curve has one row, not one per epoch",
    "dynamics_recorded": "it is fitted in one call: nothing is presented in turn, and no epoch recorded",
    "learns": "it is fitted in one call: there is no first loss to fall from",
}
Trees = Annotated[int, Range(2, 1000)]
Depth = Annotated[int, Range(0, None)]
Leaf = Annotated[int, Range(1, None)]
Candidates = Annotated[str, OneOf(("sqrt", "log2", "all"))]


@strategy(
    "estimator",
    reference="Pedregosa et al. (2011), scikit-learn; stored by skops",
    cost="one fit of the estimator",
    use="Tables, few labels, or ready embeddings: any classifier with predict_proba, by import path.",
    provides=("log_probs", "embeddings"),
    expected_failures=_ONCE,
)
def estimator(
    task: TrainingTask, *, estimator: str = "sklearn.linear_model:LogisticRegression", standardise: bool = True
) -> Fitted:
    """The classifier at ``module:name``: a class, or a function of your repository that returns an unfitted one.

    ``standardise``: it is fed features with mean 0 and deviation 1 over the pool. ``random_state`` and
    ``n_jobs`` left at None follow the round's seed and campaign.threads; epochs, batch_size, lr and
    weight_decay do not concern it. Classes without a label get probability 2^-23.
    """
    from al_plugin.models.estimator import fitted_estimator

    return fitted_estimator(task, estimator, standardise=standardise)


@strategy(
    "random_forest",
    reference="Breiman (2001), random forests; a committee after Seung, Opper, Sompolinsky (1992)",
    cost="O(trees · L log L · candidate features)",
    use="Tables: needs no scaling and no tuning, and its trees are a committee.",
    provides=("log_probs", "embeddings", "mc_log_probs", "target_mc_log_probs"),
    expected_failures=_ONCE,
)
def random_forest(
    task: TrainingTask,
    *,
    trees: Trees = 100,
    max_depth: Depth = 0,
    min_samples_leaf: Leaf = 1,
    max_features: Candidates = "sqrt",
) -> Fitted:
    """Trees on bootstrap samples, each split the best among ``max_features`` random features.

    Probabilities are the mean over trees of the class shares in a leaf; every tree is a member of the
    committee. ``max_depth`` 0: until leaves are pure. Embeddings are the standardised features.
    """
    from sklearn.ensemble import RandomForestClassifier

    from al_plugin.models.forest import fitted_forest

    return fitted_forest(task, RandomForestClassifier, trees, max_depth, min_samples_leaf, max_features)


@strategy(
    "extra_trees",
    reference="Geurts, Ernst, Wehenkel (2006), extremely randomized trees",
    cost="O(trees · L log L · candidate features)",
    use="As random_forest, with members that differ more: every tree sees all labels, splits are drawn.",
    provides=("log_probs", "embeddings", "mc_log_probs", "target_mc_log_probs"),
    expected_failures=_ONCE,
)
def extra_trees(
    task: TrainingTask,
    *,
    trees: Trees = 100,
    max_depth: Depth = 0,
    min_samples_leaf: Leaf = 1,
    max_features: Candidates = "sqrt",
) -> Fitted:
    """Trees on all labelled samples, each split the best of one random threshold per candidate feature.

    Probabilities, members and knobs are those of ``random_forest``.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    from al_plugin.models.forest import fitted_forest

    return fitted_forest(task, ExtraTreesClassifier, trees, max_depth, min_samples_leaf, max_features)
