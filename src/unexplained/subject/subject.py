"""A causal language model opened up: its sites can be read and edited."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from unexplained.errors import MeasurementError, SubjectError
from unexplained.sites import Shape, Site, parse
from unexplained.subject.ambient import alone
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.architectures import architecture_of
from unexplained.subject.attention import NAME
from unexplained.subject.edits import Batch, Edit
from unexplained.subject.lent import Lent
from unexplained.subject.live import Opened, counters, fingerprint, replaced_functions, switches
from unexplained.subject.placed import Scales
from unexplained.subject.precision import Precision
from unexplained.subject.prefix import Prefix, run_prefix
from unexplained.subject.run import Copy, Pass, Resume, run
from unexplained.subject.trial import require_reproduced


@dataclass(frozen=True, eq=False)
class Subject:
    """The model under study. Made by `load`; measuring never writes to it.

    Passes come one at a time: a second thread waits for the first.
    """

    name: str
    anatomy: Anatomy
    tokenizer: PreTrainedTokenizerBase
    precision: Precision
    notes: tuple[str, ...] = ()
    """Where it came from and what was decided on loading; printed with every record."""
    lent: Lent | None = None
    """How the model was before it was opened, if somebody else has it too."""
    _known: list[tuple[object, str]] = field(default_factory=list, repr=False)
    """The last fingerprint, and the weights' counters when it was taken."""
    _tried: list[object] = field(default_factory=list, repr=False)
    """The settings with which the engine was last tried."""
    _closed: list[bool] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.opened  # noqa: B018  (remembered from now on)
        self._tried[:] = [switches(self.anatomy.model)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Elsewhere it is opened anew: modules have other identities there, and nobody lent it."""
        parts = (self.name, self.anatomy, self.tokenizer, self.precision, self.notes)
        return Subject, parts

    def __repr__(self) -> str:
        shape = self.shape
        return (
            f"<model {self.name}: {self.anatomy.architecture.name}, {shape.layers} layers of {shape.heads} "
            f"heads, {next(self.anatomy.model.parameters()).dtype} on {self.device}>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the model back as it was: its attention, its mode, its device. Nothing runs after."""
        if not self._closed:
            self._closed.append(True)
            if self.lent is not None:
                self.lent.give_back()

    @cached_property
    def opened(self) -> Opened:
        """The model's modules and settings when it was opened."""
        return Opened.of(self.anatomy.model)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Surroundings of a pass: nobody else's settings, no other thread, the model as opened.

        Raises:
            SubjectError: Somebody has changed the model other than in its weights, or closed it.
        """
        with alone(), self.precision.applied():
            if self._closed:
                raise SubjectError(
                    f"A pass of {self.name}", "it has been closed", "Load it again (ux.load)."
                )
            self.opened.require_same(self.name)
            yield

    @property
    def shape(self) -> Shape:
        """Layers, heads, widths."""
        return self.anatomy.shape

    @property
    def device(self) -> torch.device:
        """Where the tokens must be."""
        weight = self.anatomy.model.get_input_embeddings().weight  # type: ignore[operator]
        return torch.device(weight.device)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that predictions depend on, of the model as it is now.

        Every weight is read for it: a third of a second for 135M (`live.fingerprint`).
        """
        self._known[:] = [(self.counters(), fingerprint(self.anatomy.model))]
        return self._known[0][1]

    @property
    def remembered(self) -> str:
        """The last fingerprint, as long as torch has counted no write to the weights since."""
        known = self._known
        return known[0][1] if known and known[0][0] == self.counters() else self.fingerprint

    def take_products(self, precision: Precision) -> None:
        """Compute matrix products so from now on, and say so in the notes.

        Args:
            precision: How, as `precision.decide` found it to be exact enough.
        """
        if precision == self.precision:
            return
        notes = tuple(str(precision) if n == str(self.precision) else n for n in self.notes)
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "precision", precision)
        self._tried[:] = [None]  # the engine is tried again before anything is measured

    def counters(self) -> object:
        """What torch counts of writes to the weights: equal as long as none has been changed."""
        return counters(self.anatomy.model)

    def require_sound(self) -> None:
        """What has been changed since it was opened must not make the engine wrong.

        Called before anything is measured. Weights may change. Where a setting has, of the
        configuration or a module, the engine is tried on the model again.

        Raises:
            SubjectError: It has been closed, something stands in the way, or the engine does not
                reproduce what it is now.
        """
        with self.undisturbed():
            if replaced := replaced_functions(self.anatomy.model):
                raise SubjectError(
                    f"A measurement of {self.name}", replaced, "Take that back while measuring."
                )
            now = switches(self.anatomy.model)
            if now != self._tried[0]:
                architecture_of(self.anatomy.model)
                require_reproduced(self.anatomy)
                self._tried[:] = [now]

    def require_full_precision(self, what: str) -> None:
        """Refuse half precision for effects of single components: its rounding is of their size.

        Args:
            what: What is refused, as the error names it.

        Raises:
            MeasurementError: The weights are not float32 or wider.
        """
        kind = next(self.anatomy.model.parameters()).dtype
        if torch.finfo(kind).bits < 32:
            raise MeasurementError(
                f"{what} of {self.name} in {str(kind).removeprefix('torch.')}",
                "in half precision the effect of a single head has moved by up to 0.004 nats per "
                "token, where effects were −0.004 to 0.0185",
                "Load it in float32.",
            )

    def sites(self, text: str) -> tuple[Site, ...]:
        """Expand a text of addresses such as `L18.H6 L17.H3-5` (SiteError where they do not exist)."""
        return parse(text, self.shape)

    def run(
        self,
        batch: Batch,
        edits: Sequence[Edit] = (),
        *,
        keep: Sequence[Site] = (),
        keep_streams: Sequence[int] = (),
        direct: Sequence[Sequence[Edit]] = (),
        resume: Resume | None = None,
        prefix: Prefix | None = None,
        copies: Sequence[Copy] = (),
        keep_scales: bool = False,
        held: Scales | None = None,
        differentiable: bool = False,
    ) -> Pass:
        """One forward pass.

        Args:
            batch: Its input.
            edits: Interventions, each seeing the pass as edited so far.
            keep: Sites whose values are returned.
            keep_streams: Layers before which the stream is kept, for `Pass.resume`.
            direct: Groups of edits whose direct effect is measured without making them.
            resume: Start from here instead of from the tokens; nothing before it may be edited.
            prefix: What comes before the batch's first column; `resume` already carries its own.
            copies: In the place of `edits` and `resume`, several sets of edits, each on a copy of the
                batch of its own, in one pass; copies that join at an earlier layer come first. Copy
                i is rows i·batch to (i + 1)·batch of what is returned. Its low bits can depend on
                the others.
            keep_scales: What the norms multiply by is returned.
            held: Scales of another pass on the same batch that the norms take instead of their own.
            differentiable: Gradients go back to what edits put there; all of the pass is held for it.

        Raises:
            SiteError: A site that this model does not have, or that lies before `resume`.
        """
        with self.undisturbed():
            return run(
                self.anatomy,
                batch,
                edits,
                keep=keep,
                keep_streams=keep_streams,
                direct=direct,
                resume=resume,
                prefix=prefix,
                copies=copies,
                keep_scales=keep_scales,
                held=held,
                differentiable=differentiable,
            )

    def prefix(self, tokens: Tensor) -> Prefix:
        """Run the beginning that passes share, `tokens` (batch, position); give it to `run`."""
        with self.undisturbed():
            return run_prefix(self.anatomy, tokens)

    def logits(self, normed: Tensor, columns: slice = slice(None)) -> Tensor:
        """Logits, (…, vocabulary) or some of its columns.

        Ask for few positions or few columns at a time: together they are large.

        Args:
            normed: The final norm's output, (…, width).
            columns: Which tokens of the vocabulary.
        """
        with alone(), torch.no_grad(), self.precision.applied():
            return self.anatomy.logits(normed, columns)

    def logits_of(self, normed: Tensor, ids: Tensor) -> Tensor:
        """Logits of every row for columns of its own, (n, k).

        Args:
            normed: The final norm's output, (n, width).
            ids: Tokens, (n, k).
        """
        with alone(), torch.no_grad(), self.precision.applied():
            return self.anatomy.logits_of(normed, ids)

    @cached_property
    def words(self) -> list[str]:
        """The text of every token, by its number."""
        return list(self.tokenizer.batch_decode([[i] for i in range(self.shape.vocabulary)]))

    def twin(self, seed: int) -> Subject:
        """The same architecture with random weights: what structure alone would score.

        The weights are drawn by the architecture's own initialisation, so the twin is an
        untrained model, not a shuffled one.

        Args:
            seed: Of the weights.
        """
        with _seeded(seed):
            model = self._blank(next(self.anatomy.model.parameters()).dtype)
        name, note = (
            f"random weights (seed {seed})",
            f"initialised at random with seed {seed}, never trained",
        )
        return self._as(model, name, note)

    def in_double(self) -> Subject:
        """The same weights in float64: what rounding in the model's own type does to a number.

        Misleads a little: norms are in float32 in many architectures whatever the weights are in, and
        the sines of rotary embedding are.
        """
        model = self._blank(torch.float64)
        model.load_state_dict(self.anatomy.model.state_dict())
        return self._as(model, "float64", "the same weights in float64")

    def _blank(self, kind: torch.dtype) -> Any:
        config: Any = copy.deepcopy(self.anatomy.model.config)
        with alone():
            return AutoModelForCausalLM.from_config(
                config, dtype=kind, attn_implementation=NAME, trust_remote_code=False
            )

    def _as(self, model: Any, name: str, note: str) -> Subject:
        return replace(
            self,
            name=f"{self.name}, {name}",
            anatomy=Anatomy.of(model.to(self.device).eval()),
            notes=(note,),
            lent=None,
            _known=[],
            _tried=[],
            _closed=[],
        )


@contextmanager
def _seeded(seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
