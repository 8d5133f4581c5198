"""Prefixes that are run once, and conditions side by side, against whole passes one at a time."""

from __future__ import annotations

import pytest
import torch

from tiny import CONFIGS, there, tiny_subject, tokens
from unexplained.errors import SiteError
from unexplained.sites import FINAL_LAYER, Site
from unexplained.subject import Batch, Copy, Edit, Subject

START = 7


@pytest.fixture(params=list(CONFIGS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return tiny_subject(request.param)


def bound(values: torch.Tensor) -> float:
    """Products and sums in another order, through 3 layers: some hundred roundings."""
    return 200 * torch.finfo(torch.float32).eps * float(values.abs().max())


def halved_from(start: int, kind: str, head: int = 2) -> Edit:
    """Halves a head's value at positions from `start` on: the identity before."""

    def halve(local):
        new = local.value.clone()
        new[:, max(start - local.batch.start, 0) :] *= 0.5
        return new

    return Edit(Site(1, "H", head, kind), halve)


def test_rows_that_begin_alike_are_run_once_and_keep_their_places(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = tokens()[:3]
    assert len({tuple(row[:START].tolist()) for row in (one, two, three)}) == 3
    batch = Batch.of(torch.stack([two, one, two, three, one]))
    seen = []
    body, forward = subject.anatomy.body, type(subject.anatomy.body).__call__

    def counted(module, *args, **kwargs):
        seen.extend([len(kwargs["input_ids"])] if module is body else [])
        return forward(module, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(type(body), "__call__", counted)
        prefix = subject.prefix(batch.tokens[:, :START])
    assert seen == [3]
    whole = subject.run(batch).normed[:, START:]
    rest = subject.run(batch.since(START), prefix=prefix).normed
    assert (rest - whole).abs().max() <= bound(whole)
    some = torch.tensor([3, 0])
    part = Batch.of(batch.tokens[some]).since(START)
    rest = subject.run(part, prefix=prefix.rows(some)).normed
    assert (rest - whole[some]).abs().max() <= bound(whole)


def test_the_rest_of_a_prompt_after_its_prefix_is_the_whole_prompt(subject: Subject) -> None:
    batch = Batch.of(tokens())
    whole = subject.run(batch).normed
    prefix = subject.prefix(batch.tokens[:, :START])
    rest = subject.run(batch.since(START), prefix=prefix)
    assert rest.normed.shape[1] == batch.tokens.shape[1] - START
    assert float((rest.normed - whole[:, START:]).abs().max()) < bound(whole)


@pytest.mark.parametrize("kind", ["q_pre", "k_pre", "q", "k", "v", "pattern", "z", "out"])
def test_an_edit_after_a_prefix_is_the_edit_in_the_whole_prompt(
    subject: Subject, kind: str
) -> None:
    batch = Batch.of(tokens())
    whole = subject.run(batch, [halved_from(START, kind)]).normed
    intact = subject.run(batch).normed
    prefix = subject.prefix(batch.tokens[:, :START])
    rest = batch.since(START)
    base = subject.run(rest, prefix=prefix, keep_streams=[1])
    got = subject.run(rest, [halved_from(START, kind)], resume=base.resume(1)).normed
    assert float((got - whole[:, START:]).abs().max()) < bound(whole)
    assert float((got - intact[:, START:]).abs().max()) > 100 * bound(whole)


def test_a_prefix_is_read_and_never_written(subject: Subject) -> None:
    batch = Batch.of(tokens())
    prefix = subject.prefix(batch.tokens[:, :START])
    first = subject.run(batch.since(START), prefix=prefix).normed
    assert torch.equal(first, subject.run(batch.since(START), prefix=prefix).normed)
    assert prefix.cache.get_seq_length() == START == prefix.length


@pytest.mark.parametrize("start", [0, START])
def test_conditions_side_by_side_are_the_conditions_one_at_a_time(
    subject: Subject, start: int
) -> None:
    batch = Batch.of(tokens())
    prefix = subject.prefix(batch.tokens[:, :start]) if start else None
    rest = batch.since(start)
    base = subject.run(rest, prefix=prefix, keep_streams=[0, 1, 2])
    sets = [
        [halved_from(start, kind, i % 4)] for i, kind in enumerate(["q", "k", "v", "pattern", "z"])
    ]
    sets += [[Edit(site, lambda local: local.value * 0.5)] for site in subject.sites("L1.H1.out")]
    sets += [
        [Edit(site, lambda x: x.value * 0.5)]
        for site in subject.sites(there(subject, "L1.mlp L1.attn L2.N3"))
    ]
    sets += [[], [halved_from(start, "q"), halved_from(start, "z", 1)]]
    sets += [
        [
            Edit(
                Site(2, "resid_post"),
                lambda x: x.value * x.elsewhere(Site(1, "mlp")),
                reads=(Site(1, "mlp"),),
            )
        ]
    ]
    final = [Edit(Site(FINAL_LAYER, "final"), lambda x: x.value * 0.5)]
    joining = [Copy(base.resume(0), sets[0])] + [Copy(base.resume(1), some) for some in sets]
    joining += [
        Copy(base.resume(2), sets[8]),
        Copy(base.resume(2), []),
        Copy(base.resume(3), final),
    ]
    together = subject.run(rest, copies=joining).normed
    alone = [subject.run(rest, copy.edits, resume=copy.resume).normed for copy in joining]
    assert float((together - torch.cat(alone)).abs().max()) < bound(base.normed)


def test_a_copy_that_joins_after_its_own_edit_is_refused(subject: Subject) -> None:
    batch = Batch.of(tokens())
    base = subject.run(batch, keep_streams=[1, 2])
    early, late = ([Edit(s, lambda x: x.value * 0.5)] for s in subject.sites("L1.mlp L2.mlp"))
    with pytest.raises(SiteError, match="joins the pass at layer 2"):
        subject.run(batch, copies=[Copy(base.resume(1), late), Copy(base.resume(2), early)])


def test_a_query_sees_all_of_the_prefix_even_when_it_is_alone(subject: Subject) -> None:
    """One position after the prefix: Hugging Face then gives no mask at all."""
    batch = Batch.of(tokens())
    last = batch.tokens.shape[1] - 1
    whole = subject.run(batch, keep=subject.sites("L2.H1.pattern"))
    prefix = subject.prefix(batch.tokens[:, :last])
    rest = subject.run(batch.since(last), prefix=prefix, keep=subject.sites("L2.H1.pattern"))
    (old,), (new,) = whole.values.values(), rest.values.values()
    assert new.shape == (3, 1, last + 1)
    torch.testing.assert_close(new, old[:, last:], atol=1e-5, rtol=1e-4)
