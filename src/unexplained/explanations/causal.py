"""An explanation cannot see the answer: what it says at a position depends on nothing that comes later.

Whatever is explained or replaced is causal, so every explanation is asked again with other things
in the places that it may not look at, and must say the same. Later tokens are exchanged at `CUTS`
places in every document that it is asked about; then every document is asked among others, cut
off, and in another place of the batch. What it reads of the model's own values is exchanged in the
same places: since a model is causal (`subject.trial` tries it) those before stay what they are, so
no pass is needed. One mechanism for explanations of components and programs for whole models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.hashing import digest

CUTS = 4
"""Places in every document from which on everything is exchanged, or all where there are fewer."""

CHANGED = 1e-5
"""The greatest change that is no change, of what is said there less what is said everywhere."""

ROUNDED = 1e-6
"""The same of what is said there: float32 has 1.2e-7."""

RESHAPED = 1e-3
"""The same of what is computed from the model's values in a batch of another shape, in other order:
an attention score of 1,000 is rounded to 1e-4."""

ADVICE = (
    "At each position read only what stands up to it, in its own document: nothing later, not how "
    "much follows, no statistics of the batch; and draw nothing at random."
)


@dataclass(frozen=True)
class Mixed:
    """A batch with other things in some of its places: where each is taken from."""

    rows: Tensor
    """(batch, position) the row that it comes from."""
    places: Tensor
    """(batch, position) the position there."""
    kept: Tensor
    """(batch, position) what is a real token and is as it was."""
    home: Tensor
    """(batch,) where each row stood."""
    cuts: tuple[int, ...]
    """Of every row, from which position on it is not as it was."""

    def of(self, value: Tensor, *, pattern: bool = False) -> Tensor:
        """Tokens or values (batch, position, …) so mixed; a pattern stays one of a causal model."""
        mixed = value[self.rows, self.places]
        if not pattern:
            return mixed
        length = self.rows.shape[1]
        own = value[self.home][:, :length, :length]
        mixed = mixed[..., :length].tril()
        total = mixed.sum(-1, keepdim=True)
        itself = torch.eye(length, dtype=value.dtype, device=value.device).expand_as(mixed)
        mixed = torch.where(total > 0, mixed / total.clamp(min=1e-30), itself)
        return torch.where(self._as_it_was()[..., None], own, mixed)

    def _as_it_was(self) -> Tensor:
        here = torch.arange(self.rows.shape[1], device=self.rows.device)
        return (self.rows == self.home[:, None]) & (self.places == here)


@dataclass(frozen=True)
class Replay:
    """What an explanation was asked, what it said, and how to ask it again."""

    called: str
    """How errors name it, and where it stands."""
    valid: Tensor
    """(batch, position) real tokens; padding is on the right."""
    documents: tuple[str, ...]
    said: Tensor
    """(batch, position, …)"""
    again: Callable[[Mixed], Tensor]
    """What it says of a batch that is mixed from this one."""
    square: bool = False
    """What it says is a pattern."""
    own: bool = False
    """It reads the model's own values."""
    logs: float | None = None
    """What it says are logs of probabilities: how far they may differ, absolutely or relatively."""
    rounded: list[bool] = field(default_factory=list)
    """Of every time that it was asked in this shape, whether it said something else by a last bit."""

    @property
    def lengths(self) -> list[int]:
        """Real tokens in every row."""
        return [int(length) for length in self.valid.sum(-1).tolist()]

    def require_causal(self) -> bool:
        """Ask again with other things in the places that it may not look at.

        Returns:
            Whether it said the same to the bit: if not, what is fitted on top could raise a peek
            that is too small to be told from rounding.

        Raises:
            ExplanationError: It says something else: of which document, at which position.
        """
        cuts = [
            _cuts(document, length)
            for document, length in zip(self.documents, self.lengths, strict=True)
        ]
        for number in range(CUTS):
            here = [some[number % len(some)] for some in cuts]
            if (found := self._differs(self._exchanged(here, number))) is not None:
                raise self._error(*found, here[found[0]], number)
        for mixed in self._among_others():
            if (found := self._differs(mixed)) is not None:
                raise self._error(*found, mixed.rows.shape[1], None)
        return not any(self.rounded)

    def _exchanged(self, cuts: Sequence[int], number: int) -> Mixed:
        """Everything from a position on, of another document or of its own out of order."""
        batch, length = self.valid.shape
        shift = 0 if number % 2 else 1 + number // 2
        source = (np.arange(batch) + shift) % batch
        rows, places = self._drawn(source, length, f"exchange {number}")
        position = np.arange(length)[None, :]
        kept = position < np.array(cuts)[:, None]
        rows = np.where(kept, np.arange(batch)[:, None], rows)
        return self._mixed(rows, np.where(kept, position, places), kept, np.arange(batch), cuts)

    def _among_others(self) -> Iterator[Mixed]:
        """Every document as it is, cut off, in another place among others."""
        batch, length = self.valid.shape
        width = 1 + int(digest("width", *self.documents), 16) % max(length - 1, 1)
        home = np.arange(batch)[::-1].copy()
        for half in range(min(batch, 2)):
            rows, places = self._drawn((home + 1 + half) % batch, width, f"others {half}")
            stays = (home % 2 == half)[:, None] | np.zeros(width, dtype=bool)
            rows = np.where(stays, home[:, None], rows)
            places = np.where(stays, np.arange(width)[None, :], places)
            cuts = [width if stay else 0 for stay in stays[:, 0]]
            yield self._mixed(rows, places, stays, home, cuts)

    def _drawn(self, source: np.ndarray, width: int, mark: str) -> tuple[np.ndarray, np.ndarray]:
        """Of rows that things are taken from, real places drawn from the documents' names."""
        rng = np.random.default_rng(int(digest(mark, *self.documents), 16))
        lengths = np.maximum(np.array(self.lengths)[source], 1)
        places = (rng.random((len(source), width)) * lengths[:, None]).astype(np.int64)
        return np.repeat(source[:, None], width, 1), places

    def _mixed(
        self,
        rows: np.ndarray,
        places: np.ndarray,
        kept: np.ndarray,
        home: np.ndarray,
        cuts: Sequence[int],
    ) -> Mixed:
        device = self.valid.device
        to = [
            torch.from_numpy(np.ascontiguousarray(one)).to(device)
            for one in (rows, places, kept, home)
        ]
        real = self.valid[to[3]][:, : rows.shape[1]]
        return Mixed(to[0], to[1], to[2] & real, to[3], tuple(cuts))

    def _differs(self, mixed: Mixed, where: Tensor | None = None) -> tuple[int, int] | None:
        """Row and position, as they were, of the first place where it says something else."""
        length = mixed.rows.shape[1]
        said = self.said[mixed.home][:, :length]
        if self.square:
            said = said[..., :length]
        now = self.again(mixed)
        if now.shape != said.shape:
            raise ExplanationError(
                self.called,
                f"it returned shape {tuple(now.shape)} where {tuple(said.shape)} was needed, when "
                "it was asked about the same documents among others",
                ADVICE,
            )
        kept = mixed.kept if where is None else where
        if not (reshaped := length != self.valid.shape[1]):
            self.rounded.append(bool((now != said)[kept].any()))
        close = self._close(said, now, reshaped=reshaped)
        wrong = kept & ~close
        if not bool(wrong.any()):
            return None
        row, position = (int(i) for i in wrong.nonzero()[0])
        return int(mixed.home[row]), position

    def _close(self, said: Tensor, now: Tensor, *, reshaped: bool) -> Tensor:
        """(batch, position) where two answers are one."""
        if self.logs is not None:
            return torch.isclose(said, now, self.logs, self.logs).all(-1)
        said, now = (x.flatten(2) if x.dim() > 2 else x[..., None] for x in (said, now))
        size = said.abs().amax(-1)
        centre = torch.zeros_like(said[0, 0]) if self.square else self._centre
        spread = (said - centre).abs().amax(-1)
        bound = CHANGED * spread + ROUNDED * size + 0.5 * ROUNDED * size.max()
        if reshaped:
            bound = (RESHAPED if self.own else CHANGED) * size.max().clamp(min=1e-30)
        return (now - said).abs().amax(-1) <= bound

    @property
    def _centre(self) -> Tensor:
        """What it says everywhere: the median over tokens."""
        said = self.said.flatten(2) if self.said.dim() > 2 else self.said[..., None]
        return said[self.valid].median(0).values

    def _error(self, row: int, position: int, cut: int, number: int | None) -> ExplanationError:
        """Say on what it depends, having asked once more."""
        batch, length = self.valid.shape
        itself = self._exchanged([length] * batch, 0)
        mine = torch.zeros_like(self.valid)
        mine[row, :] = self.valid[row]
        cuts = [length] * batch
        cuts[row] = cut
        things = "tokens and the model's values" if self.own else "tokens"
        if self._differs(itself) is not None:
            why = "is another when it is asked again"
        elif number is not None:
            before = mine & (torch.arange(length, device=mine.device) < cut)
            alone = self._differs(self._exchanged(cuts, number), before)
            why = (
                "changes with the other documents of its batch"
                if alone is None
                else f"changes when the {things} from position {cut} on are exchanged for others"
            )
        else:
            others = [0] * batch
            others[row] = length
            among = batch > 1 and self._differs(self._exchanged(others, 0), mine) is not None
            why = (
                "changes with the other documents of its batch"
                if among
                else f"changes when the {things} from position {cut} on are cut off"
                + (", or with its place in the batch" if batch > 1 else "")
            )
        return ExplanationError(
            f"{self.called} on document {self.documents[row]}",
            f"what it says at position {position} {why}",
            ADVICE,
        )


def _cuts(document: str, length: int) -> list[int]:
    """Positions from which on a document is exchanged: never the first, drawn from its name."""
    rng = np.random.default_rng(int(digest("cuts", document), 16))
    drawn = 1 + rng.permutation(max(length - 1, 1))[:CUTS]
    # The whole document may be followed by anything but padding.
    return [int(cut) for cut in drawn] if len(drawn) == CUTS else [*map(int, drawn), length]
