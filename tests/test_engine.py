"""The engine's laws, on tiny random models of every architecture."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tiny import ADDITIVE, CONFIGS, there, tiny_model, tiny_subject, tiny_tokenizer, tokens
from unexplained.errors import MeasurementError, SiteError, SubjectError
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Subject, load

EXACT = "L*.H*.z L*.H*.out L*.attn L*.mlp L*.N3 L*.resid_pre L*.resid_post embed final"
RECOMPUTED = "L*.H*.q_pre L*.H*.k_pre L*.H*.q L*.H*.k L*.H*.v L*.H*.pattern"


@pytest.fixture(params=list(CONFIGS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return tiny_subject(request.param)


def test_no_edit_gives_hugging_faces_logits_bit_for_bit(request: pytest.FixtureRequest) -> None:
    for name in CONFIGS:
        model = tiny_model(name)
        subject = load(model, tokenizer=tiny_tokenizer(), device="cpu")
        with torch.no_grad(), subject.precision.applied():
            expected = tiny_model(name)(tokens(), use_cache=False).logits
        assert torch.equal(subject.logits(subject.run(Batch.of(tokens())).normed), expected), name


def test_a_rerun_from_any_layer_is_the_whole_run_bit_for_bit(subject: Subject) -> None:
    batch = Batch.of(tokens())
    whole = subject.run(batch, keep_streams=range(3))
    for layer in range(4):
        assert torch.equal(subject.run(batch, resume=whole.resume(layer)).normed, whole.normed)


def test_writing_back_what_was_read_changes_nothing(subject: Subject) -> None:
    batch = Batch.of(tokens())
    whole = subject.run(batch).normed
    sites = list(subject.sites(there(subject, EXACT)))
    if not subject.anatomy.parallel:
        sites += subject.sites("L*.resid_mid")
    edits = [Edit(site, lambda local: local.value.clone()) for site in sites]
    assert torch.equal(subject.run(batch, edits).normed, whole)
    edits = [Edit(site, lambda local: local.value.clone()) for site in subject.sites(RECOMPUTED)]
    # These heads' attention is computed again by hand: sums of at most 16 products in another
    # order, through 3 layers whose norms keep values of order 1, so some hundred roundings.
    bound = 200 * torch.finfo(torch.float32).eps * float(whole.abs().max())
    assert float((subject.run(batch, edits).normed - whole).abs().max()) < bound


def test_editing_a_site_changes_the_logits_and_nothing_before_it(subject: Subject) -> None:
    batch = Batch.of(tokens())
    before = subject.sites("L0.resid_post L0.attn L0.mlp")
    whole = subject.run(batch, keep=before)
    kinds = ["q_pre", "k_pre", "q", "k", "v", "pattern", "z", "out"]
    sites = [*(Site(1, "H", 2, kind) for kind in kinds), *subject.sites("L1.attn L1.mlp")]
    sites += subject.sites(there(subject, "L1.N5 L1.resid_pre"))
    sites += subject.sites("L1.resid_pre L1.resid_post final")
    if not subject.anatomy.parallel:
        sites += subject.sites("L1.resid_mid")
    for site in sites:
        new = subject.run(batch, [Edit(site, lambda local: local.value * 0.5)], keep=before)
        assert not torch.equal(new.normed, whole.normed), site
        for earlier in before:
            assert torch.equal(new.values[earlier], whole.values[earlier]), (site, earlier)


def test_before_rotary_embedding_stands_what_projections_and_their_norms_give(
    subject: Subject,
) -> None:
    anatomy, made = subject.anatomy, {}
    names: tuple[Literal["q"], Literal["k"]] = ("q", "k")
    handles = [
        (anatomy.layers[1].get_submodule(norm) if norm else anatomy.projection(1, name))
        .register_forward_hook(lambda module, args, output, name=name: made.update({name: output}))
        for name, norm in zip(names, anatomy.architecture.head_norms or ("", ""), strict=True)
    ]  # fmt: skip
    with torch.no_grad():
        anatomy.model(tokens(), use_cache=False)
    for handle in handles:
        handle.remove()
    shape, kept = anatomy.shape, subject.sites("L1.H*.q_pre L1.H*.k_pre")
    for site, value in subject.run(Batch.of(tokens()), keep=kept).values.items():
        name = names[site.value == "k_pre"]
        many = shape.heads if name == "q" else shape.key_heads
        # A norm of single heads is given them apart already, heads before positions or after.
        output = made[name]
        by_head = output if output.dim() == 4 else anatomy.projected(name, output)
        axis = 1 if by_head.shape[1] == many else 2
        own = by_head.select(axis, site.index * many // shape.heads)
        if name == "q" and anatomy.architecture.name == "opt":
            own = own * shape.head_size**-0.5  # where others scale scores, it scales queries
        assert torch.allclose(value, own, atol=1e-5), site


def test_patterns_are_attention_and_give_z(subject: Subject) -> None:
    got = subject.run(
        Batch.of(tokens()), keep=subject.sites("L*.H*.pattern L*.H*.v L*.H*.z")
    ).values
    for site in subject.sites("L*.H*"):
        pattern = got[site.at("pattern")]
        assert torch.allclose(pattern.sum(-1), torch.ones(()), atol=1e-6)
        assert float(pattern.triu(1).abs().max()) == 0
        assert torch.allclose(pattern @ got[site.at("v")], got[site.at("z")], atol=1e-5)


def test_components_add_up_to_the_stream(subject: Subject) -> None:
    whole = subject.run(Batch.of(tokens()), keep=subject.sites("embed L*.attn L*.mlp"))
    total = torch.stack(list(whole.values.values())).double().sum(0)
    bound = 20 * torch.finfo(torch.float32).eps * float(whole.stream.abs().max())
    assert float((total - whole.stream).abs().max()) < bound


def test_an_edit_of_a_shared_key_is_seen_by_one_query_head_alone(subject: Subject) -> None:
    batch = Batch.of(tokens())
    keep = subject.sites("L1.H*.z")
    whole = subject.run(batch, keep=keep).values
    new = subject.run(
        batch, [Edit(Site(1, "H", 2, "k"), lambda x: x.value * 0.5)], keep=keep
    ).values
    assert [torch.equal(new[s], whole[s]) for s in keep] == [True, True, False, True]


def test_a_direct_effect_is_the_total_one_where_nothing_downstream_reacts(subject: Subject) -> None:
    last = subject.shape.layers - 1
    if not subject.anatomy.parallel:
        with torch.no_grad():  # without the last MLP, nothing comes after the last attention
            for path in subject.anatomy.architecture.mlp:
                for weight in subject.anatomy.layers[last].get_submodule(path).parameters():
                    weight.zero_()
    batch = Batch.of(tokens())
    edit = Edit(Site(last, "H", 1), lambda local: local.value * 0.3)
    total = subject.run(batch, [edit])
    intact = subject.run(batch, direct=[[edit]])
    assert torch.allclose(intact.stream + intact.direct[0].added, total.stream, atol=2e-5)
    assert torch.equal(intact.normed, subject.run(batch).normed)


def test_the_frozen_norm_is_the_norm_where_nothing_is_added_and_linear(subject: Subject) -> None:
    stream = torch.randn(2, 5, subject.shape.width, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        norm = subject.anatomy.final_norm
        plain, at_zero = norm(stream), norm(stream * 0)  # the latter is the bias, if there is one
        assert torch.equal(subject.anatomy.frozen_norm(stream, stream * 0), plain)
        twice = subject.anatomy.frozen_norm(stream, stream)
    torch.testing.assert_close(twice - at_zero, 2 * (plain - at_zero))


@pytest.mark.parametrize("name", ADDITIVE)
def test_direct_effects_add_up_when_the_norm_is_frozen(name: str) -> None:
    """Not in Gemma: its post-norms are not linear, so effects before them do not add up."""
    subject = tiny_subject(name)
    assert not subject.anatomy.architecture.attention_post_norm
    batch = Batch.of(tokens())
    edits = [Edit(site, lambda local: local.value * 0) for site in subject.sites("L1.H0 L2.H3")]
    got = subject.run(batch, direct=[edits, edits[:1], edits[1:]])
    with torch.no_grad():
        frozen = [subject.anatomy.frozen_norm(got.stream, d.added) - got.normed for d in got.direct]
    assert torch.allclose(frozen[0], frozen[1] + frozen[2], atol=1e-5)


def test_unknown_architectures_and_wrong_tokenizers_are_refused() -> None:
    model = tiny_model("llama")
    with pytest.raises(SubjectError, match="embeds 61"):
        load(model, tokenizer=tiny_tokenizer(100), device="cpu")
    model.config.model_type = "mamba"  # nobody typed it: one that is spelt like it is another model
    with pytest.raises(SubjectError, match=r"(?s)'mamba'.*There are: .*llama.*smollm3\. A new one"):
        load(model, tokenizer=tiny_tokenizer(), device="cpu")


UNSUPPORTED: list[tuple[str, str, object]] = [
    ("opt", "do_layer_norm_before", False),
    ("opt", "word_embed_proj_dim", 16),
    ("opt", "_remove_final_layer_norm", True),
    ("opt", "layer_norm_elementwise_affine", False),
    ("granite", "residual_multiplier", 0.0),
    ("qwen3_moe", "mlp_only_layers", [1]),
    ("qwen3_moe", "decoder_sparse_step", 2),
    ("gemma2", "use_bidirectional_attention", True),
]


@pytest.mark.parametrize(("name", "setting", "value"), UNSUPPORTED)
def test_settings_that_are_not_reproduced_are_refused_by_name(
    name: str, setting: str, value: object
) -> None:
    kind, settings = CONFIGS[name]
    config = AutoConfig.for_model(kind, **settings | {setting: value})
    with pytest.raises(SubjectError, match=f"reproduce its setting '{setting}"):
        load(AutoModelForCausalLM.from_config(config), tokenizer=tiny_tokenizer(), device="cpu")


@pytest.mark.parametrize("where", ["L1.N3", "L*.N*"])
def test_neurons_of_experts_have_no_address_and_one_is_told_of_the_block(where: str) -> None:
    subject = tiny_subject("mixtral")
    with pytest.raises(SiteError, match=r"mixtures of experts.*router.*\.mlp"):
        subject.sites(where)
    assert (subject.shape.neurons, subject.shape.expert_neurons) == (0, 2 * 48)


def test_a_middle_of_zeros_is_zeros_also_where_what_is_added_is_multiplied() -> None:
    """The next norm would raise what rounding leaves."""
    subject = tiny_subject("granite")
    zero = Edit(Site(1, "resid_mid"), lambda local: local.value * 0)
    got = subject.run(Batch.of(tokens()), [zero], keep=subject.sites("L1.mlp L1.resid_post")).values
    assert (
        float(got[Site(1, "mlp")].abs().max()) == float(got[Site(1, "resid_post")].abs().max()) == 0
    )


def test_what_an_edit_read_in_the_middle_stays_what_it_was() -> None:
    """The stream is changed in place there."""
    subject, middle, seen = tiny_subject("llama"), Site(1, "resid_mid"), []
    intact = subject.run(Batch.of(tokens()), keep=[middle]).values[middle]
    look = Edit(Site(2, "mlp"), lambda x: seen.append(x.elsewhere(middle)), reads=(middle,))
    subject.run(Batch.of(tokens()), [Edit(middle, lambda local: local.value * 0.5), look])
    assert torch.equal(seen[0], intact)


def test_edits_that_cannot_stand_are_errors_that_name_the_site() -> None:
    subject = load(tiny_model("llama"), tokenizer=tiny_tokenizer(), device="cpu")
    batch = Batch.of(tokens())
    with pytest.raises(MeasurementError, match=r"L1\.H2.*shape"):
        subject.run(batch, [Edit(Site(1, "H", 2), lambda local: local.value[:1])])
    with pytest.raises(MeasurementError, match=r"L1\.H2.*NaN"):
        subject.run(batch, [Edit(Site(1, "H", 2), lambda local: local.value * torch.nan)])
    with pytest.raises(SiteError, match="Did you mean"):
        subject.sites("L1.resid_pst")
    with pytest.raises(SiteError, match="4 heads"):
        subject.sites("L1.H4")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_pass_of_no_token_is_refused(name: str) -> None:
    for shape in ((1, 0), (0, 4)):
        with pytest.raises(SubjectError, match="there is none"):
            tiny_subject(name).run(Batch.of(torch.zeros(shape, dtype=torch.long)))
