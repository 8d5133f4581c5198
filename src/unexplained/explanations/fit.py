"""From a claim to edits: the rest is filled in, the readout fitted, in closed form, on the fit part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unexplained.donors import places_of
from unexplained.errors import ExplanationError
from unexplained.evaluate import Activations, Edited
from unexplained.evaluate.activations import local as recorded_local
from unexplained.evaluate.conditions import EffectKind, tensor_digest
from unexplained.explanations.carried import counted
from unexplained.explanations.causal import Mixed, Replay
from unexplained.explanations.description import PARAMETER_BITS, written
from unexplained.explanations.given import INEXACT
from unexplained.explanations.protocol import Claim, Explanation
from unexplained.explanations.stand_in import StandIn
from unexplained.explanations.view import elsewhere, mixed_local
from unexplained.hashing import digest
from unexplained.record import Description
from unexplained.sites import HEAD_VALUES, Shape, Site
from unexplained.subject import Batch, Edit, Local

RIDGE = 1e-6
"""Ridge penalty, relative to the mean variance of the features: for stability, not shrinkage."""


@dataclass(frozen=True)
class Readout:
    """What was fitted for one head: z' = (rest + gate (z_said − rest)) @ matrix + bias."""

    mean: Tensor
    """(head size,) the head's mean z on the fit part."""
    gate: float | None = None
    matrix: Tensor | None = None
    bias: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """All fitted numbers that are tensors."""
        return [t for t in (self.mean, self.matrix, self.bias) if t is not None]


@dataclass(frozen=True)
class Fitted:
    """A claim made ready to stand in the components' place."""

    explanation: StandIn
    sites: tuple[Site, ...]
    edits: tuple[Edit, ...]
    fingerprint: str
    parameters: int
    """How many numbers were fitted."""
    gates: dict[str, float]
    """The fitted scalar of every head, if there is one."""
    shape: Shape
    fitted_on: str
    """`Activations.model`: it stands in no other model, nor in this one after its weights changed."""

    @property
    def description(self) -> Description:
        """How long it is: code, fitted numbers, and the parameters that compute what it reads."""
        return self.explanation.described(self.parameters, self.sites, self.shape)

    def condition(self, effect: EffectKind = "total") -> Edited:
        """The model with the explanation in the components' place."""
        suffix = "" if effect == "total" else f" ({effect})"
        return Edited(
            self.explanation.name + suffix, self.edits, self.fingerprint, effect,
            fitted_on=self.fitted_on,
        )  # fmt: skip


@dataclass(frozen=True)
class InPlace:
    """What an explanation in a component's place depends on at the moment when it is asked."""

    explanation: Explanation
    made: str
    """The same when it was fitted."""

    def __call__(self) -> str:
        """The fingerprint now.

        Raises:
            ExplanationError: It depends on something that is not counted, or something was fitted
                to it, or read of it, that has changed since.
        """
        self.explanation.asked.clear()
        now = counted(self.explanation).fingerprint
        if now != self.made and (self.explanation.readout != "none" or self.explanation.shuffled):
            raise ExplanationError(
                self.explanation.called,
                "what it names or holds has changed since it was fitted",
                "Fit it again.",
            )
        return now


def describe(explanation: Explanation, parameters: int) -> Description:
    """The length of an explanation to which so many numbers were fitted.

    Raises:
        ExplanationError: It carries something that no description length counts.
    """
    found = counted(explanation)
    parameters += sum(table.parameters for table in found.tables)
    return Description(
        code_bits=written(found).bits,
        parameters=parameters,
        parameter_bits=parameters * PARAMETER_BITS,
    )


def sites_to_observe(explanation: Explanation, sites: Sequence[Site], shape: Shape) -> list[Site]:
    """What has to be recorded on the fit part to fit this explanation."""
    own = [name for name in explanation.reads if name in HEAD_VALUES]
    own.append("v" if explanation.gives == "pattern" else explanation.gives)
    found = list(elsewhere(explanation.reads, shape))
    for site in sites:
        if site.part == "H":
            found += [site.component.at(name) for name in dict.fromkeys(["z", *own])]
        else:
            found.append(site)
    return list(dict.fromkeys(found))


def stands_at(explanation: Explanation, site: Site) -> Site:
    """The value that is replaced: of a head what the explanation gives, or z if that is a pattern."""
    if site.part != "H":
        return site
    return site.component.at("z" if explanation.gives == "pattern" else explanation.gives)


def fit(claim: Claim, shape: Shape, activations: Activations, seed: int) -> Fitted:
    """Fit what a claim leaves to be fitted.

    Args:
        claim: The explanation and where it is claimed.
        shape: The model's sizes.
        activations: The intact model on the fit part, at `sites_to_observe`.
        seed: Draws the donors of a shuffled explanation.

    Raises:
        ExplanationError: The explanation raised, returned something that cannot stand in, or
            carries what no description length counts.
    """
    explanation, sites = claim.explanation, claim.sites(shape)
    explanation.asked.clear()
    calls = (explanation.donors,) if explanation.shuffled else ()
    reads = elsewhere(explanation.reads, shape)
    standing = InPlace(explanation, counted(explanation).fingerprint)
    edits: list[Edit] = []
    tensors: list[Tensor] = []
    gates: dict[str, float] = {}
    parameters = 0
    for site in sites:
        say = sayer(explanation, site, shape, activations, seed)
        where = stands_at(explanation, site)
        if explanation.gives not in ("pattern", "z") and explanation.readout == "none":
            edits.append(Edit(where, say, reads, standing, calls))
            continue
        readout = _fit_readout(explanation, where, say, activations)
        tensors += readout.tensors
        if readout.gate is not None and explanation.readout == "gate":
            gates[str(site)] = readout.gate
            tensors.append(torch.tensor([readout.gate], dtype=torch.float64))
            parameters += 1
        uses_mean = explanation.gives == "pattern" and explanation.rest == "mean"
        parameters += readout.mean.numel() if uses_mean or readout.gate is not None else 0
        parameters += sum(t.numel() for t in (readout.matrix, readout.bias) if t is not None)
        through = _through(explanation, say, readout, shape)
        edits.append(Edit(where, through, reads, standing, calls))
    mark = digest(
        standing.made,
        *(explanation.gives, explanation.rest, explanation.readout, *explanation.reads),
        f"shuffled {explanation.donors.fingerprint} {seed} {explanation.moved} "
        f"{activations.documents}"
        if explanation.shuffled
        else "",
        *map(str, sites),
        tensor_digest(tensors),
    )
    return Fitted(
        explanation, sites, tuple(edits), mark, parameters, gates, shape, activations.model
    )


def sayer(
    explanation: Explanation, site: Site, shape: Shape, activations: Activations, seed: int
) -> Callable[[Local], Tensor]:
    """What the explanation says here, or, if shuffled, of another document with its tokens mixed.

    Mixed, because in text made of repeated segments every document repeats at the same distance:
    another document as it is would be no control.
    """
    if not explanation.shuffled:
        return lambda local: explanation(_wide(local), shape)
    known: dict[int, Tensor] = {}

    def of_donor(number: int) -> Tensor:
        if number not in known:
            batch, values = activations.batches[number]
            mixed = replace(batch, tokens=_out_of_order(batch, seed))
            here = recorded_local(stands_at(explanation, site), mixed, values)
            known[number] = explanation(_wide(here), shape)
        return known[number]

    def say(local: Local) -> Tensor:
        batch = local.batch
        length = batch.tokens.shape[1]
        rest = (length,) if explanation.gives == "pattern" else local.value.shape[2:]
        kind = wide_type(local.value.dtype)
        said = local.value.new_zeros((*batch.tokens.shape, *rest), dtype=kind)
        places = places_of(explanation.donors, activations, batch, seed)
        for row, (number, at, length) in enumerate(places):
            found = of_donor(number)[at, :length]
            if explanation.gives == "pattern":
                found = found[:, :length]
            if explanation.moved:
                square = explanation.gives == "pattern"
                found = displaced(found, batch.documents[row], seed, square=square)
            here = said[row, :length]
            (here[:, :length] if explanation.gives == "pattern" else here).copy_(found)
        return said

    return say


def displaced(said: Tensor, document: str, seed: int, *, square: bool) -> Tensor:
    """What is said of a document, (position, …), put at other positions, drawn from its hash.

    Of a pattern every row goes round by so many places that nothing stays where it was; the first
    row has one place. Values go round as a whole.
    """
    length = len(said)
    if length < 2:
        return said
    draw = torch.Generator().manual_seed(int(digest("moved", document, str(seed)), 16) >> 1)
    if not square:
        return said.roll(int(torch.randint(1, length, (), generator=draw)), 0)
    size = torch.arange(1, length + 1)
    by = 1 + (torch.rand(length, generator=draw) * (size - 1)).long()
    column = torch.arange(length)[None, :]
    source = torch.where(column < size[:, None], (column - by[:, None]) % size[:, None], column)
    return said.gather(1, source.to(said.device))


def wide_type(kind: torch.dtype) -> torch.dtype:
    """In which type values are computed with: float32 at least."""
    return torch.promote_types(kind, torch.float32)


def _wide(local: Local) -> Local:
    """The same with values of half precision as float32: 1e-30 is 0 in float16, and 0/0 no number.

    What comes of it is given back in the model's type by the edit.
    """

    def wide(value: Tensor, pattern: bool = False) -> Tensor:
        value = value.to(wide_type(value.dtype))
        # A row of attention adds up to 1 within the rounding of its type, which is no attention made.
        return value / value.sum(-1, keepdim=True).clamp(min=1) if pattern else value

    if local.value.dtype == wide_type(local.value.dtype):
        return local
    sites = {s: wide(value, s.value == "pattern") for s, value in local._elsewhere.items()}

    def own(name: str) -> Tensor:
        return wide(local.own(name), name == "pattern")

    return replace(local, _own=own, _elsewhere=sites)


def _out_of_order(batch: Batch, seed: int) -> Tensor:
    """Every document's tokens in an order drawn from its hash."""
    tokens = batch.tokens.clone()
    for row, (document, length) in enumerate(
        zip(batch.documents, batch.valid.sum(-1).tolist(), strict=True)
    ):
        generator = torch.Generator().manual_seed(int(digest(document, str(seed)), 16) >> 1)
        order = torch.randperm(length, generator=generator).to(tokens.device)
        tokens[row, :length] = tokens[row, :length][order]
    return tokens


def _said_z(
    explanation: Explanation, say: Callable[[Local], Tensor], mean: Tensor, local: Local
) -> tuple[Tensor, Tensor]:
    """The z that the explanation says, and the rest that it is mixed with, in float32 at least."""
    mean = mean.to(wide_type(mean.dtype))
    if explanation.gives != "pattern":
        said = say(local)
        return said, mean.expand_as(said)
    pattern, v = say(local), _wide(local).own("v")
    pattern = pattern.to(v.dtype)
    rest = mean.expand_as(v) if explanation.rest == "mean" else v[:, :1].expand_as(v)
    return pattern @ v + (1 - pattern.sum(-1, keepdim=True)) * rest, rest


def _through(
    explanation: Explanation, say: Callable[[Local], Tensor], readout: Readout, shape: Shape
) -> Callable[[Local], Tensor]:
    def mapped(local: Local, say: Callable[[Local], Tensor]) -> Tensor:
        z, rest = _said_z(explanation, say, readout.mean, local)
        if readout.gate is not None:
            z = rest + readout.gate * (z - rest)
        z = z.to(wide_type(z.dtype))
        if readout.matrix is not None and readout.bias is not None:
            z = (_columns(z) @ readout.matrix + readout.bias).view_as(z)
        return z

    def stand_in(local: Local) -> Tensor:
        z = mapped(local, say)
        if readout.matrix is not None and not explanation.shuffled and INEXACT in explanation.asked:
            _require_unraised(explanation, mapped, z, local, shape)
        return z

    return stand_in


def _require_unraised(
    explanation: Explanation,
    mapped: Callable[[Local, Callable[[Local], Tensor]], Tensor],
    z: Tensor,
    local: Local,
    shape: Shape,
) -> None:
    """Refuse a peek that rounding hid and a fitted map has raised.

    Raises:
        ExplanationError: What stands in changes with what comes later.
    """
    read, asked = elsewhere(explanation.reads, shape), f"{explanation.called} at {local.site}"

    def again(mixed: Mixed) -> Tensor:
        return mapped(
            mixed_local(local, mixed, read),
            lambda here: explanation.unasked(_wide(here), read, asked),
        )

    batch = local.batch
    Replay(asked, batch.valid, batch.documents, z, again, own=True).require_causal()


def _columns(value: Tensor) -> Tensor:
    """A neuron's value as one of width 1."""
    return value[..., None] if value.dim() < 3 else value


def _fit_readout(
    explanation: Explanation, site: Site, say: Callable[[Local], Tensor], activations: Activations
) -> Readout:
    z = activations.flat(site)
    mean = z.double().mean(0).to(z.dtype)
    if explanation.readout == "none":
        return Readout(mean)
    if explanation.readout == "nothing":
        return Readout(mean, gate=0.0)
    said, rest = [], []
    for local in activations.at(site):
        pair = _said_z(explanation, say, mean, local)
        said.append(pair[0][local.batch.valid])
        rest.append(pair[1][local.batch.valid])
    x, base, y = (
        one.double().flatten(1) if one.dim() > 1 else one.double()[:, None]
        for one in (torch.cat(said), torch.cat(rest), z)
    )
    if explanation.readout == "gate":
        return Readout(mean, gate=_least_squares_gate(x - base, y - base))
    matrix, bias = ridge(x, y)
    kind = wide_type(z.dtype)
    return Readout(mean, matrix=matrix.to(kind), bias=bias.to(kind))


def _least_squares_gate(x: Tensor, y: Tensor) -> float:
    """argmin_g |y − g x|² within [0, 1]: attention can be shared out, not made or owed."""
    power = float((x * x).sum())
    return min(1.0, max(0.0, float((x * y).sum()) / power)) if power > 0 else 0.0


def ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix and bias minimising |y − x matrix − bias|² + penalty |matrix|² (rows are samples).

    The bias is not penalised: both sides are centred first.
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    x_centred, y_centred = x - x_mean, y - y_mean
    gram = x_centred.T @ x_centred
    penalty = RIDGE * float(gram.diagonal().mean()) + torch.finfo(x.dtype).tiny
    eye = torch.eye(gram.shape[0], dtype=x.dtype, device=x.device)
    matrix = torch.linalg.solve(gram + penalty * eye, x_centred.T @ y_centred)
    return matrix, y_mean - x_mean @ matrix
