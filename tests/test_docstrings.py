"""Every example in a docstring of the package is run, and gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import unexplained

FOLDER = Path(unexplained.__file__).parent


def modules() -> list[str]:
    """Those with examples, by their names below the package."""
    files = (path for path in sorted(FOLDER.rglob("*.py")) if ">>>" in path.read_text("utf-8"))
    names = (".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    done = doctest.testmod(importlib.import_module(f"unexplained.{name}"))
    assert done.attempted and not done.failed
