"""Conditions: named ways to produce next-token predictions. The *if* of "what are the losses if"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.score import LogitsOf
from unexplained.hashing import code_digest, digest, home_of
from unexplained.subject import Batch, Edit, Subject
from unexplained.subject.live import memory_of

EffectKind = Literal["total", "total, norms frozen", "direct", "direct, norm frozen"]
"""Total: everything downstream reacts. Direct: only what the edited components themselves add to
the final stream changes; with the final norm's scale frozen, direct effects add up.

With the norms frozen in a total effect every norm of the pass (those of queries and keys, after
blocks and the final one too) keeps the factor that it has in the intact pass. What then differs
from `total` is what scales do: norms that raise or lower all the rest when a component shrinks or
swells. It is not what the model computes, and it leaks: the intact scales were made with the
component there, so a little of what it said, how large it was at each token, stays.
"""


class Predictor(Protocol):
    """Whatever predicts the next token from the tokens before it."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that its predictions depend on."""

    def predict(self, batch: Batch, where: Tensor) -> LogitsOf:
        """Predictions at the n places that `where` (batch, position) marks, in its order."""


@dataclass(frozen=True)
class Intact:
    """The model as it is. Every evaluation includes it."""

    name: str = "intact"
    fingerprint: str = "intact"


@dataclass(frozen=True)
class Edited:
    """The model under a set of edits: an ablation, an explanation, a circuit."""

    name: str
    edits: tuple[Edit, ...]
    fingerprint: str
    """Hash of everything that the edits depend on: code, fitted values, sites."""
    effect: EffectKind = "total"
    after_prefix: bool = False
    """It is the identity at positions before the first at which the prompts of its pair differ,
    so that those need not be run again."""
    fitted_on: str = ""
    """Fingerprint of the model that anything in it was fitted to; empty where nothing was."""

    @property
    def is_direct(self) -> bool:
        """Whether nothing downstream reacts."""
        return self.effect in ("direct", "direct, norm frozen")

    @property
    def holds_norms(self) -> bool:
        """Whether everything does, but for the scales of norms."""
        return self.effect == "total, norms frozen"


@dataclass(frozen=True)
class Program:
    """Predictions from any computation on the model's parts, such as a circuit of edges."""

    name: str
    run: Callable[[Subject, Batch], Tensor]
    """From whole prompts to the final norm's output at their last so many positions, as many as
    are scored or more: (batch, position, width)."""
    fingerprint: str
    """Hash of everything that it depends on."""
    after_prefix: bool = True
    calls: tuple[object, ...] = ()
    """What `run` calls that its own module does not import: their code is in the key too."""


@dataclass(frozen=True)
class Other:
    """Predictions of something else than the model: a table, a written program, another model."""

    name: str
    predictor: Predictor
    mark: str = ""
    """The predictor's fingerprint when it was last looked at."""

    @property
    def fingerprint(self) -> str:
        """The predictor's."""
        return f"other {self.mark or self.predictor.fingerprint}"


@dataclass(frozen=True)
class AnotherModel:
    """Another model with the same tokenizer as a predictor: a weaker one, a twin.

    Its predictions are compared with the intact model's token by token, so `kl` and `agree` say
    how far the two differ, not only how good each is.
    """

    subject: Subject

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return f"model {self.subject.remembered}"

    def predict(self, batch: Batch, where: Tensor) -> LogitsOf:
        """Run it on whole rows."""
        there, subject = batch.on(self.subject.device), self.subject
        normed = subject.run(there).normed[where.to(subject.device)]
        return lambda columns: subject.logits(normed, columns)


Condition = Intact | Edited | Program | Other


def now(condition: Condition) -> Condition:
    """The condition, named by what it depends on at this moment: values may have been changed since.

    Raises:
        UnexplainedError: Something was fitted to what is no longer so.
    """
    if isinstance(condition, Other):
        # A table keeps the name that it was counted under, whatever is written to it afterwards.
        parts = getattr(condition.predictor, "__dict__", {})
        held = [one for one in parts.values() if isinstance(one, Tensor)]
        mark = digest(condition.predictor.fingerprint, tensor_digest(held))
        return replace(condition, mark=mark)
    if not isinstance(condition, Edited):
        return condition
    standing = dict.fromkeys(edit.standing for edit in condition.edits if edit.standing is not None)
    if not standing:
        return condition
    return replace(
        condition, fingerprint=digest(condition.fingerprint, *(one() for one in standing))
    )


def joint(name: str, parts: Sequence[Edited]) -> Edited:
    """Several conditions' edits at once, in order.

    Raises:
        MeasurementError: Two of them edit the same site or were fitted to different models, one
            is a direct effect, or in some the norms are frozen and in others not.
    """
    sites = [edit.where for part in parts for edit in part.edits]
    for part in parts:
        if part.is_direct:
            raise MeasurementError(
                f"The joint condition '{name}'", f"'{part.name}' is a direct effect"
            )
    effects = {part.effect for part in parts} or {"total"}
    if len(effects) > 1:
        raise MeasurementError(
            f"The joint condition '{name}'", "norms are frozen in some of its parts alone"
        )
    for site in sites:
        if sites.count(site) > 1:
            raise MeasurementError(f"The joint condition '{name}'", f"two of its parts edit {site}")
    models = sorted({part.fitted_on for part in parts} - {""})
    if len(models) > 1:
        raise MeasurementError(
            f"The joint condition '{name}'", "its parts were fitted to different models",
            "Fit all of them to the one that is measured.",
        )  # fmt: skip
    edits = tuple(edit for part in parts for edit in part.edits)
    mark = digest("joint", *(part.fingerprint for part in parts))
    early = all(part.after_prefix for part in parts)
    return Edited(name, edits, mark, effects.pop(), after_prefix=early, fitted_on="".join(models))


def distinct(conditions: Sequence[Condition]) -> tuple[list[Condition], dict[str, str]]:
    """Conditions that are the same under several names, once each; every name's measured one."""
    once: dict[str, Condition] = {}
    names: dict[str, str] = {}
    for condition in conditions:
        names[condition.name] = once.setdefault(key(condition), condition).name
    return list(once.values()), names


def key(condition: Condition) -> str:
    """Under which name a condition's measurements are kept: what it is, not what it is called."""
    effect = condition.effect if isinstance(condition, Edited) else ""
    return digest(condition.fingerprint, effect, code_digest(*modules_of(condition)))


def modules_of(condition: Condition) -> tuple[str, ...]:
    """The modules whose code says what a condition does to a pass, besides the engine's."""
    doing: list[object] = []
    match condition:
        case Edited():
            doing += [one for edit in condition.edits for one in (edit.function, *edit.calls)]
        case Program():
            doing += [condition.run, *condition.calls]
        case Other():
            doing.append(type(condition.predictor))
    return tuple(sorted({home_of(one) for one in doing}))


def tensor_bytes(tensor: Tensor) -> bytes:
    """A tensor's numbers in order, of any type, those that numpy does not have too."""
    return memory_of(tensor).tobytes()


def tensor_digest(tensors: Sequence[Tensor]) -> str:
    """Digest of tensors by shape, type and bytes."""
    parts: list[str | bytes] = []
    for tensor in tensors:
        parts.append(f"{tuple(tensor.shape)}{tensor.dtype}")
        parts.append(tensor_bytes(tensor))
    return digest(*parts)
