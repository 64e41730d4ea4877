"""Signals that training methods have in common."""

# One network with dropout before its last linear layer.
OF_ONE_NETWORK = (
    "log_probs",
    "embeddings",
    "mc_log_probs",
    "target_mc_log_probs",
    "head_weight",
    "head_bias",
    "output_deviations",
    "dropped_labels",
    "word_gradients",
    "pool_dispersion",
    "pool_flips",
)
# Several networks: their mean prediction, the embedding of the first, and each one's own prediction.
OF_A_COMMITTEE = (
    "log_probs",
    "embeddings",
    "mc_log_probs",
    "target_mc_log_probs",
    "pool_dispersion",
    "pool_flips",
)
# What both give under the other tasks, beside embeddings.
OF_OTHER_TASKS = ("label_log_odds", "mc_label_log_odds", "values", "mc_values")
