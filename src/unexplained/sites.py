"""Addresses inside a model: `L5.H3`, `L5.H3.pattern`, `L5.mlp`, `L5.N120`, `embed`, `final`.

| address | what stands there | shape |
|---|---|---|
| `L5.H3` | the head as a whole; edits land on its `z` | batch, position, head size |
| `L5.H3.q` `.k` `.v` | query, key, value as this query head sees them, after rotary embedding | batch, position, head size |
| `L5.H3.q_pre` `.k_pre` | query and key before rotary embedding; the same as `.q` `.k` in models without it | batch, position, head size |
| `L5.H3.pattern` | attention from position (row) to position (column) | batch, position, position |
| `L5.H3.z` | attention-weighted values, before the output matrix | batch, position, head size |
| `L5.H3.out` | what the head adds to the attention output, z W_O | batch, position, width |
| `L5.attn` `L5.mlp` | what the block adds to the residual stream | batch, position, width |
| `L5.N120` | a neuron: one input of the MLP's last linear layer | batch, position |
| `L5.resid_pre` `resid_mid` `resid_post` | the residual stream | batch, position, width |
| `embed` `final` | the stream before the first layer; the final norm's output | batch, position, width |

With grouped keys an edit of `L5.H3.k` changes the key for query head 3 alone, not for the heads
that share it: "the key head" and "the key of a query head" are different interventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from unexplained.errors import SiteError, near_matches

HEAD_VALUES = ("q_pre", "k_pre", "q", "k", "v", "pattern", "z", "out")
LAYER_PARTS = ("attn", "mlp", "resid_pre", "resid_mid", "resid_post")
MODEL_PARTS = ("embed", "final")
ADDS = ("H", "N", "attn", "mlp")
"""Components that add to the stream, and so have a direct effect."""

_ITEM = re.compile(
    r"L(?P<layer>\*|\d+(?:-\d+)?)\.(?:(?P<unit>[HN])(?P<index>\*|\d+(?:-\d+)?)(?:\.(?P<value>\w+))?"
    r"|(?P<part>[a-z_]+))"
)


@dataclass(frozen=True)
class Parameters:
    """How many parameters compute what: biases count, norms and gains do not."""

    query: int
    """From the stream to one head's queries."""
    key: int
    value: int
    output: int
    """From one head's z to the stream."""
    neuron: int
    """From the stream to one neuron."""
    attention: int
    """A layer's whole attention."""
    mlp: int
    embedding: int
    """Of tokens and of positions."""
    bits: int = 32
    """Of one parameter, in the type that the model is in."""


@dataclass(frozen=True)
class Shape:
    """The sizes that decide which sites a model has."""

    layers: int
    heads: int
    key_heads: int
    head_size: int
    width: int
    neurons: int
    vocabulary: int
    expert_neurons: int = 0
    """Of a mixture of experts, how many neurons a token passes through; they have no addresses."""
    positions: int | None = None
    """The most tokens that a pass may have, where that is limited (`architectures.positions`)."""
    parameters: Parameters | None = field(default=None, compare=False, repr=False)
    """What its parts take; sizes alone do not say."""


@dataclass(frozen=True, order=True)
class Site:
    """One address. Hashable and ordered by layer; `str(site)` parses back to the same site, but of a direction."""

    layer: int
    """Layer index; -1 for `embed`, so that it sorts first."""
    part: str
    """`H`, `N`, `D` (a direction of a value), or the name of a whole part of the layer or the model."""
    index: int = -1
    """Head, neuron or direction index; -1 where the part has none."""
    value: str = ""
    """Which of a head's values (`HEAD_VALUES`); empty for the head as a whole. Of a direction its digest."""
    along: Along | None = field(default=None, compare=False, repr=False)
    """Of a direction: whose value's, and which. The digest in `value` tells two apart."""

    def __str__(self) -> str:
        if self.along is not None:
            return f"{self.along.site}.d{self.index + 1}#{self.value}"
        if self.part in MODEL_PARTS:
            return self.part
        if self.part in ("H", "N"):
            return f"L{self.layer}.{self.part}{self.index}" + (f".{self.value}" * bool(self.value))
        return f"L{self.layer}.{self.part}"

    @property
    def home(self) -> Site:
        """Where the value stands of which this is a part: of a direction that value's site, else itself."""
        return self if self.along is None else self.along.site

    @property
    def is_number(self) -> bool:
        """Whether one number stands there at every position: of a neuron, or along a direction."""
        return self.part in ("N", "D")

    @property
    def component(self) -> Site:
        """The head that a head value belongs to; any other site itself."""
        return Site(self.layer, self.part, self.index) if self.part == "H" else self

    @property
    def axes(self) -> str:
        """The axes of what stands there, in words: those of the table above."""
        last = {"pattern": ", position looked at"}.get(self.value or self.part, ", entry")
        last = "" if self.is_number else last
        return f"document of the batch, position{last}"

    def at(self, value: str) -> Site:
        """The site of one of this head's values."""
        if self.part != "H" or value not in HEAD_VALUES:
            raise SiteError(
                f"The value '{value}' of {self}",
                "only heads have values, and they are " + ", ".join(HEAD_VALUES),
            )
        return Site(self.layer, "H", self.index, value)


@dataclass(frozen=True)
class Along:
    """A direction of a value: what the value has along it is one number, as a neuron is along its own."""

    site: Site
    """Whose value."""
    numbers: tuple[float, ...]
    """Of length 1, an entry of the value each."""


def direction(site: Site, numbers: Sequence[float], index: int, mark: str) -> Site:
    """The address of what a value has along a direction; nobody writes it, so it does not parse.

    Args:
        site: The value's own, of a head one of its values.
        numbers: The direction, of length 1.
        index: Its number among others of that value.
        mark: A digest of the numbers, which keeps it apart from other directions of that number.
    """
    return Site(site.layer, "D", index, mark, Along(site, tuple(numbers)))


FINAL_LAYER = 1 << 30
"""The layer number of `final`, so that it sorts after every layer."""


def parse(text: str, shape: Shape) -> tuple[Site, ...]:
    """Expand addresses into sites, in order, each once.

    Args:
        text: Addresses separated by white space or commas; `*` and `a-b` stand for ranges.
        shape: The sizes of the model that is addressed.

    Raises:
        SiteError: An address that does not parse or lies outside the model.

    >>> small = Shape(layers=2, heads=2, key_heads=1, head_size=4, width=8, neurons=3, vocabulary=5)
    >>> [str(site) for site in parse("L1.H*.z, L0-1.mlp", small)]
    ['L1.H0.z', 'L1.H1.z', 'L0.mlp', 'L1.mlp']
    """
    items = [item for item in re.split(r"[\s,]+", text.strip()) if item]
    if not items:
        raise SiteError("A list of sites", "it is empty", "Write for example L5.H3 or L*.mlp.")
    return tuple(dict.fromkeys(site for item in items for site in _expand(item, shape)))


def _expand(item: str, shape: Shape) -> Iterator[Site]:
    if item in MODEL_PARTS:
        yield Site(-1 if item == "embed" else FINAL_LAYER, item)
        return
    match = _ITEM.fullmatch(item)
    if match is None:
        raise SiteError(f"The site '{item}'", "it does not parse", _hint(item))
    for layer in _range(item, match["layer"], shape.layers, "layers"):
        if match["part"] is not None:
            if match["part"] not in LAYER_PARTS:
                raise SiteError(
                    f"The site '{item}'",
                    f"a layer has no part '{match['part']}'",
                    near_matches(match["part"], [*LAYER_PARTS, "H0", "N0"]),
                )
            yield Site(layer, match["part"])
            continue
        unit, value = match["unit"], match["value"] or ""
        if value and (unit != "H" or value not in HEAD_VALUES):
            raise SiteError(
                f"The site '{item}'",
                f"'{value}' is not a value of a head",
                near_matches(value, HEAD_VALUES),
            )
        count, what = (shape.heads, "heads") if unit == "H" else (shape.neurons, "neurons")
        if not count:
            raise SiteError(
                f"The site '{item}'",
                "this model's MLPs are mixtures of experts: which neurons a token has is up to a "
                "router, so none has an address",
                f"Use the MLP as a whole: L{match['layer']}.mlp.",
            )
        for index in _range(item, match["index"], count, what):
            yield Site(layer, unit, index, value)


def _range(item: str, text: str, count: int, what: str) -> range:
    if text == "*":
        return range(count)
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if high >= count or low > high:
        raise SiteError(
            f"The site '{item}'",
            f"the model has {count} {what}, numbered 0 to {count - 1}",
            f"'{text}' is outside; the nearest is {min(max(high, 0), count - 1)}."
            if high >= count
            else f"The range '{text}' runs backwards.",
        )
    return range(low, high + 1)


def _hint(item: str) -> str:
    known = [*MODEL_PARTS, *(f"L0.{part}" for part in LAYER_PARTS), "L5.H3", "L5.H3.pattern"]
    fixed = re.sub(r"^l(?=[\d*])", "L", item)
    fixed = re.sub(r"\.?h(?=[\d*])", ".H", re.sub(r"\.?n(?=[\d*])", ".N", fixed))
    fixed = re.sub(r"(?<=[\d*])(?=[HN][\d*])", ".", fixed)
    if fixed != item and (_ITEM.fullmatch(fixed) or fixed in MODEL_PARTS):
        return f"Did you mean {fixed}?"
    return near_matches(item, known)
