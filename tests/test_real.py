"""A few laws and facts on the real 135M model; everything here is marked `real` and kept small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row
from unexplained.explanations import LIBRARY
from unexplained.subject import Batch, Subject

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    yield ux.load("smollm2-135m", device="cpu")


def test_the_real_model_unedited_and_resumed_is_hugging_faces_bit_for_bit(subject: Subject) -> None:
    tokens = torch.randint(100, 40_000, (2, 24), generator=torch.Generator().manual_seed(0))
    batch = Batch.of(tokens)
    whole = subject.run(batch, keep_streams=[17])
    resumed = subject.run(batch, resume=whole.resume(17))
    assert torch.equal(resumed.normed, whole.normed)
    model = subject.anatomy.model
    model.set_attn_implementation("sdpa")
    try:
        with torch.no_grad(), subject.precision.applied():
            theirs = model(tokens, use_cache=False).logits
    finally:
        model.set_attn_implementation("unexplained")
    assert torch.equal(subject.logits(whole.normed), theirs)


def test_strict_induction_in_real_heads_explains_repeats_and_one_head_on_text_is_refused(
    subject: Subject,
) -> None:
    """Facts measured by two sessions on two machines; the bounds are wide, the signs are not."""
    repeats = ux.text("repeats", subject, documents=6, fit_documents=6, block=64)
    scores = ux.head_scores(subject, repeats)
    assert scores[0].site == "L18.H6" and scores[0].induction > 0.8
    strict = LIBRARY.get("strict_induction")
    settings = ux.Settings(resamples=200)
    record = ux.assay(
        subject, "L18.H6-7 L17.H3-5", repeats,
        explanations=[strict], settings=settings, twin=False, singles=0,
    )  # fmt: skip
    share = of_row(record, strict.name, "against mean")
    assert share.value is not None and 0.9 < share.value < 1.3
    assert all(check.holds for check in checks_of(record))
    text = ux.text("webmix", subject, documents=6, fit_documents=6, block=64)
    alone = ux.assay(
        subject, "L18.H6", text,
        explanations=[strict], settings=settings, twin=False, singles=0,
    )  # fmt: skip
    refused = of_row(alone, strict.name, "against mean")
    assert refused.value is None and "within noise" in refused.refused
    assert refused.tokens_needed is not None and refused.tokens_needed > 600
