"""What an explanation is: a function of a declared view that gives a value of a component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from unexplained.donors import Donors
from unexplained.donors.another import Another
from unexplained.errors import ExplanationError, Why
from unexplained.evaluate.conditions import tensor_digest
from unexplained.explanations.causal import Mixed, Replay
from unexplained.explanations.description import Source, source_of
from unexplained.explanations.given import INEXACT, file_of, raised, require_pattern, unusable
from unexplained.explanations.intermediates import (
    Intermediates,
)
from unexplained.explanations.view import View, elsewhere, mixed_local
from unexplained.explanations.walk import carried
from unexplained.hashing import digest
from unexplained.record import Description, Method
from unexplained.sites import HEAD_VALUES, Shape, Site, parse
from unexplained.subject import Local, Subject

if TYPE_CHECKING:
    from unexplained.evaluate import Activations
    from unexplained.explanations.fit import Fitted
    from unexplained.explanations.stand_in import Control

Rest = Literal["mean", "first"]
"""Where attention goes that a pattern does not place: on the head's mean output (as mean ablation
does, so that a pattern of zeros *is* mean ablation), or on the first position."""


_ASKED_WITH = (
    "It is called with a view of every batch, whose documents and positions are any number of each, "
    "padding and tokens that this text never had among them."
)
"""What a function of an explanation has to bear."""


@dataclass(frozen=True)
class Explanation:
    """A claim about a component, as code. Made with `@explanation`."""

    name: str
    says: str
    """The claim in English: the function's docstring."""
    function: Callable[[View], Tensor]
    gives: str
    """Which value of the component it gives: `pattern`, `z`, `out`, `q`, `k`, `v` or `value`; or,
    of the model as a whole, `logits`."""
    reads: tuple[str, ...]
    rest: Rest
    method: Method
    written: str
    """The name that its author gave it; `name` goes on to say which variant it is."""
    readout: Literal["none", "gate", "affine", "calibrated", "nothing"] = "none"
    """What is fitted on top, on the fit part: in closed form, or, of a program, two numbers."""
    shuffled: bool = False
    """Computed on another document: the control."""
    moved: bool = False
    """And put at other positions: the control of a rule that reads positions."""
    donors: Donors = field(default_factory=Another)
    """Which other document, where it is computed on one."""
    intermediates: Intermediates = ()
    """What it says the model holds on the way, by address; see `explanations.intermediates`."""
    last: Explanation | None = None
    """Where there are any, its last step alone: it goes on from what the model holds there."""
    asked: set[str] = field(default_factory=set, compare=False, repr=False)
    """What it has been asked and did not look ahead in, which its variants share. Forgotten whenever
    it is fitted or measured, since what it holds may have changed."""

    @property
    def source(self) -> Source:
        """Its code with all that it names or holds, as that is now."""
        return source_of(self.function)

    @cached_property
    def _may_change(self) -> bool:
        """Whether it holds anything that it could write to: most rules are code alone."""
        return carried(self.function, quick=True).changeable

    @property
    def called(self) -> str:
        """How errors name it: as its author did, and which of its variants it is."""
        kind = "program" if self.gives == "logits" else "explanation"
        variant = "" if self.name == self.written else f" in its variant '{self.name}'"
        return f"The {kind} '{self.written}'{variant}"

    @property
    def is_fitted(self) -> bool:
        """Whether it has a readout."""
        return self.readout != "none"

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """That a component has no value that it gives or reads; None if it has."""
        own = [name for name in self.reads if name in (*HEAD_VALUES, "value")]
        for verb, name in (("give", self.gives), *(("read", name) for name in own)):
            if (name in HEAD_VALUES) != (site.part == "H"):
                has = "a head has no single value" if site.part == "H" else "it is no head"
                return Why(
                    f"it {verb}s '{name}', and {has}",
                    f"Heads have {', '.join(HEAD_VALUES)}; every other site has `value`.",
                )
        return None

    def observes(self, sites: Sequence[Site], shape: Shape) -> list[Site]:
        """What has to be recorded on the fit part to fit it at some components."""
        from unexplained.explanations.fit import sites_to_observe

        return sites_to_observe(self, sites, shape)

    def fit(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Fitted:
        """As `explanations.fit`, at some components."""
        from unexplained.explanations.fit import fit

        return fit(self.at(tuple(sites)), shape, activations, seed)

    def described(self, parameters: int, sites: Sequence[Site], shape: Shape) -> Description:
        """How long it is: code, fitted numbers, and the parameters that compute what it reads."""
        from unexplained.explanations.fit import describe
        from unexplained.explanations.lent import with_lent

        read = () if self.readout == "nothing" else self.reads  # what it reads is put aside
        return with_lent(describe(self, parameters), read, sites, shape)

    def with_map(self) -> Explanation | None:
        """Through an affine map, unless something is fitted on top already."""
        return self.affine() if self.readout == "none" else None

    def with_zeros(self) -> None:
        """None: what a rule leaves out is attention, or nothing."""

    def ends(self) -> tuple[Explanation, Explanation]:
        """The component itself, and no explanation."""
        from unexplained.explanations.ends import ends_of

        return ends_of(self)

    def control(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Control:
        """On another document, or there and at other positions as well (`invariance`)."""
        from unexplained.explanations.invariance import control_of

        return control_of(self, sites, shape, activations, seed)

    def at(self, sites: str | Sequence[Site]) -> Claim:
        """The claim about `sites`, for example `strict_induction.at("L18.H6 L17.H3-5")`.

        Raises:
            ExplanationError: It gives logits, so it stands in the place of the whole model.
        """
        if self.gives == "logits":
            raise ExplanationError(
                f"{self.called} at {sites}",
                "it gives logits, so it stands in the place of the whole model",
                "Use explanations.fit_program(explanation, text).condition() instead.",
            )
        return Claim(self, sites if isinstance(sites, str) else tuple(sites))

    def with_rest(self, rest: Rest) -> Explanation:
        """The same with the unplaced attention elsewhere.

        Args:
            rest: On the head's mean output (`"mean"`) or on the first position (`"first"`).
        """
        if rest == self.rest:
            return self
        where = {"mean": "on the mean output", "first": "on the first position"}[rest]
        return replace(
            self, name=f"{self.name}, rest {rest}", says=f"{self.says} The rest {where}.", rest=rest
        )

    def gated(self) -> Explanation:
        """The same, mixed with its rest by a scalar per head, fitted by least squares."""
        return self._with("gate", "gated", "Mixed with the rest by a fitted scalar per head.")

    def affine(self) -> Explanation:
        """The same, through an affine map of z per head, fitted by ridge regression."""
        return self._with("affine", "affine", "Through a fitted affine map per head.")

    def calibrated(self) -> Explanation:
        """The same program, its confidence and a mix with the unigram table fitted.

        For rules that speak with certainty: one miss would cost an infinite loss. The two numbers
        and the table are fitted, and count in the description length.
        """
        if self.gives != "logits":
            raise ExplanationError(
                f"{self.called}, calibrated",
                f"it gives '{self.gives}', and only logits can be calibrated",
                "Use .gated() or .affine() on patterns and z.",
            )
        says = f"{self.says} Its confidence and a mix with the unigram table are fitted."
        return replace(self, name=f"{self.name}, calibrated", says=says, readout="calibrated")

    def on_shuffled(self, *, moved: bool = False, donors: Donors | None = None) -> Explanation:
        """The same, computed on another document: what the readout alone can recover.

        Args:
            moved: Put what it says at other positions as well: what a rule about positions, which
                says the same of every document, recovers where it is wrong.
            donors: Which other document; one drawn by hash if not given.
        """
        which = Another() if donors is None else donors
        where = ", and put at other positions" if moved else ""
        named = "" if donors is None else f" on {which.says}"
        return replace(
            self,
            name=f"{self.name}, {'moved' if moved else 'shuffled'}{named}",
            says=f"{self.says} Computed on {which.says}, its tokens out of order{where}.",
            shuffled=True,
            moved=moved,
            donors=which,
        )

    def _with(self, readout: Literal["gate", "affine"], word: str, says: str) -> Explanation:
        if self.gives == "logits":
            raise ExplanationError(
                f"{self.called} with a fitted {readout}",
                "it gives 'logits', and readouts are fitted on values of components",
                "Use .calibrated() on a program.",
            )
        return replace(
            self, name=f"{self.name}, {word}", says=f"{self.says} {says}", readout=readout
        )

    def check(self, subject: Subject | None = None) -> tuple[str, ...]:
        """Evaluate it again in a fresh process, as the command line does with a file (some 6 s).

        Args:
            subject: Whose sizes a made-up batch has.

        Returns:
            Notes: that it could not be tried, if it is in no file; files read as that is loaded.

        Raises:
            ExplanationError: It says something else there, or looks at files, the environment, the
                network or other processes while it runs.
        """
        from unexplained.explanations import again

        return again.check(self, again.PLAIN if subject is None else subject.shape)

    @property
    def leaves(self) -> tuple[str, ...]:
        """What it leaves to the model, and so does not explain."""
        if self.gives == "pattern":
            return ("values", "output matrix")
        return {
            "q": ("keys", "values", "output matrix"),
            "k": ("queries", "values", "output matrix"),
            "v": ("pattern", "output matrix"),
            "z": ("output matrix",),
        }.get(self.gives, ())

    def __call__(self, local: Local, shape: Shape) -> Tensor:
        """Evaluate the function at a site and check what it returns.

        Raises:
            ExplanationError: It raised (its own traceback, cut to its lines), read what it did
                not declare, returned something that cannot stand in, or looked ahead.
        """
        read = elsewhere(self.reads, shape)
        place = local.site.at("pattern") if self.gives == "pattern" else local.site
        asked = f"{self.called} at {place}"
        given = self.run(View(local, self.reads, read, self.gives), asked)
        self._check(given, asked, local)
        # A copy: the function may write its next answer there. Rounding at later positions goes.
        given = given.tril() if self.gives == "pattern" else given.clone()
        self._require_causal(given, asked, local, read)
        return given

    def _require_causal(
        self, given: Tensor, asked: str, local: Local, read: tuple[Site, ...]
    ) -> None:
        """Ask it again with other things where it may not look, once for everything that it is given."""
        batch, own = local.batch, any(name != "tokens" for name in self.reads)
        mark = digest(
            tensor_digest([batch.tokens, batch.valid]),
            # What reads tokens is told besides of which shape its answer is to be.
            str(local.site) if own else f"{self.gives} {tuple(given.shape)}",
        )
        if mark in self.asked:
            return

        def again(mixed: Mixed) -> Tensor:
            return self.unasked(mixed_local(local, mixed, read), read, asked)

        if not Replay(
            asked, batch.valid, batch.documents, given, again, self.gives == "pattern", own
        ).require_causal():
            self.asked.add(INEXACT)
        self.asked.add(mark)

    def unasked(self, local: Local, read: tuple[Site, ...], asked: str) -> Tensor:
        """What it says at a place of a batch that is mixed, which is no reason to ask again.

        Args:
            local: What is known where it stands.
            read: Sites that it reads.
            asked: What was wanted, as errors say it.
        """
        now = self.run(View(local, self.reads, read, self.gives), asked)
        return now.tril() if self.gives == "pattern" and now.dim() > 1 else now

    def run(self, view: View, asked: str) -> Tensor:
        """Evaluate the function.

        Args:
            view: What it is given.
            asked: What was wanted, as errors say it.

        Raises:
            ExplanationError: It raised, returned something that is no tensor, or changed what it
                holds, so that its next answer would depend on this one.
        """
        before = carried(self.function, quick=True) if self._may_change else None
        try:
            given = self.function(view)
        except ExplanationError:
            raise
        except (Exception, SystemExit) as error:  # the user's own code may raise anything
            raise raised(asked, error, file_of(self.function), _ASKED_WITH) from error
        if before and (name := before.changed(carried(self.function, quick=True))):
            raise ExplanationError(
                asked,
                f"it changed '{name}' while it ran, which it names or holds",
                "Copy what is to be written to, or make it inside the function: what an "
                "explanation says may depend only on what it is given.",
            )
        if not isinstance(given, Tensor):
            raise ExplanationError(
                asked, f"it returned a {type(given).__name__}, not a tensor",
                "Return a tensor, such as view.blank with something in it.",
            )  # fmt: skip
        if wrong := unusable(given):
            raise ExplanationError(
                asked, f"it returned {wrong}", "Return a dense tensor of real numbers."
            )
        return given.float() if given.dtype == torch.bool else given

    def _check(self, given: Tensor, asked: str, local: Local) -> None:
        batch, length = local.tokens.shape
        wanted: tuple[int, ...] = (batch, length, length)
        site = local.site
        if self.gives != "pattern":
            wanted = tuple(given.shape if self.shuffled else local.value.shape)
        else:
            site = site.at("pattern")
        if tuple(given.shape) != wanted:
            raise ExplanationError(
                asked,
                f"it returned shape {tuple(given.shape)} where {wanted} was needed: {site.axes}",
                "Begin with view.blank: zeros of that shape.",
            )
        if not bool(torch.isfinite(given).all()):
            raise ExplanationError(
                asked, "it returned NaN or infinity",
                "Return finite numbers everywhere: 0 where there is nothing to say.",
            )  # fmt: skip
        if self.gives == "pattern":
            require_pattern(asked, given)


@dataclass(frozen=True)
class Claim:
    """An explanation of certain components."""

    explanation: Explanation
    where: str | tuple[Site, ...]

    def sites(self, shape: Shape) -> tuple[Site, ...]:
        """The components, expanded for a model (SiteError where they do not exist)."""
        return parse(self.where, shape) if isinstance(self.where, str) else self.where
