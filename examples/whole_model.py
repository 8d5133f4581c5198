"""A whole model explained by hand: a bigram table, and a copy of what came before.

    python examples/whole_model.py
    unexplained rewrite rung-5 --program examples/whole_model.py

A program in a whole model's place is a function from tokens to logits of the next token. This one
claims that the model is two rules: copy what followed the current token earlier in the document;
where there is nothing to copy, say what follows that token in general. It works for any model
whose text has a table of bigrams (`ngrams`); here it stands in for a planted model, of which it is
known that it is nearly so.
"""

import numpy as np
import torch
from torch import Tensor

import unexplained as ux
from unexplained.bars import recovered
from unexplained.evaluate import Other
from unexplained.explanations import Explanation, fit_program
from unexplained.testbeds import planted
from unexplained.testbeds.texts import two_rules
from unexplained.text import Block, Text
from unexplained.text.ngrams import NGram, ngrams

COPY = 0.9
"""Share of the prediction that goes to the copy, where there is one."""


def bigram_and_copy(table: NGram) -> Explanation:
    """The claim, made with a table of bigrams: it is carried, so its counts are charged."""

    @ux.explanation(gives="logits", reads=["tokens"])
    def bigram_and_strict_induction(view: ux.View) -> Tensor:
        """Say what followed the current token before, else what follows it in general."""
        batch, length = view.tokens.shape
        everything = slice(0, view.vocabulary)
        bigram = table.log_probs(view.tokens.flatten())(everything).exp()
        bigram = bigram.view(batch, length, view.vocabulary)
        # From where each position copies: rows sum to 1, or to 0 where its token is new.
        places = ux.patterns.evenly(ux.patterns.after_earlier_occurrence(view.tokens))
        words = view.tokens[:, None, :].expand_as(places)
        copy = torch.zeros_like(bigram).scatter_add_(-1, words, places)
        share = COPY * places.sum(-1, keepdim=True)
        return ((1 - share) * bigram + COPY * copy).log()

    return bigram_and_strict_induction


def for_text(text: Text) -> Explanation:
    """The claim for any text: `unexplained rewrite` calls this with the one that it measures."""
    return bigram_and_copy(ngrams(text)[2])


def made_up_text(subject: ux.Subject, documents: int = 60) -> Text:
    """Pairs of a token and its fixed successor, then a random segment twice."""
    rng = np.random.default_rng(0)
    parts = {
        part: tuple(
            Block(f"{part}{i}", "made up", row.astype(np.int32))
            for i, row in enumerate(two_rules(rng, documents, pairs=11, segment=12))
        )
        for part in ("eval", "fit", "counted")
    }
    return Text(
        name="two rules",
        eval=parts["eval"],
        fit=parts["fit"],
        # Not the fit part: a table would look surer there than it is, and be calibrated so.
        pool=lambda: (block.tokens for block in parts["counted"]),
        pool_fingerprint=f"two rules {documents}",
        block=47,
        vocabulary=subject.shape.vocabulary,
        fingerprint=f"two rules {documents}",
        notes=(),
        composition={},
    )


def main() -> None:
    """How much of a planted model the program accounts for, against three tables."""
    bed = planted("half_induction")
    subject = ux.load(bed.model, tokenizer=bed.tokenizer, device="cpu", name=bed.name)
    text = made_up_text(subject)
    tables = ngrams(text)
    claim = bigram_and_copy(tables[2])
    programs = [fit_program(one, text) for one in (claim, claim.calibrated(), claim.on_shuffled())]
    baselines = [Other(table.name, table) for table in tables]
    ledger = ux.evaluate(subject, text, [*(one.condition() for one in programs), *baselines])
    for program in programs:
        print(program.explanation.name, f"({program.description.bits:,} bits)")
        for table in tables:
            share = recovered(
                ledger, program.explanation.name, table.name, settings=ux.Settings()
            ).value
            print(f"  {share:.3f} of what the model knows beyond the {table.name} table")


if __name__ == "__main__":
    main()
