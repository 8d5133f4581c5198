"""Whole-model explanations: a program that reads tokens stands in the place of the whole model.

    @explanation(gives="logits", reads=["tokens"])
    def program(view):
        '''What it claims the model does.'''
        return …  # (batch, position, vocabulary): logits of the token after each position

    evaluate(subject, text, [fit_program(program, text).condition()])

Nothing of the model is left, so recovered is read against a baseline that knows less than a model
does (uniform, unigram, bigram, trigram) where a component's explanation is read against an ablation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unexplained.donors import Donors, place_of
from unexplained.errors import ExplanationError
from unexplained.evaluate import Activations, Other
from unexplained.evaluate.batches import plan
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.score import LogitsOf
from unexplained.explanations.calibration import Calibration, calibrate
from unexplained.explanations.carried import counted
from unexplained.explanations.causal import Replay
from unexplained.explanations.fit import InPlace, describe
from unexplained.explanations.given import TOLERANCE
from unexplained.explanations.protocol import Explanation
from unexplained.explanations.view import View
from unexplained.hashing import code_digest, digest, home_of
from unexplained.record import Description
from unexplained.subject import Batch
from unexplained.text import Text
from unexplained.text.ngrams import table

FIT_NUMBERS = 200_000_000
"""Logits that a calibration is fitted on and that are held at once, 800 MB: of a vocabulary of
49,152 those of 4,069 tokens. Two numbers fitted on n tokens cost about 1/n nats per token."""


class TokenView(View):
    """What a program sees: tokens, and how many there are."""

    def __init__(self, name: str, tokens: Tensor, vocabulary: int) -> None:
        self._name, self._tokens, self._vocabulary = name, tokens, vocabulary

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._vocabulary

    @property
    def blank(self) -> Tensor:
        """Zeros of the shape that is to be given: (1, position, vocabulary)."""
        return torch.zeros((*self._tokens.shape, self._vocabulary))

    def site(self, address: str) -> Tensor:
        """Refused: no site is a program's to read."""
        return self._read(address)

    def _read(self, name: str) -> Tensor:
        if name == "tokens":
            return self._tokens.clone()
        raise ExplanationError(
            f"Reading '{name}' in {self._name[:1].lower()}{self._name[1:]}",
            "a program in the whole model's place sees tokens and vocabulary, and no more",
        )


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Other documents for a shuffled program to read."""

    documents: Activations
    """Of the fit part; no values are recorded."""
    donors: Donors
    seed: int

    @classmethod
    def of(cls, text: Text, donors: Donors, seed: int) -> Elsewhere:
        """The fit part of a text."""
        device = torch.device("cpu")
        plans = plan(text.blocks("fit", "A shuffled program"), BATCH_TOKENS)
        return cls(Activations(tuple((one.batch(device), {}) for one in plans)), donors, seed)

    @property
    def fingerprint(self) -> str:
        """Of everything that is read."""
        tokens = [batch.tokens.numpy().tobytes() for batch, _ in self.documents.batches]
        chosen = (self.donors.fingerprint, code_digest(home_of(self.donors)), str(self.seed))
        return digest(*chosen, *self.documents.documents, *tokens)

    def tokens(self, document: str, length: int) -> Tensor:
        """What is read in the place of a document: another one, out of order, (length,).

        Another document, since its own tokens out of order would bring later ones forward. Out of
        order, since in text made of repeated segments every document repeats at the same distance.
        The first token stays: in many models it is the same in every document.

        Raises:
            TextError: No other document of the fit part is long enough.
        """
        number, row = place_of(self.donors, self.documents, document, length, self.seed)
        batch = self.documents.batches[number][0]
        tokens = batch.tokens[row, batch.valid[row]]
        draw = torch.Generator().manual_seed(
            int(digest(batch.documents[row], str(self.seed)), 16) >> 1
        )
        order = 1 + torch.randperm(len(tokens) - 1, generator=draw)
        return torch.cat([tokens[:1], tokens[order]])[:length]


@dataclass(frozen=True, eq=False)
class WrittenProgram:
    """A program as a predictor, like a table of n-grams or another model.

    It runs on the CPU, on one document at a time and without padding, so that it cannot read
    across documents and its predictions do not depend on how a text is batched. Of a batch only
    the rows that are scored are held, 4 bytes × vocabulary each.

    Every document is read six times (`causal`): whole, with its own tokens out of order from each
    of four positions on, and cut off at a fifth, all drawn from its hash. A prediction before that
    differs by more than 1e-4 (of a log probability, or of its size where that is above 1) has come
    from later tokens, or from the document's length, and is refused. A program that peeks at one
    place in a hundred is thus found within some tens of documents, not surely within one.

    Raises:
        ExplanationError: The explanation does not give logits, carries what is not counted, or
            has parts that must be fitted first.
    """

    explanation: Explanation
    vocabulary: int
    calibration: Calibration | None = None
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        asked = self.explanation.called
        if self.explanation.gives != "logits":
            raise ExplanationError(
                asked,
                f"it gives '{self.explanation.gives}' of a component, not logits",
                "Use .at(sites) and fit, or declare gives='logits'.",
            )
        unfitted = (self.explanation.readout == "calibrated") != (self.calibration is not None)
        if unfitted or self.explanation.shuffled != (self.elsewhere is not None):
            raise ExplanationError(
                asked,
                "what is fitted on the fit part, or read from it, is not what it asks for",
                "Make it with fit_program(explanation, text).",
            )
        assert self._standing.made  # looked for now, so that what is not counted is refused

    @cached_property
    def _standing(self) -> InPlace:
        return InPlace(self.explanation, counted(self.explanation).fingerprint)

    @property
    def fingerprint(self) -> str:
        """Of its code, what that carries now, what was fitted, and what a shuffled one reads.

        Raises:
            ExplanationError: What it carries has changed since something was fitted to it.
        """
        return digest(
            *("program", self._standing(), str(self.vocabulary)),
            "" if self.calibration is None else self.calibration.fingerprint,
            "" if self.elsewhere is None else self.elsewhere.fingerprint,
        )

    @property
    def description(self) -> Description:
        """How long it is: code, and 32 bits for every number of a calibration or a table."""
        fitted = self.calibration
        return describe(self.explanation, 0 if fitted is None else fitted.parameters)

    def condition(self, name: str | None = None) -> Other:
        """The program in the whole model's place, by its own name unless another is given."""
        return Other(name or self.explanation.name, self)

    def predict(self, batch: Batch, where: Tensor) -> LogitsOf:
        """Log probabilities at the places that `where` (batch, position) marks.

        Raises:
            ExplanationError: The program raised, or what it returned cannot stand in.
            TextError: There is no other document for a shuffled program to read.
        """
        device, lengths = batch.tokens.device, batch.valid.sum(-1).tolist()
        rows = []
        for row, (document, length) in enumerate(zip(batch.documents, lengths, strict=True)):
            tokens = _read(self.elsewhere, document, batch.tokens[row, :length].cpu())
            rows.append(self._causal(document, tokens)[where[row, :length].cpu()])
        found = torch.cat(rows)
        return lambda columns: found[:, columns].to(device)

    def log_probs(self, tokens: Tensor) -> Tensor:
        """Predictions after every token of one document, (position,) → (position, vocabulary).

        Raises:
            ExplanationError: The program raised, or what it returned cannot stand in.
        """
        logits = _logits(self.explanation, tokens, self.vocabulary)
        if self.calibration is not None:
            return self.calibration.log_probs(logits)
        return logits.log_softmax(-1)

    def _causal(self, document: str, tokens: Tensor) -> Tensor:
        """Predictions for a document, refused if what comes later changes them."""
        whole = self.log_probs(tokens)
        Replay(
            self.explanation.called,
            torch.ones((1, len(tokens)), dtype=torch.bool),
            (document,),
            whole[None],
            lambda mixed: self.log_probs(mixed.of(tokens[None])[0])[None],
            logs=TOLERANCE,
        ).require_causal()
        return whole


def fit_program(explanation: Explanation, text: Text, seed: int = 0) -> WrittenProgram:
    """Make a program ready to stand in a whole model's place on a text.

    A plain one has nothing fitted. A shuffled one reads documents of the fit part. A calibrated
    one is fitted on the first documents of the fit part, up to `FIT_NUMBERS` logits; one that is
    both is what its fitted part recovers alone, about as much as the unigram table.

    A shuffled program that is not calibrated is as sure as it was and no longer right, so it may
    be far below the baseline: near it is the calibrated one.

    Calibration misleads where the program carries a table that was counted on the very documents
    that it is fitted on: there the table looks surer than it is. The plain program beside it shows
    by how much.

    Raises:
        ExplanationError: It gives no logits, raised, carries what is not counted, or returned
            something that cannot stand in.
        TextError: There is no other document for a shuffled program to read, or none to fit on.
    """
    shuffled = explanation.shuffled
    elsewhere = Elsewhere.of(text, explanation.donors, seed) if shuffled else None
    calibration = None
    if explanation.readout == "calibrated":
        logits, targets = _fit_data(explanation, text, elsewhere)
        calibration = calibrate(logits, targets, table(text, 1))
    return WrittenProgram(explanation, text.vocabulary, calibration, elsewhere)


def _fit_data(
    explanation: Explanation, text: Text, elsewhere: Elsewhere | None
) -> tuple[Tensor, Tensor]:
    """What the program gives at the scored places of the fit part, and the tokens that came."""
    logits: list[Tensor] = []
    targets: list[Tensor] = []
    room = max(1, FIT_NUMBERS // text.vocabulary)
    for block in text.blocks("fit", "A calibrated program"):
        if room <= 0:
            break
        tokens = _read(elsewhere, block.document, torch.from_numpy(block.tokens).long())
        rows = _logits(explanation, tokens, text.vocabulary)[block.scored][:room]
        logits.append(rows)
        targets.append(torch.from_numpy(block.targets).long()[:room])
        room -= len(rows)
    return torch.cat(logits), torch.cat(targets)


def _read(elsewhere: Elsewhere | None, document: str, tokens: Tensor) -> Tensor:
    return tokens if elsewhere is None else elsewhere.tokens(document, len(tokens))


def _logits(explanation: Explanation, tokens: Tensor, vocabulary: int) -> Tensor:
    """What a program gives for one document, (position, vocabulary) float32, checked."""
    asked = explanation.called
    with torch.no_grad():
        given = explanation.run(TokenView(asked, tokens[None], vocabulary), asked)
    wanted = (1, len(tokens), vocabulary)
    if tuple(given.shape) != wanted:
        raise ExplanationError(
            asked,
            f"it returned shape {tuple(given.shape)} where {wanted} was needed",
            "Give logits of every token of the vocabulary at every position.",
        )
    logits = given[0].detach().cpu().float()
    if bool(logits.isnan().any()) or bool((logits == torch.inf).any()):
        raise ExplanationError(asked, "it returned NaN or +infinity")
    ruled_out = logits == -torch.inf
    if bool(ruled_out.all(-1).any()):
        raise ExplanationError(asked, "it rules out every token somewhere")
    if explanation.readout != "calibrated" and bool(ruled_out.any()):
        raise ExplanationError(
            asked,
            "it returned −infinity, and a token that was ruled out would cost an infinite loss",
            "Give every token some probability, or let it be fitted: .calibrated().",
        )
    return logits
