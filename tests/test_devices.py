"""A model over two devices, tried with stand-ins for tensors: what meets must be in one place.

Stand-ins (torch's FakeTensor) know where they are and refuse products and sums across devices. They
hold no numbers, and let some in-place mixtures pass: this is no run on GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch._subclasses.fake_tensor import FakeTensorMode

from tiny import VOCABULARY, tiny_subject
from unexplained.errors import SubjectError
from unexplained.subject import Batch, Copy, Edit, Subject
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.gradients import record

HERE, THERE = torch.device("cpu"), torch.device("meta")


@pytest.fixture(params=["llama", "gemma3", "gpt_neox"])
def spread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """A tiny model whose last layer, norm and unembedding are elsewhere."""
    opened = tiny_subject(request.param)
    anatomy = Anatomy.of(opened.anatomy.model)
    # Of a stand-in neither its values nor whether they are finite can be asked.
    monkeypatch.setattr("unexplained.subject.edits._finite", lambda value: True)
    monkeypatch.setattr(Anatomy, "require_tokens", lambda self, tokens: None)
    with FakeTensorMode():
        place(anatomy.model, HERE)
        for module in (*anatomy.layers[2:], anatomy.final_norm, anatomy.unembed):
            place(module, THERE)
        for module in (*anatomy.layers, anatomy.final_norm, anatomy.unembed):
            device = next(module.parameters()).device
            add_hook_to_module(module, AlignDevicesHook(execution_device=device))
        # Not by `load`: it would read weights, and these have none.
        yield Subject(opened.name, anatomy, opened.tokenizer, opened.precision)


def place(module: torch.nn.Module, device: torch.device) -> None:
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                new = torch.empty(weight.shape, dtype=weight.dtype, device=device)
                part._parameters[name] = torch.nn.Parameter(new, requires_grad=False)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)


def batch() -> Batch:
    return Batch.of(torch.randint(0, VOCABULARY, (3, 12), device=HERE))


SITES = "L0.H1 L2.H1 L2.H1.out L2.H1.q L2.H1.pattern L2.attn L2.mlp L2.N3 L2.resid_pre final"


def test_every_edit_stands_and_the_result_is_where_the_tokens_are(spread: Subject) -> None:
    some = batch()
    whole = spread.run(some, keep_streams=[0, 1, 2])
    assert whole.normed.device == whole.stream.device == HERE
    assert spread.logits(whole.normed).device == HERE
    assert spread.logits_of(whole.normed[:, -1], some.tokens[:, :2]).device == HERE
    for site in spread.sites(SITES):
        masked = Edit(
            site, lambda x: x.value * x.batch.valid.reshape(3, 12, *[1] * (x.value.dim() - 2))
        )
        assert spread.run(some, [masked]).normed.device == HERE, site
    halved = Edit(spread.sites("L2.mlp")[0], lambda local: local.value * 0.5)
    joining = [Copy(whole.resume(layer), [halved]) for layer in (0, 1, 1, 2)]
    assert spread.run(some, copies=joining).normed.shape[0] == 12


def test_reads_and_direct_effects_cross_over(spread: Subject) -> None:
    some, (early, late) = batch(), spread.sites("L0.mlp L2.mlp")
    reads = Edit(late, lambda local: local.value + local.elsewhere(early), reads=(early,))
    assert spread.run(some, [reads]).normed.device == HERE
    for site in spread.sites("L0.H1 L2.H1 L2.mlp L2.N3"):
        zero = Edit(site, lambda local: local.value * 0)
        direct = spread.run(some, direct=[[zero]]).direct[0]
        assert direct.added.device == direct.error.device == HERE


def test_gradients_are_refused_there(spread: Subject) -> None:
    with pytest.raises(SubjectError, match="on cpu, meta"):
        record(spread.anatomy, batch())


def test_the_comparison_of_devices_asks_everything_and_can_fail() -> None:
    """`elsewhere.py` is for machines with a GPU; here only that it still runs."""
    import elsewhere

    here = elsewhere.patched("llama", "cpu")
    there = {name: values.copy() for name, values in here.items()}
    assert elsewhere.far(here, there)[0] == 0
    next(iter(there.values()))[0] += 1000 * elsewhere.ALLOWED
    assert elsewhere.far(here, there)[0] > elsewhere.ALLOWED
    for what, ask in elsewhere.ONCE.items():
        assert ask("cpu"), what
    for what, ask in elsewhere.EVERY_FAMILY.items():
        assert ask("gemma3", "cpu"), what
