"""What a claim about a subspace is measured beside: random directions, those of most variance, what is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unexplained.ablations import value_site
from unexplained.bars.subspace import MeasuredSubspace, SubspaceFindings
from unexplained.errors import MeasurementError
from unexplained.evaluate import Activations
from unexplained.explanations.directions import (
    SKEW,
    Directions,
    Principal,
    Random,
    ReadPart,
    basis_of,
    random_beside,
    strength_at,
)
from unexplained.explanations.find_directions import find_directions
from unexplained.explanations.library.projection import Projection
from unexplained.explanations.stream import hardly_read, span_of, written_by
from unexplained.ladder.family import Family
from unexplained.sites import Site
from unexplained.study import arms, asked
from unexplained.study.axis import Axis, axis_beside
from unexplained.study.controls import possible_controls
from unexplained.study.run import Run

REFERENCE = "mean"
"""The ablation that says nothing of the components."""
WORDS = {"q": "the query", "k": "the key", "v": "the values", "out": "the output", "": "the value"}


@dataclass(frozen=True)
class SubspaceQuestion:
    """A claim about a subspace of some values, refused before anything is run."""

    run: Run
    sites: tuple[Site, ...]
    """The components."""
    at: str
    """Which value of heads."""
    on: Directions
    draws: int
    size: int
    axis: Axis
    """The family that the claim is placed among."""

    @classmethod
    def of(
        cls, run: Run, sites: str, directions: str, draws: int, family: Family | None = None
    ) -> SubspaceQuestion:
        """Check what was asked for.

        Raises:
            SiteError: A site does not exist.
            MeasurementError: It has no subspaces; the sites are of several kinds; no direction is kept,
                or all are.
            ExplanationError: There are no such directions, or they are of another width.
            TextError: The text is too small.
            AblationError: There are too few tokens for a covariance.
            UnexplainedError: As `axis_of`, where a family was given.
        """
        subject, text = run.subject, run.text
        where = asked.existing(subject, sites)
        at, size = kind_of(sites, where, run, "A subspace")
        found = find_directions(directions, subject)
        components = tuple(site.component for site in where)
        claim = Projection(found.rank, found, at)
        writes = at == "out" and components[0].part == "H"  # a head writes no more than it is wide
        require_some(claim, size, subject.shape.head_size if writes else size, sites)
        asked.require_standing([claim, *possible_controls(claim)], components, subject)
        asked.require_tokens(subject, text, "eval", "fit")
        asked.require_donors(text, within=True)
        asked.require_covariances([claim.stands_at(site) for site in components], text, subject)
        asked.require_folder(run.folder, subject)
        return cls(run, components, at, found, draws, size, axis_beside(run, family))

    def projected(self, on: Directions, **more: object) -> Projection:
        """The values on some directions."""
        plain = on if not isinstance(on, Principal) else None
        return Projection(on.rank, plain, self.at, **more)  # type: ignore[arg-type]


def require_some(claim: Projection, size: int, spans: int, sites: str) -> None:
    """Refuse a subspace that holds nothing, or everything.

    Raises:
        MeasurementError: It is one of these.
    """
    if not claim.rank:
        raise MeasurementError(
            f"A subspace of {sites} of no direction", "it says nothing, and that is the value at its mean",
            "Take one direction or more.",
        )  # fmt: skip
    most = spans if claim.on is None or isinstance(claim.on, Principal | Random) else size
    if most <= claim.rank <= size:  # of more `Projection.refuses` says so
        raise MeasurementError(
            f"A subspace of {sites} of {claim.rank} directions",
            f"the value has {most}, so it is the value itself and explains everything",
            f"Take fewer than {most}.",
        )


def kind_of(sites: str, where: Sequence[Site], run: Run, asked: str) -> tuple[str, int]:
    """Which value it is, and how many entries that has.

    Args:
        sites: The address, as it was written.
        where: The sites of that address.
        run: Of which model.
        asked: What is wanted of them, as errors say it.

    Raises:
        MeasurementError: They are of several kinds, or have no directions.
    """
    shape, kinds = run.subject.shape, {(site.part == "H", site.value) for site in where}
    if len(kinds) > 1:
        raise MeasurementError(
            f"{asked} of {sites}", "they are values of several kinds", "Ask one kind at a time."
        )
    head, value = kinds.pop()
    value = {"q_pre": "q", "k_pre": "k", "z": ""}.get(value, value)
    if value == "pattern" or any(site.part == "N" for site in where):
        raise MeasurementError(
            f"{asked} of {where[0]}",
            "a pattern has no directions that are the same in every document" if head
            else "a neuron is one number",
            "Heads have q, k, v, z and out; every other component its value.",
        )  # fmt: skip
    return value, shape.head_size if head and value != "out" else shape.width


def measured(of: SubspaceQuestion) -> SubspaceFindings:
    """Measure the claim and everything beside it.

    Raises:
        UnexplainedError: As `Run.measure`; where directions depend on each other.
    """
    run, claim = of.run, of.projected(of.on)
    seen = [claim.stands_at(site) for site in of.sites]
    activations = run.observe([*seen, *map(value_site, of.sites)])
    for site in seen:
        _require_less_than_written(of, site, activations)
    unread = _unread(of, seen, activations)
    beside = list(_beside(of, claim, unread))
    claimed, *others = arms.claims(
        run, of.sites, [claim, *(one for _, one in beside)], controls=(claim.name,),
        elsewhere=next((one.name for key, one in beside if key == "mean"), ""),
    )  # fmt: skip
    nothing = arms.ablation(run, REFERENCE, of.sites)
    put = arms.outside(run, claimed, ("matched noise", "resample"), activations)
    outside = [("noise", put["matched noise"]), ("another", put["resample"])]
    read = run.measure(
        nothing, claimed, *others, *(one for _, one in outside), *of.axis.arms,
        tokens=of.axis.tokens(), what="measuring subspaces",
    )  # fmt: skip

    def kept(one: Projection) -> float:
        return _variance(one.on or Principal(one.rank or 0), seen, activations)

    rows = [MeasuredSubspace("claim", claim.name, of.on.rank, kept(claim))]
    rows += [
        MeasuredSubspace(key, one.name, one.rank or 0, kept(one) if one.rank else None)
        for key, one in beside
    ]
    base = next((one.name for key, one in beside if key == "mean"), REFERENCE)
    return SubspaceFindings(
        read=read,
        scale=of.axis.scale(of.axis.read(read), [claim.name, base]),
        rows=tuple(rows),
        outside=tuple((key, one.name) for key, one in outside),
        nothing=REFERENCE,
        word=WORDS[of.at],
        size=of.size,
        on=of.on.name,
        unread=unread,
    )


def _require_less_than_written(of: SubspaceQuestion, site: Site, activations: Activations) -> None:
    """Refuse directions that hold all that a head can write: they are its output itself.

    Raises:
        MeasurementError: They do.
    """
    if site.part != "H" or site.value != "out":
        return
    inside = span_of(written_by(of.run.subject, site).T)
    basis = basis_of(of.on, site, activations).to(inside)
    if float((inside - inside @ basis @ basis.T).norm()) <= SKEW * float(inside.norm()):
        raise MeasurementError(
            f"A subspace of {site} of {of.on.rank} directions",
            f"they hold all {len(inside)} that the head can write, so they are the value itself and explain everything",
            "Take fewer.",
        )


def _beside(
    of: SubspaceQuestion, claim: Projection, unread: tuple[int, ...] | None
) -> Iterator[tuple[str, Projection]]:
    """What stands beside the claim, by what it is."""
    if of.at:
        yield "mean", Projection(0, at=of.at, own_name=f"{WORDS[of.at]} at its mean")
    if not isinstance(of.on, Principal):
        most = of.projected(Principal(of.on.rank))
        yield "most", most
    for one in random_beside(of.on, of.on.rank, of.draws, of.run.settings.seed):
        yield "random", of.projected(one)
    if unread and any(unread):
        yield "read", of.projected(ReadPart(of.on, True))
        yield "unread", of.projected(ReadPart(of.on, False))
    zeros = claim.with_zeros()
    assert zeros is not None
    yield "zero", zeros


def _unread(
    of: SubspaceQuestion, seen: Sequence[Site], activations: Activations
) -> tuple[int, ...] | None:
    """Of every value, how many directions are hardly read; None where all that comes later reads it."""
    found = [strength_at(site, activations) for site in seen]
    counts = tuple(hardly_read(one) for one in found if one is not None)
    return counts if len(counts) == len(found) else None


def _variance(on: Directions, seen: Sequence[Site], activations: Activations) -> float:
    """Share of the values' variance on the fit part that lies in a subspace."""
    inside = whole = 0.0
    for site in seen:
        values = activations.flat(site).double().cpu()
        centred = values - values.mean(0)
        basis = basis_of(on, site, activations).to(centred)
        inside += float((centred @ basis).square().sum())
        whole += float(centred.square().sum())
    return inside / whole if whole > 0 else 0.0
