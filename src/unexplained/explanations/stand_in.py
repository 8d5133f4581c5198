"""What can stand in a component's place: an explanation, a projection, whatever comes next.

An ablation claims nothing. A stand-in is what is *claimed*: it says in a sentence what, declares what
it reads of the model, is fitted on the fit part alone, and gives frozen edits with a description
length. Instruments ask for no more than is here, so that a new kind of stand-in is one file in
`library/`, which is found by itself and comes under the law tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from unexplained.donors import Donors
from unexplained.errors import ExplanationError, Why
from unexplained.evaluate import Activations
from unexplained.record import Description, Method
from unexplained.registry import Registry
from unexplained.schemes import home_of_name
from unexplained.sites import Shape, Site

if TYPE_CHECKING:
    from unexplained.explanations.fit import Fitted


@runtime_checkable
class StandIn(Protocol):
    """Whatever can stand in a component's place."""

    @property
    def name(self) -> str:
        """What its condition is called."""

    @property
    def says(self) -> str:
        """The claim, in a sentence."""

    @property
    def method(self) -> Method:
        """Of which kind it is."""

    @property
    def gives(self) -> str:
        """Which value of the component it gives."""

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads of the model and the text: names of values, or addresses of sites."""

    @property
    def leaves(self) -> tuple[str, ...]:
        """What it leaves to the model, and so does not explain."""

    @property
    def is_fitted(self) -> bool:
        """Whether more is fitted than the mean that stands where nothing is said."""

    @property
    def shuffled(self) -> bool:
        """Whether it is computed on another document, as a control is."""

    @property
    def intermediates(self) -> Sequence[tuple[str, StandIn]]:
        """What it claims of sites on the way, by address; mostly nothing."""

    @property
    def last(self) -> StandIn | None:
        """Where there are any, what it makes of what the model itself holds there."""

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """Why it cannot stand at a component, and what to do; None if it can."""

    def observes(self, sites: Sequence[Site], shape: Shape) -> list[Site]:
        """What has to be recorded on the fit part to fit it at some components."""

    def fit(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Fitted:
        """Fit what is left to be fitted on the intact model's activations.

        Raises:
            ExplanationError: It cannot be, or what it says cannot stand in.
        """

    def described(self, parameters: int, sites: Sequence[Site], shape: Shape) -> Description:
        """How long it is with so many fitted numbers: those are counted, never written out."""

    def on_shuffled(self, *, moved: bool = False, donors: Donors | None = None) -> StandIn:
        """The control: the same computed on another document, and put at other positions."""

    def with_map(self) -> StandIn | None:
        """The same with a map fitted on top, whose capacity a control prices; None if it has none."""

    def with_zeros(self) -> StandIn | None:
        """The same with zero in the place of what it leaves at the mean; None if that is no part of its value."""

    def ends(self) -> tuple[StandIn, StandIn]:
        """Everything and nothing, said of the kind of value that it gives.

        The first must give the intact model's loss, the second that of mean ablation, exactly.
        """

    def control(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Control:
        """The control that can tell whether it is right about the document at hand."""


@dataclass(frozen=True)
class Control:
    """The control of a claim, and why it is that."""

    explanation: StandIn | None
    """None: no control of this kind can tell."""
    depends: str
    """On what the claim depends, in words."""
    kept: float
    """Of what the claim says, how much the control leaves as it was."""


StandInMaker = Callable[[str], StandIn]
"""Makes a stand-in from what was written behind its name; nothing was where that is empty."""

STAND_INS: Registry[StandInMaker] = Registry(
    "stand-in", "unexplained.explanations.library", ExplanationError
)
"""Stand-ins that are no rule of a view; those are in `LIBRARY`, in the same folder."""


def find_stand_in(name: str) -> StandIn | None:
    """A stand-in by name and what it takes (`projection:8`); None if no stand-in has that name.

    The truth of a testbed goes by the testbed's name (`testbed:periodic`).

    Raises:
        ExplanationError: What is written behind the name does not suit it.
    """
    if (known := home_of_name(name)) is not None:
        home, rest = known
        truth: StandIn = home.truth_of(rest)
        return truth
    kind, _, about = name.partition(":")
    makers = STAND_INS.all()
    return makers[kind](about.strip()) if kind in makers else None
