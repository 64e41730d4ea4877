"""What an explanation holds: of each sample asked, of the batch, and of the map of both."""

from dataclasses import dataclass

from al_plugin.axes import Floats
from al_plugin.data.queries import QueryRow
from al_plugin.math.explain import Coverage
from al_plugin.math.outcomes import Share


@dataclass(frozen=True)
class Standing:
    """Where a sample stands by one measure: ``rank`` (1 = first) of ``of``.

    ``sampled``: among a random part of the candidates only.
    """

    name: str
    value: float
    rank: int
    of: int
    sampled: bool


@dataclass(frozen=True)
class Neighbour:
    """A labelled sample near a queried one."""

    sample_id: str
    label: str
    distance: float


@dataclass(frozen=True)
class Explained:
    """One sample of the query.

    ``probabilities`` (class, p) most probable first; ``copies`` ids of near copies in the pool; ``distance``
    to the nearest labelled sample, ``farther`` the share of the pool that is nearer to one; ``cell`` the share
    of the pool that is nearest to this sample of all labelled and queried; ``gap`` to the next of the batch.
    """

    row: QueryRow
    probabilities: tuple[tuple[str, float], ...]
    standings: tuple[Standing, ...]
    neighbours: tuple[Neighbour, ...]
    copies: tuple[str, ...]
    distance: float | None
    farther: float | None
    cell: float
    gap: float | None

    @property
    def why(self) -> tuple[str, ...]:
        """What speaks for the sample, in sentences."""
        return tuple(_why(self))


@dataclass(frozen=True)
class Mix:
    """Predicted classes: how often in the batch, and in the candidates."""

    name: str
    batch: Share
    pool: Share


@dataclass(frozen=True)
class Versus:
    """A value of the batch beside that of random batches of the same size: mean and middle 95 % of them."""

    batch: float | None
    random: float
    low: float
    high: float


@dataclass(frozen=True)
class Batch:
    """The query as a whole.

    Distances are measured on ``measured`` of ``unlabelled`` samples. ``covered``: newly covered share, beside
    random batches; ``overlap``: how much of what a random batch would newly cover the batch covers too;
    ``gap``: mean distance to the next sample of the batch; ``twins``: pairs of near copies within it.
    """

    mix: tuple[Mix, ...]
    before: Coverage
    after: Coverage
    radius: float
    copy_radius: float
    covered: Versus | None
    mean: Versus | None
    overlap: Versus | None
    gap: Versus | None
    twins: int
    measured: int
    unlabelled: int


@dataclass(frozen=True)
class Map:
    """Coordinates (·, 2) of a part of the pool, of labelled samples with their labels, and of the query."""

    pool: Floats
    labeled: Floats
    labels: tuple[str, ...]
    query: Floats
    explained: tuple[float, float]


@dataclass(frozen=True)
class Explanation:
    """All of it. ``space`` says in which space distances are: ``embeddings`` or ``features``."""

    samples: tuple[Explained, ...]
    batch: Batch
    map: Map
    space: str
    candidates: int


@dataclass(frozen=True)
class Stored:
    """Signals over the whole pool that the score stage kept, where it did."""

    log_probs: Floats | None = None
    embeddings: Floats | None = None


def _why(sample: Explained) -> list[str]:
    guess, mark, rest = sample.row.reason.partition("); ")
    said = (
        [rest if mark and guess.startswith("predicted ") else sample.row.reason] if sample.row.kind != "random" else []
    )
    if sample.row.kind == "random":
        chance = sample.row.propensity
        told = "" if chance is None else f": every candidate had the probability {chance:.2g}"
        said.append(f"drawn at random, whatever its score{told}")
    said += [
        f"score {standing.value:.4g} is number {standing.rank:,} of {standing.of:,} candidates"
        for standing in sample.standings
        if standing.name == "score"
    ]
    if sample.farther is not None:
        said.append(f"farther from every labelled sample than {sample.farther:.0%} of the pool")
    if sample.cell > 0:
        said.append(f"nearest of all labelled and queried samples to {sample.cell:.1%} of the pool")
    if sample.copies:
        said.append(f"{len(sample.copies)} near copies of it lie in the pool")
    return said
