"""What a rung is: its sizes, its data, its schedule, and what training it costs."""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT = 128
"""Positions in a training row."""

VOCABULARY = 2048


@dataclass(frozen=True)
class Recipe:
    """A causal language model and its whole training run.

    The same recipe gives the same weights on one machine with the same number of threads.
    """

    name: str
    width: int
    layers: int
    heads: int
    steps: int
    rows: int
    """Rows of `CONTEXT` tokens in a step."""
    rate: float
    """Learning rate between warm-up and decay."""
    seed: int = 0
    mlp: bool = True
    """Without it the checkpoint is a Llama whose MLPs are zero."""
    tied: bool = True
    """Whether the unembedding is the embedding."""
    attention_bias: bool = False
    """Queries, keys and values get constants, so that a key of position alone is easy."""
    rotary_base: float = 10_000.0
    head_width: int = 0
    """Width of a head; 0 for the model's width divided by the heads."""
    weight_decay: float = 0.1
    repeats: float = 0.0
    """Share of the rows of a step in which random segments repeat: enriched data."""
    context: int = CONTEXT
    vocabulary: int = VOCABULARY
    decay: float = 0.3
    """Share of the steps, at the end, over which the rate falls linearly to zero."""
    warm_up: int = 60
    """Steps over which the rate rises. The same in a shorter run of the same rung, which is
    therefore the longer one up to its own decay: an annealed checkpoint."""
    intervention: str = ""
    """What is changed of attention while it is trained (`ladder.interventions`); "" for nothing."""

    @property
    def inner(self) -> int:
        """Width of all heads together."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def hidden(self) -> int:
        """Neurons of an MLP (gated, so 8/3 of the width, in multiples of 16)."""
        return -(-8 * self.width // (3 * 16)) * 16 if self.mlp else 8

    @property
    def matrices(self) -> int:
        """Weights that every token is multiplied with, the unembedding included."""
        mlp = 3 * self.width * self.hidden if self.mlp else 0
        attention = 4 * self.width * self.inner
        return self.layers * (attention + mlp) + self.vocabulary * self.width

    @property
    def tokens(self) -> int:
        """Tokens predicted in the whole run: all but the first of every row."""
        return self.steps * self.rows * (self.context - 1)

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs: six for each weight in a matrix, two forwards and four backwards.

        Besides, the same of attention's products, of which a causal mask needs half: 6·L·T·d.
        """
        return 6 * self.matrices + 6 * self.layers * self.context * self.inner

    @property
    def compute(self) -> float:
        """FLOPs of the training run, counted and not measured."""
        return float(self.flops_per_token * self.tokens)

    def rate_at(self, step: int) -> float:
        """Linear warm-up, constant, linear decay to zero.

        >>> Recipe("x", 32, 2, 2, 1000, 16, 1.0).rate_at(500)
        1.0
        """
        start = self.decay_start
        up = min(1.0, (step + 1) / self.warm_up)
        down = 1.0 if step < start else (self.steps - step) / (self.steps - start + 1)
        return self.rate * min(up, down)

    @property
    def decay_start(self) -> int:
        """The step at which the decay begins."""
        return self.steps - round(self.decay * self.steps)
