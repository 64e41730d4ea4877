"""One trunk, several heads."""

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.axes import Floats, Ints
from al_plugin.models.body import Network
from al_plugin.models.task import BATCH


class SplitHead(nn.Module):
    """A network's trunk under M linear heads; ``forward`` gives the log of their mean probabilities.

    The training loss reads ``by_head`` (M, B, C), the logits of the last forward pass. Parameters are
    named as ``restore`` reads them: the trunk as in ``Network``, heads under ``heads.k.``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, base: Network, members: int) -> None:
        super().__init__()
        self.register_buffer("mean", base.mean)
        self.register_buffer("scale", base.scale)
        self.trunk, self.drop, self.augment = base.trunk, base.drop, base.augment
        width, classes = base.head.in_features, base.head.out_features
        self.heads = nn.ModuleList(nn.Linear(width, classes) for _ in range(members))
        self.by_head = torch.empty(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Log of the heads' mean probabilities, (B, C)."""
        rows = (inputs - self.mean) / self.scale
        hidden = self.drop(self.trunk(self.augment(rows) if self.training else rows))
        self.by_head = torch.stack([head(hidden) for head in self.heads])
        mean: Tensor = torch.log_softmax(self.by_head, dim=2).logsumexp(dim=0) - np.log(len(self.heads))
        return mean

    @staticmethod
    def loss(by_head: Tensor, targets: Tensor, kept: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Mean over heads of the cross-entropy on the samples each keeps; ``kept`` (M, B) of bool.

        Under ``class_weights`` (C,) a head's loss is Σ w_y CE over its samples, by their number.
        """
        log_probs = torch.log_softmax(by_head, dim=2)
        picked = log_probs.gather(2, targets.expand(len(by_head), -1).unsqueeze(2)).squeeze(2)
        if class_weights is not None:
            picked = picked * class_weights[targets]
        counted = kept.sum(dim=1).clamp(min=1)
        return -((picked * kept).sum(dim=1) / counted).mean()

    def classes(self, features: Floats) -> Ints:
        """Class of the mean prediction for ``features`` (N, width), on the fixed batch grid."""
        was_training, found = self.training, []
        self.eval()
        with torch.inference_mode():
            for start in range(0, len(features), BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(features[start : start + BATCH]))
                found.append(self(batch.to(self.mean.device)).argmax(dim=1).cpu().numpy())
        self.train(was_training)
        classes: Ints = np.concatenate(found)
        return classes
