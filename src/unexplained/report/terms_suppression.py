"""The terms of copy suppression."""

from __future__ import annotations

from unexplained.report.term import Term

SUPPRESSION: tuple[Term, ...] = (
    Term(
        "copy suppression",
        "What a head does that attends to tokens of the context which are about to be predicted, and "
        "lowers just those (McDougall and others 2023).",
        ("copy suppressor",),
    ),
    Term(
        "OV",
        "What a head writes for a token that it attends to: its value and output matrices. Cut down, it "
        "may only lower the logit of that very token.",
    ),
    Term(
        "QK",
        "Where a head attends: its query and key matrices. Cut down, it may only attend to the tokens of "
        "the context that the stream before it predicts most.",
    ),
)
