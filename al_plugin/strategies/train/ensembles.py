"""Committees: several networks whose disagreement shows what the model does not know."""

from typing import Annotated

import numpy as np

from al_plugin.axes import Ints
from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_A_COMMITTEE, OF_OTHER_TASKS
from al_plugin.targets import TASKS

Members = Annotated[int, Range(2, 100)]
Hidden = Annotated[int, Range(1, None)]
Dropout = Annotated[float, Range(0, 0.95)]


@strategy(
    "ensemble",
    reference="Lakshminarayanan, Pritzel, Blundell (2017); Beluch, Genewein, Nürnberger, Köhler (2018)",
    cost="members trainings",
    use="The best committee where training is cheap.",
    provides=(*OF_A_COMMITTEE, *OF_OTHER_TASKS),
    tasks=TASKS,
    warm=True,
)
def ensemble(task: TrainingTask, *, members: Members = 5, hidden: Hidden = 128, dropout: Dropout = 0.0) -> Fitted:
    """Networks that differ in initial weights and data order; probabilities are averaged, not logits.

    Training dynamics are those of the first member.
    """
    from al_plugin.models.ensembles import independent

    return independent(task, members, hidden, dropout, lambda _: None)


@strategy(
    "bootstrap_ensemble",
    reference="Breiman (1996), bagging; Yang, Zhang, Chen, Zhang, Chen (2017), suggestive annotation",
    cost="members trainings",
    use="The committee of suggestive annotation; weak with few labels per class, which a resample may miss.",
    provides=(*OF_A_COMMITTEE, *OF_OTHER_TASKS),
    tasks=TASKS,
    warm=True,
)
def bootstrap_ensemble(
    task: TrainingTask, *, members: Members = 4, hidden: Hidden = 128, dropout: Dropout = 0.0
) -> Fitted:
    """Networks of which each but the first is trained on L labelled samples drawn with replacement.

    The first sees every labelled sample, and gives the training dynamics.
    """
    from al_plugin.models.ensembles import independent

    def resample(member: int) -> Ints:
        size = len(task.labels)
        return np.random.default_rng([task.seed, member]).integers(size, size=size)

    return independent(task, members, hidden, dropout, resample)


@strategy(
    "snapshot_ensemble",
    reference="Huang, Li, Pleiss, Liu, Hopcroft, Weinberger (2017)",
    cost="one training",
    use="A committee for the price of one network; its members are more alike than an ensemble's.",
    provides=(*OF_A_COMMITTEE, *OF_OTHER_TASKS),
    tasks=TASKS,
    warm=True,
)
def snapshot_ensemble(
    task: TrainingTask, *, members: Members = 5, hidden: Hidden = 128, dropout: Dropout = 0.0
) -> Fitted:
    """The network at the end of each of M cosine cycles of the learning rate.

    Cycles part the epochs evenly, at k · epochs / M rounded; lr(t) = ½ lr (1 + cos(π t / n)) at epoch t of a
    cycle of n epochs. Fewer epochs than M give a member each.
    """
    from al_plugin.models.ensembles import snapshots

    return snapshots(task, members, hidden, dropout)


@strategy(
    "diversity_ensemble",
    reference="diversity-encouraging ensemble, as described by Weng (2022)",
    cost="base_share of a training, then the rest of it members times",
    use="An ensemble at part of its price: members part from one base network.",
    provides=(*OF_A_COMMITTEE, *OF_OTHER_TASKS),
    tasks=TASKS,
)
def diversity_ensemble(
    task: TrainingTask,
    *,
    members: Members = 5,
    hidden: Hidden = 128,
    dropout: Dropout = 0.3,
    base_share: Annotated[float, Range(0, 1)] = 0.3,
) -> Fitted:
    """One network trained for ``base_share`` of the epochs, from which every member trains on.

    Members differ in the order of the data and in their dropout. Dynamics are those of the base and
    then the first member.
    """
    from al_plugin.models.ensembles import branched

    return branched(task, members, hidden, dropout, base_share)


@strategy(
    "split_head",
    reference="split-head ensemble, as described by Weng (2022)",
    cost="one training of one trunk with several heads",
    use="A committee for little more than one network; heads share what the trunk does not know.",
    provides=OF_A_COMMITTEE,
)
def split_head(
    task: TrainingTask,
    *,
    members: Members = 5,
    hidden: Hidden = 128,
    dropout: Dropout = 0.0,
    share: Annotated[float, Range(0.05, 1)] = 0.7,
) -> Fitted:
    """One trunk with M heads, each of which sees its own ``share`` of the labelled samples.

    The loss is the mean over heads of the cross-entropy on that head's samples. Dynamics are those
    of the heads' mean prediction.
    """
    from al_plugin.models.ensembles import split_heads

    return split_heads(task, members, hidden, dropout, share)
