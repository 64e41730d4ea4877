"""Items d and h: BADGE, expected gradient length; and CAL of g."""

from typing import Any

import numpy as np
import torch

from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, log_probs, mixture, our_score, our_select


def badge_skactiveml(inputs: Inputs) -> Run:
    probs, hidden = np.exp(inputs["log_probs"]), inputs["embeddings"]
    rows = len(probs)
    badge = shims.load("skactiveml.pool").Badge(random_state=0, clf_embedding_flag_name=None)
    classifier = shims.skactiveml_classifier(probs, hidden)
    ids, unlabeled = np.arange(rows)[:, None].astype(float), np.full(rows, np.nan)
    return lambda n: np.asarray(badge.query(ids, unlabeled, classifier, fit_clf=False, batch_size=n))


def badge_small_text(inputs: Inputs) -> Run:
    probs, hidden = np.exp(inputs["log_probs"]), inputs["embeddings"]
    module = shims.load("small_text.integrations.pytorch.query_strategies.strategies")
    badge, rows, none = module.BADGE(probs.shape[1]), np.arange(len(probs)), np.array([])
    return lambda n: badge.sample(None, None, rows, none, none, n, hidden, embeddings_proba=probs)


def badge_item(
    key: str, title: str, rows: int, dim: int, classes: int, n: int, share: float, *, tails: float = 0
) -> Item:
    def inputs(count: int) -> dict[str, Array]:
        hidden = mixture(count, dim)
        if tails:
            hidden *= np.random.default_rng(7).standard_t(tails, size=(count, 1)).astype(np.float32)
        return {"log_probs": log_probs(count, classes), "embeddings": hidden}

    peers = [Contestant("skactiveml", badge_skactiveml, library="scikit-activeml", share=share, sizes=(2, 6))]
    if classes == 10 and dim == 512:
        peers.append(
            Contestant(
                "small-text",
                badge_small_text,
                "wrong",
                "small-text",
                share=share,
                sizes=(2, 6),
                note="-p⊗h, local trials",
                checked=False,
            )
        )
    return Item(
        key=key,
        title=f"BADGE {title}x{classes}, n={n}",
        inputs=inputs,
        rows=rows,
        small_rows=200,
        n=n,
        small_n=20,
        contestants=(our_select("badge"), *peers),
        work=lambda count: Work(read=2.0 * count * (dim + classes) * 4),
        goal=Goal(1000, 25, 100),
        agree="batch",
    )


def loss(weight: torch.Tensor, bias: torch.Tensor, hidden: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy((weight @ hidden + bias)[None], label[None])


class Head:
    """The linear head whose predictions are the inputs' log_probs."""

    def __init__(self, inputs: Inputs) -> None:
        self.weight, self.bias = torch.from_numpy(inputs["head_weight"]), torch.from_numpy(inputs["head_bias"])
        self.hidden = torch.from_numpy(inputs["embeddings"])
        self.probs = torch.from_numpy(np.exp(inputs["log_probs"]))


def egl_vmap(inputs: Inputs) -> Run:
    head = Head(inputs)
    classes = torch.arange(head.probs.shape[1])
    gradient = torch.func.grad(loss, argnums=(0, 1))
    every = torch.func.vmap(torch.func.vmap(gradient, (None, None, None, 0)), (None, None, 0, None))

    def run(_: int) -> Array:
        scores = []
        for start in range(0, len(head.hidden), 500):
            rows = slice(start, start + 500)
            by_weight, by_bias = every(head.weight, head.bias, head.hidden[rows], classes)
            lengths = (by_weight.pow(2).sum((2, 3)) + by_bias.pow(2).sum(2)).sqrt()
            scores.append((lengths * head.probs[rows]).sum(1))
        return torch.cat(scores).numpy()

    return run


def egl_loop(inputs: Inputs) -> Run:
    head = Head(inputs)
    weight, bias = head.weight.requires_grad_(), head.bias.requires_grad_()

    def run(_: int) -> Array:
        scores = []
        for hidden, probs in zip(head.hidden, head.probs, strict=True):
            score = 0.0
            for label, chance in enumerate(probs.tolist()):
                parts = torch.autograd.grad(loss(weight, bias, hidden, torch.tensor(label)), (weight, bias))
                score += chance * sum(float(part.pow(2).sum()) for part in parts) ** 0.5
            scores.append(score)
        return np.array(scores)

    return run


def egl_inputs(count: int) -> dict[str, Array]:
    rng = np.random.default_rng(8)
    hidden = mixture(count, 512)
    weight = rng.standard_normal(size=(10, 512), dtype=np.float32) / 20
    bias = rng.standard_normal(size=10, dtype=np.float32)
    logits = torch.from_numpy(hidden @ weight.T + bias)
    return {
        "embeddings": hidden,
        "head_weight": weight,
        "head_bias": bias,
        "log_probs": torch.log_softmax(logits, 1).numpy(),
    }


EGL = Item(
    key="egl",
    title="EGL, linear head 5e4x512x10",
    inputs=egl_inputs,
    rows=50_000,
    small_rows=200,
    contestants=(
        our_score("egl"),
        Contestant("torch.func vmap", egl_vmap, share=0.1),
        Contestant("autograd loop", egl_loop, "plain", share=0.004),
    ),
    work=lambda count: Work(read=count * 522 * 4),
    goal=Goal(500, 4, 20),
)


def cal_inputs(count: int) -> dict[str, Array]:
    labeled = min(1000, count)
    hidden = mixture(count + labeled, 128)
    # scikit-activeml cuts probabilities at 1e-7: none is below that.
    logs = log_probs(count + labeled, 10, sharpness=1.5)
    return {
        "embeddings": hidden[:count],
        "labeled_embeddings": hidden[count:],
        "log_probs": logs[:count],
        "labeled_log_probs": logs[count:],
    }


def cal_together(inputs: Inputs) -> tuple[Array, Array, int]:
    hidden = np.concatenate([inputs["embeddings"], inputs["labeled_embeddings"]])
    probs = np.exp(np.concatenate([inputs["log_probs"], inputs["labeled_log_probs"]]))
    return probs, hidden, len(inputs["embeddings"])


def cal_skactiveml(inputs: Inputs) -> Run:
    probs, hidden, free = cal_together(inputs)
    theirs = shims.load("skactiveml.pool").ContrastiveAL(
        nearest_neighbors_dict={"n_neighbors": 10}, clf_embedding_flag_name=None, random_state=0
    )
    ids = np.arange(len(probs))[:, None].astype(float)
    labels = np.concatenate([np.full(free, np.nan), np.zeros(len(probs) - free)])
    labels[-1] = 1
    classifier = shims.skactiveml_classifier(probs, hidden)

    def run(_: int) -> Array:
        _, scores = theirs.query(ids, labels, classifier, fit_clf=False, return_utilities=True)
        found: Array = scores[0][:free]
        return found

    return run


def cal_faiss(inputs: Inputs) -> Run:
    faiss: Any = shims.load("faiss")

    def run(_: int) -> Array:
        index = faiss.IndexFlatL2(inputs["embeddings"].shape[1])
        index.add(np.ascontiguousarray(inputs["labeled_embeddings"]))
        _, near = index.search(inputs["embeddings"], 10)
        theirs = inputs["labeled_log_probs"]
        weights = np.exp(theirs)
        entropy = (weights * theirs).sum(axis=1)
        divergence: Array = entropy[near].mean(axis=1) - (weights[near].mean(axis=1) * inputs["log_probs"]).sum(axis=1)
        return divergence

    return run


CAL = Item(
    key="cal",
    title="CAL 5e4x128, L=1000, k=10",
    inputs=cal_inputs,
    rows=50_000,
    small_rows=300,
    contestants=(
        our_score("cal", neighbours=10),
        Contestant("skactiveml", cal_skactiveml, library="scikit-activeml"),
        Contestant("faiss + KL", cal_faiss, "plain", "faiss", note="neighbours in single precision", checked=False),
    ),
    work=lambda count: Work(flop=2.0 * count * 128 * 1000),
    goal=Goal(1.7, None, 50),
)

ITEMS = (
    badge_item("badge-512", "5e4x512", 50_000, 512, 10, 1000, 0.1),
    badge_item("badge-768", "5e4x768", 50_000, 768, 100, 500, 0.02),
    badge_item("badge-128", "1e6x128", 1_000_000, 128, 10, 1000, 0.02),
    badge_item("badge-heavy", "heavy tails 5e4x64", 50_000, 64, 10, 1000, 0.1, tails=1.5),
    CAL,
    EGL,
)
