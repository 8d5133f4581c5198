"""How heads' weights meet: products of matrices against random ones of the same spectrum (Elhage and others 2021).

No text is read. Queries and keys are taken as the model itself makes and rotates them: every direction of the
stream is put before a layer, and what comes out, its norm's scale and its biases taken off, are the rows of a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unexplained.circuits.expansion import require_paths
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Subject
from unexplained.subject.ambient import neutrally

DRAWS = 100
TOKENS = 2048
"""Of a larger vocabulary so many, drawn."""


@dataclass(frozen=True)
class Composition:
    """How much of one head's writing another reads: ‖AB‖ / (‖A‖ ‖B‖) by Frobenius norms."""

    score: float
    random: float
    """The same where the earlier head's matrix has its singular values and random directions: the mean."""
    high: float
    """The greatest of these draws."""

    @property
    def times(self) -> float:
        """The score by what random directions give."""
        return self.score / self.random if self.random else 0.0


@dataclass(frozen=True)
class Matrices:
    """A layer's heads as maps of the stream (width, …), the norm's gain in them and its scale apart."""

    query: Tensor
    """(head, width, head size) at the last position."""
    key: Tensor
    """(head, distance, width, head size) so many positions before it."""
    output: Tensor
    """(head, width, width): W_V W_O."""


@neutrally
def matrices(subject: Subject, layer: int, distances: Sequence[int]) -> Matrices:
    """Read them off the model.

    Raises:
        CircuitError: The model is none that can be multiplied out.
    """
    require_paths(subject)
    shape, anatomy = subject.shape, subject.anatomy
    length = max(distances) + 1
    anatomy.require_positions(length)
    # The last row is of zeros: what comes out is biases alone.
    basis = torch.cat([torch.eye(shape.width), torch.zeros(1, shape.width)]).to(subject.device)
    rows = basis[:, None, :].expand(-1, length, -1)
    heads = range(shape.heads)
    keep = [Site(layer, "H", head, which) for head in heads for which in ("q", "k", "v")]
    batch = Batch.of(torch.zeros(len(basis), length, dtype=torch.long, device=subject.device))
    with torch.no_grad():
        edit = Edit(Site(layer, "resid_pre"), lambda local: rows)
        done = subject.run(batch, [edit], keep=keep, keep_scales=True)
    path = anatomy.architecture.attention_norm
    scale = done.scales[layer, path][:-1, :1] if path else torch.ones(1)
    at = [length - 1 - distance for distance in distances]

    def read(head: int, which: str) -> Tensor:
        value = done.values[Site(layer, "H", head, which)]
        return (value[:-1] - value[-1:]) / scale

    return Matrices(
        torch.stack([read(head, "q")[:, -1] for head in heads]),
        torch.stack([read(head, "k")[:, at].transpose(0, 1) for head in heads]),
        torch.stack([read(head, "v")[:, -1] @ anatomy.head_weight(layer, head) for head in heads]),
    )


def rotations(width: int, rank: int, seed: int) -> Tensor:
    """Random directions, (draw, width, rank): the first columns of rotations drawn evenly."""
    draw = torch.Generator().manual_seed(seed)
    return evenly_turned(torch.randn(DRAWS, width, rank, generator=draw, dtype=torch.float64))


def evenly_turned(normal: Tensor) -> Tensor:
    """Orthonormal columns, uniformly drawn, of a normal draw (…, width, rank) (Mezzadri 2007)."""
    turned, upper = torch.linalg.qr(normal)
    found: Tensor = turned * upper.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return found


def composition(read: Tensor, written: Tensor, turned: Tensor) -> Composition:
    """How much of what a head writes (width, width) the matrix of another (width, …) reads.

    Args:
        read: What the later head reads of the stream.
        written: W_V W_O of the earlier one.
        turned: `rotations` of the model's width and its heads' size.
    """
    read, written = read.double().cpu(), written.double().cpu()
    size = float(read.norm() * written.norm())
    if not size:
        return Composition(0.0, 0.0, 0.0)
    # From which directions it is made plays no part: only in which it is written.
    values = torch.linalg.svdvals(written)[: turned.shape[-1]]
    # Nor where it is taken to: a matrix of few directions is as long as its left half.
    left, sizes, _ = torch.linalg.svd(read, full_matrices=False)
    left = (left * sizes)[:, sizes > 1e-9 * sizes[0]]
    drawn = (values[:, None] * (turned.transpose(1, 2) @ left)).flatten(1).norm(dim=1) / size
    return Composition(
        float((written @ read).norm()) / size, float(drawn.mean()), float(drawn.max())
    )


def most_for_itself(queries: Tensor, keys: Tensor) -> float:
    """Of all tokens the share whose own key (token, size) its query scores highest of all keys."""
    best = (queries @ keys.T).argmax(-1)
    return float((best == torch.arange(len(queries), device=best.device)).double().mean())


def some_tokens(subject: Subject, seed: int) -> Tensor:
    """Numbers of the vocabulary's tokens, or of as many as `TOKENS`, drawn."""
    vocabulary = subject.shape.vocabulary
    if vocabulary <= TOKENS:
        return torch.arange(vocabulary, device=subject.device)
    drawn = np.random.default_rng(seed).choice(vocabulary, TOKENS, replace=False)
    return torch.from_numpy(np.sort(drawn)).to(subject.device)
