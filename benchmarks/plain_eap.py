"""Edge attribution for Llama by plain autograd, the long way round: the check of the fast way.

A Llama forward pass written out from the published architecture, on the weights of a Hugging Face
model, in which every destination (query, key and value of every query head, every MLP, the
logits) reads a tensor of its own, the sum of all sources before it. With grouped keys each query
head has its own copy of its group's key and value. One backward pass then holds the derivative of
the metric m by every destination's input, and

    score(u -> v) = sum over positions of (u's output, corrupted - clean) . dm/d(v's input),

averaged over pairs: to first order, the change of m when that edge alone carries the corrupted
prompt. EAP takes the derivative at the clean prompt; EAP-IG averages it over the points
corrupted + k/steps (clean - corrupted) of the embeddings, k = 1 ... steps.

Sources are ordered `embed`, then per layer its heads and its MLP; destinations per layer its heads'
queries, its keys, its values, its MLP, at last the logits. Entries that are no edges are 0.

Two ways of the same arithmetic: `plain` keeps all gradients and contracts once; `scheme` is the
order of work of the EAP-IG package, from its paper's formulas: a (pair, position, source, width)
tensor of differences, and backward hooks that contract it with each destination's gradient as it
comes about, at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, silu

Metric = Callable[[Tensor], Tensor]
"""From the last position's logits (pair, vocabulary) to m, summed over pairs."""


@dataclass(frozen=True)
class Sizes:
    """Of the model."""

    layers: int
    heads: int
    groups: int
    size: int
    eps: float

    @property
    def sources(self) -> int:
        """Embedding, heads, MLPs."""
        return 1 + self.layers * (self.heads + 1)

    @property
    def destinations(self) -> int:
        """Queries, keys, values, MLPs, logits."""
        return self.layers * (3 * self.heads + 1) + 1

    def before(self, layer: int) -> int:
        """Sources before a layer."""
        return 1 + layer * (self.heads + 1)

    def edges(self) -> Tensor:
        """Which pairs of source and destination are edges, (sources, destinations) bool."""
        found = torch.zeros(self.sources, self.destinations, dtype=torch.bool)
        for layer in range(self.layers):
            first = layer * (3 * self.heads + 1)
            found[: self.before(layer), first : first + 3 * self.heads] = True
            found[: self.before(layer) + self.heads, first + 3 * self.heads] = True
        found[:, -1] = True
        return found


def sizes(model: Any) -> Sizes:
    """Of a `LlamaForCausalLM`."""
    c = model.config
    return Sizes(
        c.num_hidden_layers,
        c.num_attention_heads,
        c.num_key_value_heads,
        c.head_dim,
        c.rms_norm_eps,
    )


@dataclass(frozen=True)
class Forward:
    """One pass: the outputs of all sources and the inputs of all destinations."""

    outputs: list[Tensor]
    """Embedding (pair, position, width); per layer heads (head, pair, position, width), then MLP."""
    inputs: list[Tensor]
    """Per layer (3 heads, pair, position, width), then the MLP's (pair, position, width); the last
    is the final norm's."""
    logits: Tensor
    """Of the last position."""


def forward(
    model: Any,
    embedded: Tensor,
    watch: Callable[[int, Tensor], None] = lambda number, read: None,
    nudge: Callable[[int, Tensor], Tensor] = lambda number, read: read,
) -> Forward:
    """Run the model from its embeddings (pair, position, width).

    `watch` and `nudge` are called with every entry of `inputs` and its number, as it comes about;
    what `nudge` gives is read in its place.
    """
    s, body = sizes(model), model.model
    stream = embedded
    outputs, inputs = [embedded], []

    def reads(read: Tensor) -> Tensor:
        read = nudge(len(inputs), read)
        inputs.append(read)
        watch(len(inputs) - 1, read)
        return read

    angles = rotations(model, embedded)
    for layer in body.layers:
        read = reads(stream.expand(3 * s.heads, *stream.shape))
        heads = attention(layer, s, read, angles)
        outputs.append(heads)
        stream = stream + heads.sum(0)
        read = reads(stream.view_as(stream))
        normed = rms_norm(read, read.shape[-1:], layer.post_attention_layernorm.weight, s.eps)
        up = silu(normed @ layer.mlp.gate_proj.weight.T) * (normed @ layer.mlp.up_proj.weight.T)
        added = up @ layer.mlp.down_proj.weight.T
        outputs.append(added)
        stream = stream + added
    read = reads(stream.view_as(stream))
    last = rms_norm(read[:, -1], read.shape[-1:], body.norm.weight, s.eps)
    return Forward(outputs, inputs, last @ model.lm_head.weight.T)


def attention(layer: Any, s: Sizes, read: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """What every head adds, (head, pair, position, width), from (3 heads, ...) inputs of its own."""
    attn = layer.self_attn
    normed = rms_norm(read, read.shape[-1:], layer.input_layernorm.weight, s.eps)

    def project(part: int, weight: Tensor, copies: int) -> Tensor:
        each = weight.view(-1, s.size, weight.shape[-1]).repeat_interleave(copies, 0)
        mine = normed[part * s.heads : (part + 1) * s.heads]
        # One product a head: (pairs x positions, width) x (width, size).
        return torch.bmm(mine.flatten(1, 2), each.transpose(1, 2)).unflatten(1, mine.shape[1:3])

    group = s.heads // s.groups
    q, k = project(0, attn.q_proj.weight, 1), project(1, attn.k_proj.weight, group)
    v = project(2, attn.v_proj.weight, group)
    q, k = rotated(q, angles), rotated(k, angles)
    scores = q @ k.transpose(-1, -2) * s.size**-0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    z = scores.masked_fill(later, float("-inf")).softmax(-1) @ v
    output = attn.o_proj.weight.view(-1, s.heads, s.size).permute(1, 2, 0)
    return torch.bmm(z.flatten(1, 2), output).unflatten(1, z.shape[1:3])


def rotations(model: Any, embedded: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (position, half of a head), the model's own: they are part of it."""
    places = torch.arange(embedded.shape[1], device=embedded.device)[None]
    half = model.config.head_dim // 2
    cos, sin = model.model.rotary_emb(embedded, places)
    return cos[0, :, :half], sin[0, :, :half]


def rotated(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding: coordinate i turns with coordinate i + half."""
    (a, b), (cos, sin) = x.chunk(2, -1), angles
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def points(model: Any, clean: Tensor, corrupted: Tensor, steps: int) -> list[Tensor]:
    """Embeddings at which derivatives are taken, the clean prompt's first; `steps` 0 is EAP."""
    embed = model.get_input_embeddings()
    a, b = embed(clean).detach(), embed(corrupted).detach()
    return [a, *(b + (k / steps) * (a - b) for k in range(steps - 1, 0, -1))]


def together(outputs: list[Tensor]) -> Tensor:
    """All sources' outputs, (source, pair, position, width)."""
    return torch.cat([o if o.dim() == 4 else o[None] for o in outputs]).detach()


def outputs_of(model: Any, tokens: Tensor) -> Tensor:
    """All sources' outputs on some prompts, without a graph."""
    with torch.no_grad():
        return together(forward(model, model.get_input_embeddings()(tokens)).outputs)


def plain(model: Any, clean: Tensor, corrupted: Tensor, metric: Metric, steps: int = 0) -> Tensor:
    """Scores (sources, destinations) of all edges, averaged over pairs.

    Args:
        model: A `LlamaForCausalLM`; parameters that require no gradient cost none.
        clean: Tokens (pair, position) int64.
        corrupted: The same shape.
        metric: m.
        steps: 0 for EAP, else the steps of EAP-IG (inputs).
    """
    s = sizes(model)
    change = outputs_of(model, corrupted)
    total: list[Tensor] = []
    for number, point in enumerate(points(model, clean, corrupted, steps)):
        found = forward(model, point.requires_grad_())
        if number == 0:
            change -= together(found.outputs)
        gradients = torch.autograd.grad(metric(found.logits), found.inputs)
        total = [a + b for a, b in zip(total, gradients, strict=True)] if total else [*gradients]
    rows = torch.cat([g if g.dim() == 4 else g[None] for g in total])
    scores = change.flatten(1) @ rows.flatten(1).T
    return scores.masked_fill(~s.edges().to(scores.device), 0.0) / (max(steps, 1) * len(clean))


def scheme(model: Any, clean: Tensor, corrupted: Tensor, metric: Metric, steps: int = 0) -> Tensor:
    """The same scores in the EAP-IG package's order of work; arguments as in `plain`."""
    s = sizes(model)
    change = outputs_of(model, corrupted).permute(1, 2, 0, 3).contiguous()
    scores = change.new_zeros(s.sources, s.destinations)

    def watch(number: int, read: Tensor) -> None:
        layer, mlp = divmod(number, 2)
        before = s.before(layer) + (s.heads if mlp else 0)
        first = layer * (3 * s.heads + 1) + (3 * s.heads if mlp else 0)
        each = 3 * s.heads if read.dim() == 4 else 1

        def contract(gradient: Tensor) -> None:
            rows = gradient if gradient.dim() == 4 else gradient[None]
            found = torch.einsum("bpsw,dbpw->sd", change[:, :, :before], rows)
            scores[:before, first : first + each] += found

        read.register_hook(contract)

    for number, point in enumerate(points(model, clean, corrupted, steps)):
        found = forward(model, point.requires_grad_(), watch)
        if number == 0:  # hooks run backwards only, when all differences are known
            change -= together(found.outputs).permute(1, 2, 0, 3)
        metric(found.logits).backward()
    return scores / (max(steps, 1) * len(clean))


def exact_norms(model: Any) -> Any:
    """Hugging Face's norms round to float32 whatever the model's type; these do not."""
    for module in [*model.modules()]:
        for name, child in module.named_children():
            if type(child).__name__ == "LlamaRMSNorm":
                norm = torch.nn.RMSNorm(child.weight.shape[0], child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)
    return model


# --- the check of the check -----------------------------------------------------------------------


def check(model: Any, clean: Tensor, corrupted: Tensor, metric: Metric) -> dict[str, float]:
    """Greatest relative errors on a small float64 model, each against another route.

    `logits`: Hugging Face's own forward. `edges`: central differences of m when every edge into a
    destination carries 1e-5 of its source's change (all edges, one by one). `nodes`: a head's or
    MLP's scores added up over destinations, against autograd through Hugging Face's own forward
    (a source's derivative is the sum of its readers'). `scheme`: the other order of work.
    """
    s, embed = sizes(model), model.get_input_embeddings()
    scores = plain(model, clean, corrupted, metric)
    change = outputs_of(model, corrupted) - outputs_of(model, clean)
    with torch.no_grad():
        own = forward(model, embed(clean)).logits
        theirs = model(clean, use_cache=False).logits[:, -1]
    by_steps = [
        far(scheme(model, clean, corrupted, metric, n), plain(model, clean, corrupted, metric, n))
        for n in (0, 5)
    ]
    return {
        "logits": far(own, theirs),
        "edges": far(_by_differences(model, clean, change, metric, s), scores),
        "nodes": far(_by_nodes(model, clean, change, metric, s), scores.sum(1)),
        "scheme": max(by_steps),
    }


def far(found: Tensor, exact: Tensor) -> float:
    """Greatest difference over the greatest value."""
    return float((found - exact).abs().max() / exact.abs().max())


def _by_differences(model: Any, clean: Tensor, change: Tensor, metric: Metric, s: Sizes) -> Tensor:
    found = change.new_zeros(s.sources, s.destinations)
    embedded, small = model.get_input_embeddings()(clean).detach(), 1e-5
    for source, destination in s.edges().nonzero().tolist():
        layer, which = divmod(destination, 3 * s.heads + 1)
        place = 2 * layer + (which == 3 * s.heads)

        def moved(
            sign: int, at: int = place, row: int = which, by: Tensor = change[source]
        ) -> float:
            def nudge(number: int, read: Tensor) -> Tensor:
                if number != at:
                    return read
                read = read.clone()
                target = read[row] if read.dim() == 4 else read
                target += sign * small * by
                return read

            with torch.no_grad():
                return float(metric(forward(model, embedded, nudge=nudge).logits))

        found[source, destination] = (moved(1) - moved(-1)) / (2 * small)
    return found / len(clean)


def _by_nodes(model: Any, clean: Tensor, change: Tensor, metric: Metric, s: Sizes) -> Tensor:
    held: list[Tensor] = []

    def hold(module: object, args: object, output: Tensor) -> Tensor:
        held.append(output if output.requires_grad else output.requires_grad_())
        return held[-1]

    modules = [model.get_input_embeddings()]
    for layer in model.model.layers:
        modules += [layer.self_attn.o_proj, layer.mlp]
    handles = [module.register_forward_hook(hold) for module in modules]
    gradients = torch.autograd.grad(metric(model(clean, use_cache=False).logits[:, -1]), held)
    for handle in handles:
        handle.remove()
    rows = [gradients[0]]
    for attn, mlp in zip(gradients[1::2], gradients[2::2], strict=True):
        rows += [attn] * s.heads + [mlp]
    return (change * torch.stack(rows)).sum((1, 2, 3)) / len(clean)


def main() -> None:
    """Check on a small random Llama with grouped keys."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        intermediate_size=24,
        num_hidden_layers=3,
        vocab_size=20,
    )
    model = exact_norms(LlamaForCausalLM(config).double().eval()).requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    clean, corrupted = torch.randint(20, (2, 2, 6))
    found = check(model, clean, corrupted, lambda logits: (logits[:, 1] - logits[:, 2]).sum())
    print({"edges in all": int(sizes(model).edges().sum())} | found)
    if max(found.values()) > 1e-8:
        raise SystemExit("plain_eap is wrong")


if __name__ == "__main__":
    main()
