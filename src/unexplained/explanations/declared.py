"""`@explanation`: how one is declared, and what of a declaration is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from torch import Tensor

from unexplained.errors import ExplanationError, near_matches
from unexplained.explanations.given import INEXACT as INEXACT
from unexplained.explanations.given import TOLERANCE as TOLERANCE
from unexplained.explanations.intermediates import (
    composed,
    read_by_all,
    require_intermediates,
)
from unexplained.explanations.view import View as View
from unexplained.explanations.view import elsewhere as elsewhere
from unexplained.explanations.view import is_address
from unexplained.record import Method
from unexplained.sites import HEAD_VALUES

if TYPE_CHECKING:
    pass

from unexplained.explanations.protocol import Explanation, Rest

_OF_A_HEAD = f"of a head {', '.join(HEAD_VALUES)}; of any other component value"

_CHOICE = {
    "gives": f"An explanation gives {_OF_A_HEAD}; of the whole model logits.",
    "reads": f"It may read tokens; the component's own values, {_OF_A_HEAD}; or an address of an "
    "earlier site, such as L3.resid_post.",
}
"""What may be declared, in the `do` part of an error."""


def explanation(
    *,
    gives: str,
    reads: Sequence[str],
    rest: Rest = "mean",
    method: Method = "mech",
    name: str | None = None,
    intermediates: Mapping[str, Explanation] | None = None,
) -> Callable[[Callable[[View], Tensor]], Explanation]:
    """Make an explanation of a function of a view. Its docstring is the claim in English.

    Args:
        gives: The value that it gives: a head's `pattern`, `z`, `out`, `q`, `k`, `v`, or `value`
            for a component with one value (`L5.mlp`, `L5.N120`); or `logits`, (batch, position,
            vocabulary), for the token after each position: a program in the whole model's place
            (`explanations.program`), which reads tokens alone.
        reads: What it reads: `tokens`, values of its own component (`pattern`, `q`, …), or
            addresses of earlier sites (`L3.resid_post`). An explanation that leans on the model's
            own values is a weaker one, and the report says so.
        rest: For a pattern whose rows sum to less than 1, where the rest goes.
        method: `mech`, `high-level`, `internals` or `black-box`.
        name: Instead of the function's name with spaces.
        intermediates: What it says the model holds on the way: explanations by the address of what
            they give (`L0.H0.out`), in the order of the pass. `view.site(address)` then gives what
            is claimed there, and `shortfall` holds each against the model.

    Raises:
        ExplanationError: An unknown value, a function without a docstring, logits from anything but
            tokens, or an intermediate that cannot stand at its address.
    """
    for label, values, known in (
        ("gives", [gives], [*HEAD_VALUES, "value", "logits"]),
        ("reads", [r for r in reads if not is_address(r)], [*HEAD_VALUES, "value", "tokens"]),
        ("rest", [rest], get_args(Rest)),
        ("method", [method], get_args(Method)),
    ):
        for value in values:
            if value not in known:
                do = f"{near_matches(value, known)} {_CHOICE.get(label, '')}".strip()
                raise ExplanationError(f"{label}='{value}'", "there is no such value", do)
    if gives == "logits" and (tuple(reads) != ("tokens",) or intermediates):
        raise ExplanationError(
            f"An explanation that gives logits and reads {', '.join((*reads, *(intermediates or ()))) or 'nothing'}",
            "a program stands in the whole model's place only if it reads tokens and no more",
            'Declare reads=["tokens"], or explain a component: give its pattern, z or value.',
        )

    def make(function: Callable[[View], Tensor]) -> Explanation:
        named: Any = getattr(function, "func", function)  # of a partial
        title = name or getattr(named, "__name__", type(named).__name__).replace("_", " ")
        says = " ".join((named.__doc__ or "").split())
        if not says:
            raise ExplanationError(
                f"The explanation '{title}'",
                "its function has no docstring",
                "Say the claim in English there: the report prints it.",
            )
        made = Explanation(title, says, function, gives, tuple(reads), rest, method, title)
        if not intermediates:
            return made
        require_intermediates(title, intermediates)
        claimed = tuple(intermediates.items())
        return replace(
            made,
            function=composed(function, made.reads, gives, claimed),
            reads=read_by_all(made.reads, claimed),
            intermediates=claimed,
            last=replace(made, reads=tuple(dict.fromkeys((*made.reads, *intermediates)))),
        )

    return make
