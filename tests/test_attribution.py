"""Node attribution against derivatives of exact effects, brute force and theorems."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from exact import PAIRS, TEXT, batches, double_subject, logit_difference, text_of
from tiny import VARIED, VARIED_ADDITIVE, VOCABULARY, there, tiny_subject
from unexplained.ablations import ABLATIONS, Fill, record_for, value_site
from unexplained.circuits import CircuitError, attribute_edges, attribute_nodes
from unexplained.errors import SiteError
from unexplained.evaluate import observe
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Local, Subject
from unexplained.subject.attention import HeadValues
from unexplained.subject.run import run
from unexplained.text import Block, Text

EVERY = "embed final L*.resid_pre L*.resid_post L1.attn L2.attn L0.mlp L2.mlp L1.N3 L0.N7 L0.H1 "
EVERY += "L2.H2 L1.H3.q L1.H0.k L2.H1.k L0.H2.v L1.H2.v L1.H1.z L0.H0.out L2.H3.out"


@pytest.fixture(params=VARIED)
def subject(request: pytest.FixtureRequest) -> Subject:
    return double_subject(request.param)


def sites_of(subject: Subject, more: str = "") -> tuple[Site, ...]:
    mid = "" if subject.anatomy.parallel else " L0.resid_mid L2.resid_mid"
    return subject.sites(there(subject, EVERY + mid + " " + more))


def running_text() -> Text:
    """Two documents of unequal length, and two blocks of one document."""
    rng = np.random.default_rng(7)
    names = [("a", 11), ("b", 8), ("b", 10), ("c", 9)]
    blocks = [
        Block(n, "x", rng.integers(0, VOCABULARY, size).astype(np.int32)) for n, size in names
    ]
    return text_of(*blocks)


def fills_of(subject: Subject, text: Text, sites: tuple[Site, ...], name: str) -> dict[Site, Fill]:
    ablation = ABLATIONS.get(name)
    recorded = record_for(ablation, subject, text, sites)
    fill = ablation.fit(recorded, sites, 0)
    return {site: fill for site in sites}


def edit_of(fill: Fill, site: Site) -> Edit:
    (edit,) = (edit for edit in fill.edits if edit.where == value_site(site))
    return edit


def partly(edit: Edit, share: float) -> Edit:
    """A part of the way from the value to the fill."""

    def function(local: Local) -> Tensor:
        return local.value + share * (edit(local) - local.value)

    return Edit(edit.site, function, edit.reads)


def loss_sum(subject: Subject, batch: Batch, edits: list[Edit]) -> float:
    """Summed loss of one document alone."""
    log_p = subject.logits(subject.run(batch, edits).normed[0, :-1]).log_softmax(-1)
    return float(-log_p.gather(-1, batch.tokens[0, 1:, None]).sum())


def derivative(measure, step: float = 1e-4) -> float:
    """Of a function of the share of the way, at none of it."""
    return (measure(step) - measure(-step)) / (2 * step)


def alone(block: Block) -> Batch:
    tokens = torch.tensor(block.tokens[None].astype(np.int64))
    return Batch(tokens, tokens >= 0, torch.zeros(1).long(), (block.document,))


# --- derivatives of exact effects ------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean", "zero"])
def test_on_running_text_it_is_the_derivative_of_the_effect_by_document(
    subject: Subject, name: str
) -> None:
    text, patterns = running_text(), "L1.H1.pattern L2.H0.pattern" if name == "zero" else ""
    sites = sites_of(subject, patterns)
    fills = fills_of(subject, text, sites, name)
    got = attribute_nodes(subject, text, fills)
    assert (got.documents, got.sites) == (("a", "b", "c"), sites)
    for j, site in enumerate(sites):
        expected = dict.fromkeys("abc", 0.0)
        for block in text.eval:
            edit, batch = edit_of(fills[site], site), alone(block)
            expected[block.document] += derivative(
                lambda share, e=edit, b=batch: loss_sum(subject, b, [partly(e, share)])
            )
        assert got.values[:, j] == pytest.approx([*expected.values()], rel=2e-5, abs=1e-6), site
    assert (np.abs(got.values).max(0) > 1e-6).all()


def test_on_pairs_it_is_the_derivative_of_the_logit_difference_towards_the_other_prompt(
    subject: Subject,
) -> None:
    sites = sites_of(subject)
    fills = fills_of(subject, TEXT, sites, "patch")
    got = attribute_nodes(subject, TEXT, fills)
    assert got.documents == ("o0", "o1", "o2")
    for j, site in enumerate(sites):
        expected = dict.fromkeys(got.documents, 0.0)
        for one in PAIRS:
            batch, edit = alone(one), edit_of(fills[site], site)
            expected[one.orbit] += derivative(
                lambda share, e=edit, b=batch, o=one: logit_difference(
                    subject, subject.run(b, [partly(e, share)]).normed, o
                )
            )
        assert got.values[:, j] == pytest.approx([*expected.values()], rel=2e-5, abs=1e-6), site


def test_a_prefix_that_is_left_out_changes_nothing() -> None:
    """Pairs one at a time share 0 to 5 tokens; the same fills without the promise run everything."""
    subject = double_subject("mistral")
    sites = sites_of(subject)
    fills = fills_of(subject, TEXT, sites, "patch")
    whole = {s: Fill(f.name, f.edits, f.fingerprint, 0) for s, f in fills.items()}
    for method in ("atp", "atp*"):
        short = attribute_nodes(subject, TEXT, fills, method=method, batch_tokens=1)
        full = attribute_nodes(subject, TEXT, whole, method=method, batch_tokens=1)
        np.testing.assert_allclose(short.values, full.values, rtol=1e-6, atol=1e-9)


def test_batches_of_one_are_all_at_once() -> None:
    subject, text = double_subject("qwen3"), running_text()
    fills = fills_of(subject, text, sites_of(subject), "position mean")
    for method in ("atp", "atp*"):
        one = attribute_nodes(subject, text, fills, method=method, batch_tokens=1)
        whole = attribute_nodes(subject, text, fills, method=method)
        np.testing.assert_allclose(one.values, whole.values, rtol=1e-6, atol=1e-9)


# --- theorems --------------------------------------------------------------------------------


def test_where_the_measure_is_linear_in_the_site_it_is_exact(subject: Subject) -> None:
    """The logit difference is linear in the final norm's output: any step, no error. Not of soft-capped logits."""
    if getattr(subject.anatomy.model.config, "final_logit_softcapping", None):
        return
    final = subject.sites("final")
    fills = fills_of(subject, TEXT, final, "patch")
    got = attribute_nodes(subject, TEXT, fills).values[:, 0]
    exact = dict.fromkeys(("o0", "o1", "o2"), 0.0)
    for one in PAIRS:
        clean, corrupted = (subject.run(batch).normed for batch in batches(one))
        exact[one.orbit] += logit_difference(subject, corrupted, one) - logit_difference(
            subject, clean, one
        )
    assert got == pytest.approx([*exact.values()], rel=1e-9)


@pytest.mark.parametrize("name", VARIED_ADDITIVE)
def test_a_node_is_the_sum_of_the_edges_out_of_it(name: str) -> None:
    subject = double_subject(name)
    edges = attribute_edges(subject, TEXT)
    sites = tuple(edges.graph.site(source) for source in edges.graph.sources)
    nodes = attribute_nodes(subject, TEXT, fills_of(subject, TEXT, sites, "patch"))
    totals = np.nansum(edges.graph.matrix(edges.mean), axis=1) * len(PAIRS)
    np.testing.assert_allclose(nodes.values.sum(0), totals, rtol=1e-6, atol=1e-9)


def test_a_heads_z_its_output_and_its_layers_attention_agree(subject: Subject) -> None:
    """Linear maps in between: z and out always; the heads' sum and the whole without post-norms."""
    sites = subject.sites("L1.H0 L1.H1 L1.H2 L1.H3 L1.H0.out L1.H1.out L1.H2.out L1.H3.out L1.attn")
    got = attribute_nodes(subject, TEXT, fills_of(subject, TEXT, sites, "patch")).values
    np.testing.assert_allclose(got[:, :4], got[:, 4:8], rtol=1e-7, atol=1e-10)
    if not subject.anatomy.architecture.attention_post_norm:
        np.testing.assert_allclose(got[:, :4].sum(1), got[:, 8], rtol=1e-6, atol=1e-9)


# --- AtP* ------------------------------------------------------------------------------------


def by_brute_force(subject: Subject, one: Block, fills: dict[Site, Fill]) -> np.ndarray:
    """AtP* by its definition: one whole differentiated pass for every layer that is dropped.

    In one autograd graph over Hugging Face's own modules. The site's gradient is taken by adding
    a zero there; the layer is dropped by cutting the gradient at what it adds to the stream.
    """
    anatomy, layers = subject.anatomy, subject.shape.layers
    total = np.zeros(len(fills))
    for layer in range(layers):
        ends = (anatomy.attention_end(layer), anatomy.mlp_end(layer))
        handles = [module.register_forward_hook(_cut) for module in ends]
        try:
            total += [abs(_contribution(subject, one, s, f)) for s, f in fills.items()]
        finally:
            for handle in handles:
                handle.remove()
    own = [s.part in ("H", "N", "attn", "mlp") for s in fills]
    return total / np.where(own, layers - 1, layers)


def _cut(module, args, output):
    if isinstance(output, tuple):
        return (output[0].detach(), *output[1:])
    return output.detach()


def _contribution(subject: Subject, one: Block, site: Site, fill: Fill) -> float:
    """(fill − value) · gradient at a site, with whatever hooks are in place."""
    batch = alone(one)
    where = value_site(site)
    by_pattern = where.value in ("q", "k", "pattern")
    change: dict[str, Tensor] = {}

    def look(local: Local) -> None:
        new = edit_of(fill, site)(local)
        if not by_pattern:
            change["moved"] = new - local.value
            return
        q, k, v = (local.own(name) for name in ("q", "k", "v"))
        old = local.own("pattern")
        if where.value == "pattern":
            pattern = new
        else:
            q, k = (new, k) if where.value == "q" else (q, new)
            scale = anatomy.layers[site.layer].get_submodule(anatomy.architecture.attention).scaling
            pattern = (q @ k.transpose(1, 2) * scale).masked_fill(old == 0, -torch.inf).softmax(-1)
        change["moved"] = (pattern - old) @ v

    anatomy = subject.anatomy
    run(anatomy, batch, [Edit(where, look)])  # a Subject refuses to run among others' hooks
    gradient = _gradient(subject, batch, one, where.at("z") if by_pattern else where)
    return float((change["moved"] * gradient).sum())


def _gradient(subject: Subject, batch: Batch, one: Block, where: Site) -> Tensor:
    """By autograd through the whole model, at one site."""
    anatomy, kept = subject.anatomy, {}
    layer, size = min(max(where.layer, 0), subject.shape.layers - 1), subject.shape.head_size

    def first(output):
        return output[0] if isinstance(output, tuple) else output

    def keep_in(module, args):
        kept["x"] = args[0] if args[0].requires_grad else args[0].clone().requires_grad_()
        return (kept["x"], *args[1:])

    def keep_out(module, args, output):
        kept["x"] = first(output)

    part = where.part
    modules = {
        "attn": (anatomy.attention_end, False), "mlp": (anatomy.mlp_end, False),
        "N": (anatomy.neuron_output, True), "H": (anatomy.head_output, True),
        "resid_mid": (anatomy.mlp_reader, True),
    }  # fmt: skip
    if part in modules:
        of, inward = modules[part]
        module = of(layer)
    else:
        inward = part in ("embed", "resid_pre")
        module = anatomy.final_norm if part == "final" else anatomy.layers[layer]
    if inward:
        handle = module.register_forward_pre_hook(keep_in)
    else:
        handle = module.register_forward_hook(keep_out)
    try:
        normed = anatomy.body(input_ids=batch.tokens, use_cache=False)[0]
    finally:
        handle.remove()
    log_p = anatomy.logits(normed[0, :-1]).log_softmax(-1)
    loss = -log_p.gather(-1, batch.tokens[0, 1:, None]).sum()
    if not kept["x"].requires_grad:  # it is itself what is dropped
        return torch.zeros_like(kept["x"])
    (found,) = torch.autograd.grad(loss, kept["x"], allow_unused=True)
    found = torch.zeros_like(kept["x"]) if found is None else found
    if part == "H":
        return found[..., where.index * size : (where.index + 1) * size]
    if part in ("attn", "mlp"):  # the module's output is multiplied before it is added
        found = found / anatomy.residual_scale
    return by_position(found[..., where.index] if part == "N" else found, batch)


def by_position(found: Tensor, batch: Batch) -> Tensor:
    """OPT's MLP has all positions in one row."""
    return found.reshape(*batch.tokens.shape, *found.shape[1:]) if len(found) != 1 else found


STAR = "embed L0.resid_pre L1.resid_pre L2.resid_post L1.attn L0.mlp L2.mlp L1.N3 L0.H1 L2.H2 "
STAR += "L1.H3.q L1.H0.k L2.H1.q L0.H3.pattern final"


def test_atp_star_is_its_definition(subject: Subject) -> None:
    text = text_of(*running_text().eval[:2])
    mid = "" if subject.anatomy.parallel else " L0.resid_mid L2.resid_mid"
    sites = subject.sites(there(subject, STAR + mid))
    fills = fills_of(subject, text, sites, "zero")
    got = attribute_nodes(subject, text, fills, method="atp*")
    for row, block in zip(got.values, text.eval, strict=True):
        expected = by_brute_force(subject, block, fills)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-8)
    assert (got.values > 1e-7).all()


def test_of_a_saturated_head_atp_sees_little_and_atp_star_sees_much() -> None:
    """Keys a hundred times as long: the softmax is a maximum and has no gradient."""
    subject = double_subject("llama")
    with torch.no_grad():
        subject.anatomy.projection(2, "k").weight.mul_(100)
    text, sites = running_text(), subject.sites("L2.H*.q")
    fills = fills_of(subject, text, sites, "zero")
    plain, star = (
        np.abs(attribute_nodes(subject, text, fills, method=method).values).mean()
        for method in ("atp", "atp*")
    )
    exact = []
    for site in sites:
        for block in text.eval:
            batch = alone(block)
            intact = loss_sum(subject, batch, [])
            exact.append(abs(loss_sum(subject, batch, [edit_of(fills[site], site)]) - intact))
    assert plain < 0.05 * np.mean(exact)
    assert star > 0.3 * np.mean(exact)


# --- what is refused -------------------------------------------------------------------------


def test_what_cannot_be_attributed_is_refused_and_says_why() -> None:
    subject, text = tiny_subject("gpt_neox"), running_text()
    site = subject.sites("L1.H1")
    fills = fills_of(subject, text, site, "zero")
    with pytest.raises(CircuitError, match="running text"):
        attribute_nodes(subject, text, fills, measure="logit difference")
    with pytest.raises(CircuitError, match="gradient there is zero"):
        attribute_nodes(subject, text, fills, measure="kl")
    with pytest.raises(CircuitError, match=r"L1\.H2.*0 edits"):
        attribute_nodes(subject, text, {Site(1, "H", 2): fills[site[0]]})
    middle = subject.sites("L1.resid_mid")
    edit = Fill("x", (Edit(middle[0], lambda local: local.value * 0),), "x", 0)
    with pytest.raises(SiteError, match="side by side"):
        attribute_nodes(subject, text, {middle[0]: edit})


def test_fills_may_read_other_sites_and_leave_their_own_alone() -> None:
    subject, text = double_subject("qwen2"), running_text()
    source, site, other = subject.sites("L0.H1.z L1.H2 L2.H0")
    copy = Edit(site, lambda local: local.elsewhere(source), reads=(source,))
    idle = Edit(other, lambda local: None)
    fills = {site: Fill("copy", (copy,), "c", 0), other: Fill("idle", (idle,), "i", 0)}
    seen: list[tuple[int, int]] = []
    got = attribute_nodes(
        subject, text, fills, batch_tokens=20, progress=lambda done, of: seen.append((done, of))
    )
    expected = [
        sum(
            derivative(lambda share, b=block: loss_sum(subject, alone(b), [partly(copy, share)]))
            for block in text.eval
            if block.document == document
        )
        for document in "abc"
    ]
    assert got.values[:, 0] == pytest.approx(expected, rel=1e-5)
    assert (got.values[:, 1] == 0).all()
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]


def test_attention_on_a_tape_is_attention_without(subject: Subject) -> None:
    """And the values of heads kept with it answer as those of a running pass do."""
    from unexplained.subject.gradients import record

    batch = Batch.of(torch.tensor(PAIRS[1].tokens[None].astype(np.int64)))
    recording = record(subject.anatomy, batch)
    whole = subject.run(batch, keep=subject.sites("L*.H*.z L*.H*.k L*.H*.pattern L*.mlp"))
    torch.testing.assert_close(recording.normed.detach(), whole.normed, rtol=1e-10, atol=1e-10)
    for tape in recording.tapes:
        assert isinstance(tape.heads, HeadValues)
        for head in range(subject.shape.heads):
            site = Site(tape.layer, "H", head)
            for name, got in (
                ("z", tape.parts["z"][:, :, head]), ("k", tape.parts["k"][:, head]),
                ("pattern", tape.heads.get(head, "pattern")),
            ):  # fmt: skip
                torch.testing.assert_close(
                    got.detach(), whole.values[site.at(name)], rtol=1e-9, atol=1e-9
                )


def test_observed_and_attributed_documents_are_the_same() -> None:
    """A control variate must line up with a ledger's documents: order of first appearance."""
    subject, text = tiny_subject("llama"), running_text()
    recorded = observe(subject, text, subject.sites("L0.H0.z"), part="eval")
    assert set(recorded.documents) == {"a", "b", "c"}
    fills = fills_of(subject, text, subject.sites("L0.H0"), "zero")
    assert attribute_nodes(subject, text, fills).documents == ("a", "b", "c")
