"""Networks with a learned judge beside them, whose opinion of the pool is a signal."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK


@strategy(
    "loss_prediction",
    reference="Yoo, Kweon (2019), learning loss for active learning",
    cost="one training, with a small module in each step",
    use="Where the loss is not a cross-entropy that entropy would tell as well.",
    provides=(*OF_ONE_NETWORK, "predicted_loss"),
)
def loss_prediction(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    weight: Annotated[float, Range(0, None)] = 1.0,
    margin: Annotated[float, Range(0, None)] = 1.0,
    detach_share: Annotated[float, Range(0, 1)] = 0.6,
) -> Fitted:
    """A network and a module on its hidden layer that learns to order samples by their loss.

    The module (128 units, ReLU, one output) reads the one hidden layer before dropout and is
    trained by the pair ranking loss, ``weight`` times, with ``margin``; after ``detach_share`` of
    the epochs its gradient no longer reaches the trunk. A tie of true losses adds nothing. The
    predicted loss is an order, not nats.
    """
    from al_plugin.models.loss_prediction import loss_predicting

    return loss_predicting(task, hidden, dropout, weight, margin, detach_share)
