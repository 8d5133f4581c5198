"""A model taken apart: its modules by role, and the little linear algebra that roles share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unexplained.errors import SubjectError
from unexplained.sites import Parameters, Shape
from unexplained.subject.architectures import Architecture, architecture_of, positions

ProjectionName = Literal["q", "k", "v"]


@dataclass(frozen=True)
class Anatomy:
    """Modules of a causal language model by role, the same names for every architecture."""

    model: nn.Module
    architecture: Architecture

    @classmethod
    def of(cls, model: nn.Module) -> Anatomy:
        """Find the roles in a model (SubjectError where its architecture is not known)."""
        return cls(model, architecture_of(model))

    @cached_property
    def body(self) -> nn.Module:
        """The stack without the unembedding."""
        return self.model.get_submodule(self.architecture.body)

    @cached_property
    def layers(self) -> list[nn.Module]:
        """The decoder layers in order."""
        return list(self.model.get_submodule(self.architecture.layers).children())

    @cached_property
    def final_norm(self) -> nn.Module:
        """The norm before the unembedding."""
        return self.model.get_submodule(self.architecture.final_norm)

    @cached_property
    def unembed(self) -> nn.Module:
        """The unembedding: a linear layer from width to vocabulary."""
        module = self.model.get_output_embeddings()  # type: ignore[operator]
        assert isinstance(module, nn.Module)
        return module

    def device(self, layer: int) -> torch.device:
        """Where a layer's weights are; before the first layer its device, after the last the norm's."""
        return self._devices[min(max(layer, 0), len(self.layers))]

    @cached_property
    def _devices(self) -> list[torch.device]:
        return [next(module.parameters()).device for module in (*self.layers, self.final_norm)]

    @cached_property
    def parallel(self) -> bool:
        """Whether attention and MLP read the same stream."""
        return self.architecture.parallel(self.model.config)

    @cached_property
    def residual_scale(self) -> float:
        """What the outputs of attention and MLP are multiplied by on their way to the stream."""
        return self.architecture.residual_scale(self.model.config)

    @cached_property
    def shape(self) -> Shape:
        """Sizes, read off the weights where the configuration has many names for them."""
        config: Any = self.model.config
        heads = int(config.num_attention_heads)
        width = int(config.hidden_size)
        return Shape(
            layers=len(self.layers),
            heads=heads,
            key_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_size=self._inputs(self.head_output(0)) // heads,
            width=width,
            neurons=self._inputs(self.neuron_output(0)) if self.architecture.neuron_output else 0,
            expert_neurons=self.architecture.expert_neurons(config),
            vocabulary=int(self._weight(self.unembed).shape[0]),
            positions=positions(self.architecture, config),
            parameters=self._parameters(heads, width),
        )

    def _parameters(self, heads: int, width: int) -> Parameters:
        """What the parts of the first layer take, biases included."""
        size = self._inputs(self.head_output(0)) // heads

        def projected(name: ProjectionName) -> int:
            return size * (width + (getattr(self.projection(0, name), "bias", None) is not None))

        def numbers(module: nn.Module) -> int:
            return sum(p.numel() for name, p in module.named_parameters() if "norm" not in name)

        layer = self.layers[0]
        attention = numbers(layer.get_submodule(self.architecture.attention))
        mlp = sum(numbers(layer.get_submodule(path)) for path in self.architecture.mlp)
        neuron = 0
        if self.architecture.neuron_output:
            last = self.neuron_output(0)
            neuron = (mlp - numbers(last)) // self._inputs(last)
        others = {id(p) for part in (*self.layers, self.final_norm) for p in part.parameters()}
        return Parameters(
            query=projected("q"), key=projected("k"), value=projected("v"), output=size * width,
            neuron=neuron, attention=attention, mlp=mlp,
            embedding=sum(p.numel() for p in self.body.parameters() if id(p) not in others),
            bits=8 * next(self.model.parameters()).element_size(),
        )  # fmt: skip

    def require_positions(self, count: int) -> None:
        """Refuse a pass of more tokens than the model has positions for.

        Raises:
            SubjectError: It has fewer.
        """
        most = self.shape.positions
        if most is not None and count > most:
            raise SubjectError(
                f"A pass of {count} tokens",
                f"this model ({type(self.model).__name__}) computes up to {most}: beyond, it has no "
                "positions, or its rotary embeddings depend on the length of the prompt",
                f"Use blocks or prompts of at most {most} tokens (--block {most}).",
            )

    def require_tokens(self, tokens: Tensor) -> None:
        """Refuse tokens that the model has no embedding for.

        Raises:
            SubjectError: There are such.
        """
        rows = self.shape.vocabulary
        if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) >= rows):
            strange = tokens[(tokens < 0) | (tokens >= rows)]
            raise SubjectError(
                f"The token {int(strange[0])}",
                f"the model embeds {rows:,} tokens, numbered 0 to {rows - 1:,}",
                "Is the text cut by this model's tokenizer, without tokens added to it since?",
            )

    def head_output(self, layer: int) -> nn.Module:
        """The linear layer from all heads' z to the attention output."""
        return self.layers[layer].get_submodule(self.architecture.head_output)

    def attention_norm(self, layer: int) -> nn.Module:
        """The norm through which attention reads the stream; there must be one."""
        assert self.architecture.attention_norm
        return self.layers[layer].get_submodule(self.architecture.attention_norm)

    def mlp_norm(self, layer: int) -> nn.Module:
        """The norm through which the MLP reads the stream; there must be one."""
        assert self.architecture.mlp_norm
        return self.layers[layer].get_submodule(self.architecture.mlp_norm)

    def norms(self, layer: int) -> dict[str, nn.Module]:
        """Every norm of a layer by its path there; after the last layer the final one."""
        if layer == len(self.layers):
            return {self.architecture.final_norm: self.final_norm}
        architecture = self.architecture
        paths = (
            architecture.attention_norm,
            *architecture.head_norms,
            architecture.attention_post_norm,
        )
        paths += (architecture.mlp_norm, architecture.mlp_post_norm)
        return {path: self.layers[layer].get_submodule(path) for path in paths if path}

    def mlp_reader(self, layer: int) -> nn.Module:
        """The module whose input is the stream as the MLP finds it."""
        return self.layers[layer].get_submodule(
            self.architecture.mlp_norm or self.architecture.mlp[0]
        )

    def projection(self, layer: int, name: ProjectionName) -> nn.Module:
        """The linear layer from the normed stream to `q`, `k` or `v`; the same three times if fused."""
        path = self.architecture.projections["qkv".index(name)]
        return self.layers[layer].get_submodule(path)

    def neuron_output(self, layer: int) -> nn.Module:
        """The linear layer from the neurons to the MLP output."""
        return self.layers[layer].get_submodule(self.architecture.neuron_output)

    def attention_end(self, layer: int) -> nn.Module:
        """The module whose output, times `residual_scale`, is what attention adds to the stream."""
        path = self.architecture.attention_post_norm or self.architecture.attention
        return self.layers[layer].get_submodule(path)

    def mlp_end(self, layer: int) -> nn.Module:
        """The module whose output, times `residual_scale`, is what the MLP adds to the stream."""
        return self.layers[layer].get_submodule(
            self.architecture.mlp_post_norm or self.architecture.mlp[-1]
        )

    def head_weight(self, layer: int, head: int) -> Tensor:
        """W_O of one head, (head size, width): `out = z @ head_weight`."""
        size = self.shape.head_size
        weight = self._weight(self.head_output(layer))
        rows = slice(head * size, (head + 1) * size)
        return self._scaled(weight[rows] if self.architecture.transposed else weight[:, rows].T)

    def head_weights(self, layer: int) -> Tensor:
        """W_O of every head, (head, head size, width)."""
        weight = self._weight(self.head_output(layer))
        rows = self._scaled(weight if self.architecture.transposed else weight.T)
        return rows.reshape(self.shape.heads, self.shape.head_size, -1)

    def projection_weight(self, layer: int, name: ProjectionName) -> Tensor:
        """W_Q, W_K or W_V by head, (head or key head, head size, width): `q = weight @ normed`."""
        weight = self._weight(self.projection(layer, name))
        return self.projected(name, weight if self.architecture.transposed else weight.T).movedim(
            0, -1
        )

    def projected(self, name: ProjectionName, output: Tensor) -> Tensor:
        """The part for `q`, `k` or `v` of what `projection` put out: (…, outputs) -> (…, head, size)."""
        shape, which = self.shape, "qkv".index(name)
        heads = shape.heads if name == "q" else shape.key_heads
        if self.architecture.fused == "by head":
            return output.reshape(*output.shape[:-1], heads, 3, shape.head_size)[..., which, :]
        if self.architecture.fused == "side by side":
            start = (0, shape.heads, shape.heads + shape.key_heads)[which] * shape.head_size
            output = output[..., start : start + heads * shape.head_size]
        return output.reshape(*output.shape[:-1], heads, shape.head_size)

    def neuron_weight(self, layer: int, neuron: int) -> Tensor:
        """What one unit of a neuron adds to the MLP output, (width,)."""
        weight = self._weight(self.neuron_output(layer))
        return self._scaled(weight[neuron] if self.architecture.transposed else weight[:, neuron])

    def logits(self, normed: Tensor, columns: slice = slice(None)) -> Tensor:
        """Unembed normed stream values (…, width) -> (…, vocabulary), or some of its columns."""
        bias, weight = self.unembed.bias, self._weight(self.unembed)
        assert bias is None or isinstance(bias, Tensor)
        logits = nn.functional.linear(
            normed.to(weight.device), weight[columns], None if bias is None else bias[columns]
        )
        return self._finished(logits).to(normed.device)

    def logits_of(self, normed: Tensor, ids: Tensor) -> Tensor:
        """Unembed every row (n, width) into columns of its own, (n, k) ids -> (n, k) logits."""
        bias, weight = self.unembed.bias, self._weight(self.unembed)
        assert bias is None or isinstance(bias, Tensor)
        there = ids.to(weight.device)
        logits = torch.einsum("nw,nkw->nk", normed.to(weight.device), weight[there])
        return self._finished(logits if bias is None else logits + bias[there]).to(normed.device)

    def _finished(self, logits: Tensor) -> Tensor:
        """What the model does to what its unembedding gives."""
        divisor = self.architecture.logits_divisor(self.model.config)
        if divisor != 1:
            logits = logits / divisor
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        if cap is None:
            return logits
        capped: Tensor = torch.tanh(logits / cap) * cap
        return capped

    def frozen_norm(self, stream: Tensor, added: Tensor) -> Tensor:
        """The final norm of `stream + added` with the scale that `stream` alone has.

        With its scale frozen the norm is affine, so a component's direct effect on the logits
        adds up over components. It is not what the model computes.
        """
        where = self.device(len(self.layers))
        back, stream, added = stream.device, stream.to(where), added.to(where)
        _, scale, gain = self.norm_frame(self.final_norm, stream)
        if self.architecture.norm == "layer":
            added = added - added.mean(-1, keepdim=True)
        normed: Tensor = self.final_norm(stream)
        moved: Tensor = normed + added * scale * gain
        return moved.to(back)

    def norm_frame(self, norm: nn.Module, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What one of the model's norms does to a stream (…, width): `centred * scale * gain`, and a bias.

        The stream without its mean (as it is, for norms that leave the mean), the factor per
        position (…, 1), and the gain (width,).
        """
        module: Any = norm
        gain, scale = module.weight.detach(), self.norm_scale(norm, stream)
        if self.architecture.norm == "layer":
            return stream - stream.mean(-1, keepdim=True), scale, gain
        return stream, scale, gain + 1 if self.architecture.norm == "rms, 1 + gain" else gain

    def norm_scale(self, norm: nn.Module, stream: Tensor) -> Tensor:
        """What one of the model's norms multiplies a stream (…, width) by, (…, 1), its gain apart."""
        module: Any = norm
        if self.architecture.norm == "layer":
            return torch.rsqrt(stream.var(-1, correction=0, keepdim=True) + module.eps)
        eps = getattr(module, "variance_epsilon", None) or module.eps
        return torch.rsqrt(stream.pow(2).mean(-1, keepdim=True) + eps)

    def require_one_device(self, what: str) -> None:
        """Refuse what is not yet done on a model that is spread over devices.

        Raises:
            SubjectError: It is.
        """
        found = list(dict.fromkeys(map(str, self._devices)))
        if len(found) > 1:
            raise SubjectError(
                f"{what} of a model on {', '.join(found)}",
                "this is only done on one device so far",
                "Load it without a device_map, or use workers with one device each.",
            )

    def _scaled(self, weight: Tensor) -> Tensor:
        """A weight whose outputs go to the stream, as it is there."""
        return weight if self.residual_scale == 1 else weight * self.residual_scale

    def _inputs(self, linear: nn.Module) -> int:
        return int(self._weight(linear).shape[0 if self.architecture.transposed else 1])

    @staticmethod
    def _weight(linear: nn.Module) -> Tensor:
        weight = linear.weight
        assert isinstance(weight, Tensor)
        return weight.detach()
