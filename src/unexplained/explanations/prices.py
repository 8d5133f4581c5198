"""What numbers cost, wherever they are held: in a tensor, an array, a list or an object.

32 bits, as a fitted one; 64 for one that float32 (or 32 bits) does not hold exactly; a whole
number beyond that as many as it needs, in steps of 32; a truth value 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBER_BITS = 32


def bits_of(number: Any) -> int:
    """The price of one number.

    >>> [bits_of(number) for number in (True, 7, 2**31, 0.5, 0.1, 1j)]
    [1, 32, 64, 32, 64, 64]
    """
    if isinstance(number, bool):
        return 1
    if isinstance(number, int):
        return NUMBER_BITS * max(1, math.ceil(_width(number) / NUMBER_BITS))
    return bits_in(np.array([number]))


def bits_in(array: NDArray[Any]) -> int:
    """The price of an array's numbers.

    >>> bits_in(np.array([0.5, 0.1])), bits_in(np.array([True, False]))
    (96, 2)
    """
    if array.dtype.kind == "b":
        return array.size
    if array.dtype.kind == "c":
        return bits_in(array.real) + bits_in(array.imag)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32).astype(array.dtype)
        wide = (narrow != array) & ~np.isnan(array)
    else:
        # As many bits as the same number has in a list.
        wide = (array > 2**31 - 1) | (array < -(2**31))
    return NUMBER_BITS * (array.size + int(np.count_nonzero(wide)))


def uniform(things: Any) -> NDArray[Any] | None:
    """A long list of numbers of one kind as an array, which is quicker to go through."""
    kinds = set(map(type, things)) if len(things) > 8 else set()
    if kinds == {float}:
        return np.array(things, dtype=np.float64)
    if kinds == {bool}:
        return np.array(things, dtype=np.bool_)
    if kinds == {int} and all(_width(thing) <= NUMBER_BITS for thing in things):
        return np.array(things, dtype=np.int64)
    return None


def _width(number: int) -> int:
    """Bits that a whole number takes with its sign.

    >>> [_width(number) for number in (0, 2**31 - 1, -(2**31), 2**31)]
    [1, 32, 32, 33]
    """
    return (number if number >= 0 else ~number).bit_length() + 1
