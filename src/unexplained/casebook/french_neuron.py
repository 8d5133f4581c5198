"""The French neuron: does it do French, or something else that happens only there? (MISSION 28–31).

A file of labels too: `unexplained label MODEL --label french_neuron.py:french --near french_neuron.py:romance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.record import Number
from unexplained.record.blocks import Block
from unexplained.study import (
    CaseCard,
    Headline,
    Option,
    Texts,
    answer_of,
    case,
    no_candidates,
    part,
)

if TYPE_CHECKING:
    from torch import Tensor

    from unexplained.study import Run

LEAST = 0.7
"""AUROC on the narrow text: below it no neuron looks French."""
WORDS = {
    "French": "le les des du une est dans pour qui pas sur avec aux cette vous nous elle sont leur leurs être peut mais même ces ont cela c'est",
    "English": "the of and to is that for with this be it are on by or not from which can you",
    "German": "der das und ist nicht ein eine zu den von mit auf für sich dem im werden auch wird kann",
    "Spanish": "el los las del una para por con su como más pero está al lo este ser",
    "Italian": "il di che è per della sono gli nel non alla dei",
    "Portuguese": "os um uma não para com do da em são ao dos",
}
"""Small words, each of one language or of few."""
ROMANCE = ("Spanish", "Italian", "Portuguese")
LATELY = 64
"""Tokens that are looked back on: of 24 the small words told half of the French tokens, of 64 three quarters."""
FEWEST = 2
"""Small words that tell a language."""

CARD = CaseCard(
    claim="There are neurons for French: active on French text and on no other, and that is what they do.",
    source="Gurnee et al. 2023, Finding Neurons in a Haystack: Case Studies with Sparse Probing",
    candidates="The neurons whose activation goes with the label most on the fit documents of a text in several "
    f"languages; the best has an AUROC of at least {LEAST:.1f}.",
    measured="How well they tell French on that text and on a broad one, at a stated prevalence; what the label's "
    "prediction in their place carries of what they do, and what it leaves; which of them others can stand in for; "
    "whether Spanish, Italian and Portuguese set them off.",
    published="L3.N609 of Pythia-70m: F1 and MCC of 1.0 on EuroParl; ablating it costs 0.0138 nats per token on "
    "French EuroParl and 0.0014 on the Pile, and Pierre, Jacques and Jean set it off in English.",
    refuted="Precision that falls on a broad text; activity on Spanish; and if what the label leaves of their "
    "values carries more of what they do than the label.",
    twin="The best neurons that the same search finds with random weights, with what the label carries of them.",
)


def for_vocabulary(words: Sequence[str]) -> list[ux.Explanation]:
    """The label and its near misses, for a tokenizer whose tokens have this text."""
    import torch

    known = {
        language: torch.tensor(
            [i for i, word in enumerate(words) if word.strip().lower() in some.split()],
            dtype=torch.long,
        )
        for language, some in WORDS.items()
    }

    def lately(tokens: Tensor, language: str) -> Tensor:
        """How many small words of a language stand among the last tokens, (batch, position)."""
        found = torch.isin(tokens, known[language].to(tokens.device)).long().cumsum(1)
        return found - torch.nn.functional.pad(found, (LATELY, 0))[:, :-LATELY]

    def is_language(tokens: Tensor, language: str) -> Tensor:
        """Whether it has at least two of them, and more than every other language."""
        counts = {name: lately(tokens, name) for name in WORDS}
        others = torch.stack([count for name, count in counts.items() if name != language])
        return (counts[language] >= FEWEST) & (counts[language] > others.max(0).values)

    @ux.explanation(gives="value", reads=["tokens"])
    def french(view: ux.View) -> Tensor:
        """The text so far is French: of the last 64 tokens two or more are its small words, more than another language's."""
        return is_language(view.tokens, "French")

    @ux.explanation(gives="value", reads=["tokens"])
    def romance(view: ux.View) -> Tensor:
        """The text so far is Spanish, Italian or Portuguese, told in the same way."""
        return torch.stack([is_language(view.tokens, name) for name in ROMANCE]).any(0)

    return [french, romance]


def nearest(scores: Mapping[str, Number]) -> str:
    """The neuron with the greatest AUROC, where none looks French; empty where one does."""
    best = max(scores, key=lambda name: scores[name].value or 0.0)
    auroc = scores[best]
    if (auroc.value or 0.0) >= LEAST:
        return ""
    if auroc.value is None:
        return f"{best}, of which it is refused ({auroc.refused})"
    return f"{best} with {auroc.value:.2f}"


@case("french-neuron", CARD, texts=Texts(many=True))
def french_neuron(
    run: Run,
    *,
    narrow: Annotated[
        str, Option("A text in French and other languages, such as handbook or parallel.")
    ] = "handbook",
    top: Annotated[int, Option("How many of the neurons that look French.", least=1, most=8)] = 4,
) -> Iterator[Block | Headline]:
    """French neurons: which look French on a text in several languages, and which are.

    Args:
        run: The model and its texts, which are the broad ones.
        narrow: A text in several languages, put before them unless it is one of them.
        top: How many neurons that look French are measured.

    Raises:
        MeasurementError: No neuron of the model looks French.
        UnexplainedError: As `label`.
    """
    subject, there = run.subject, run.texts[0]
    first = next((text for text in run.texts if text.name == narrow), None)
    if first is None:
        first = ux.text(
            narrow, subject, documents=len(there.eval), fit_documents=len(there.fit),
            block=there.block, seed=run.settings.seed,
        )  # fmt: skip
    on = run.on(first, *(text for text in run.texts if text is not first))
    french, romance = for_vocabulary(subject.words)
    found = ux.label.within(on, sites="", label=[french], near=[romance], top=top)
    answer = answer_of("label", found)
    numbers = dict(found.numbers())
    scores = {row.name: numbers[f"scores/scores/{row.name}/0-auroc"] for row in answer.rows if row.role != "twin"}  # fmt: skip
    if not run.imagined and (near := nearest(scores)):
        raise no_candidates(
            "french-neuron", subject.name, f"a neuron with an AUROC of {LEAST:.1f}", near
        )
    yield Headline(f"French neurons of {subject.name}", found.verdict, found.sheet)
    yield answer
    yield part("label", "The neurons and their label", found)
