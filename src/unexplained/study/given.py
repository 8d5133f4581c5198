"""What an instrument is given besides a run: said once, for Python and for the command line. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Given:
    """Metadata of a parameter, in `Annotated[…, Given(…)]`."""

    help: str = ""
    option: str = ""
    """Its name on the command line, such as `--by`; by default the parameter's own."""
    default: Any = None
    """A name that is resolved, where what is meant needs torch and cannot be a default itself."""

    def resolved(self, value: Any) -> Any:
        """What the instrument gets for what a caller gave."""
        return value


@dataclass(frozen=True)
class Option(Given):
    """A number, a word or a switch."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class PythonOnly(Given):
    """It has no option: what the command line gives in its place is another parameter's matter."""


@dataclass(frozen=True)
class Models(Given):
    """A model or several, given as they are or by the names that `load` knows."""

    def resolved(self, value: Any) -> Any:
        """The models, loaded."""
        from unexplained.subject import load

        if isinstance(value, str):
            return load(value)
        if isinstance(value, tuple | list):
            return tuple(self.resolved(one) for one in value)
        return value


@dataclass(frozen=True)
class Claims(Given):
    """Explanations, given as they are or by the names that the library knows."""

    def resolved(self, value: Any) -> Any:
        """The explanations."""
        from unexplained.explanations.files import find_explanation

        if value is None:
            return None
        every: Sequence[Any] = [value] if isinstance(value, str) else list(value)
        found: list[Any] = []
        for one in every:
            found += find_explanation(one) if isinstance(one, str) else [one]
        return found


@dataclass(frozen=True)
class Texts:
    """On what an instrument measures, unless something else is said."""

    name: str = "webmix"
    documents: int = 96
    fit_documents: int = 64
    block: int = 128
    fewest: int = 1
    pairs: bool | None = False
    """Whether it takes behaviours and files of pairs: not, alone, or (None) as well."""
