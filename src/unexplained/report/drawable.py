"""A record whose numbers nobody could have measured is refused when it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unexplained.errors import RecordError
from unexplained.record import Header


@contextmanager
def drawable(record: Header) -> Iterator[None]:
    """What cannot be divided, put on an axis or rounded is said of the record, not of our lines.

    Raises:
        RecordError: Arithmetic fails inside the block.
    """
    try:
        yield
    except (ArithmeticError, ValueError) as error:
        raise RecordError(
            f"Drawing the record '{record.title}'",
            f"its numbers do not belong together ({error})",
            "Was the record changed by hand? Measure again.",
        ) from error
