"""A limit of time for what might wait for ever: pipes, endless counts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

SECONDS = 20


@pytest.fixture(autouse=True)
def limited() -> Iterator[None]:
    """What takes longer is a fault: every refusal here comes before anything is read."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
