"""What an instrument is given besides a run: said once, for Python and for the command line. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from unexplained.errors import MeasurementError


@dataclass(frozen=True)
class Given:
    """Metadata of a parameter, in `Annotated[…, Given(…)]`."""

    help: str = ""
    option: str = ""
    """Its name on the command line, such as `--by`; by default the parameter's own."""
    default: Any = None
    """A name that is resolved, where what is meant needs torch and cannot be a default itself."""

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """What the instrument gets for what a caller gave, besides all else that was given."""
        return value


@dataclass(frozen=True)
class Option(Given):
    """A number, a word or a switch."""

    least: float | None = None
    most: float | None = None
    between: tuple[float, float] | None = None
    """It lies between these and is neither."""


@dataclass(frozen=True)
class PythonOnly(Given):
    """It has no option: what the command line gives in its place is another parameter's matter."""


@dataclass(frozen=True)
class Models(Given):
    """A model or several, given as they are or by the names that `load` knows."""

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The models, loaded."""
        from unexplained.subject import load

        if isinstance(value, str):
            return load(value)
        if isinstance(value, tuple | list):
            return tuple(self.resolved(one, given) for one in value)
        return value


@dataclass(frozen=True)
class Rungs(Models):
    """Models with their compute, `MODEL=FLOPS`, or rungs: all if none, with their seeds if `seeds`."""

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """Each model with its training compute (FLOPs)."""
        from unexplained.subject import load

        if isinstance(value, Mapping):
            return value
        computes = computes_of(value, seeds=bool(given.get("seeds")))
        return {load(name): compute for name, compute in computes.items()}


def computes_of(names: Sequence[str] | None, *, seeds: bool) -> dict[str, float]:
    """Models by name with their training compute; all rungs if none, with their other seeds if wanted.

    Raises:
        UnexplainedError: A compute is not known, or a model is given twice.
    """
    from unexplained.errors import require_once
    from unexplained.ladder.catalogue import catalogue
    from unexplained.ladder.members import named

    known = catalogue()
    rungs = {one.name for one in known.models}
    asked = [named(one) for one in names or [o.name for o in known.rungs() if not o.seed]]
    require_once("model", [name for name, _ in asked])
    found: dict[str, float] = {}
    for name, compute in asked:
        runs = known.with_seeds([name]) if seeds and name in rungs else [name]
        found |= dict.fromkeys(runs, compute)
    return found


@dataclass(frozen=True)
class Members(Given):
    """Models of any tokenizers with their training compute, `MODEL=FLOPS`."""

    curve: bool = True
    """They are of the family; otherwise they are placed beside it."""

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """Members, those that were named opened when they are needed."""
        from unexplained.ladder.members import member_of

        return [member_of(one, curve=self.curve) for one in value or ()]


@dataclass(frozen=True)
class OwnFamily(Members):
    """A family of the user's own, in the place of the ladder: see `ladder.family.family_of`."""

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The family, none of its models open; None where none was given."""
        from unexplained.ladder.family import family_of

        return family_of(value)


FAMILY = OwnFamily(
    "MODEL=FLOPS, MODEL=PARAMETERSxTOKENS, a MODEL of unknown compute, or a .json file of such: "
    "weaker models that losses are placed among, in the place of the ladder. May be given again; "
    "by-byte: in bits per byte, which is done anyway where tokenizers differ."
)

BESIDE = OwnFamily(
    "MODEL=FLOPS, or what else an assay takes: weaker models that losses are placed among; none if not "
    "given."
)


@dataclass(frozen=True)
class Unpriced:
    """Why an instrument places nothing among the models of a family, and what does."""

    why: str = "what it gives is no loss of the whole model, which a weaker one could have too"
    do: str = (
        "What components are worth in training compute is an assay's matter: "
        'unexplained assay MODEL --heads "…" --family MODEL=FLOPS …'
    )

    def refuse(self, name: str) -> NoReturn:
        """Raise what says so.

        Raises:
            MeasurementError: Always.
        """
        raise MeasurementError(f"A family of models in {name}", self.why, self.do)


@dataclass(frozen=True)
class Claims(Given):
    """Explanations, given as they are or by the names that the library knows."""

    early: bool = False
    """They are looked for before a model is loaded, but for files that make them of it or of a text."""

    def require(self, value: Any) -> None:
        """Refuse what can be refused before a model and a text are there.

        Raises:
            ExplanationError: There is no such explanation.
        """
        from unexplained.explanations.files import needs

        self.resolved([one for one in value or () if not needs(one)], {})

    def resolved(self, value: Any, given: Mapping[str, Any]) -> Any:
        """The explanations; one alone is a list of one. A file may make them of `subject` and `text`."""
        from unexplained.explanations.files import OF_WORDS, find_explanation, needs
        from unexplained.explanations.stand_in import find_stand_in

        if value is None:
            return None
        every: Sequence[Any] = list(value) if isinstance(value, list | tuple) else [value]
        subject, text = given.get("subject"), given.get("text")
        found: list[Any] = []
        for one in every:
            known = find_stand_in(one) if isinstance(one, str) else one
            if known is None:
                words = subject.words if subject is not None and needs(one, OF_WORDS) else None
                found += find_explanation(one, text, words)
            else:
                found.append(known)
        return found


@dataclass(frozen=True)
class Texts:
    """On what an instrument measures, unless something else is said."""

    name: str = "webmix"
    documents: int = 96
    fit_documents: int = 64
    block: int = 128
    fewest: int = 1
    why: str = ""
    """Help of --documents, where it takes more than one."""
    pairs: bool | None = False
    """Whether it takes behaviours and files of pairs: not, alone, or (None) as well."""
    many: bool = False
    """Whether it measures on several at once."""
    fits: Callable[[Mapping[str, Any]], bool] = lambda given: True
    """Whether something is fitted on the fit part, given all else: a file of pairs needs none then."""
