"""What measurements depend on besides what is asked, and the float32 product among it.

How products are computed is decided by a timing, which may fall the other way on another day or
with another cache. So whoever goes on with kept work takes what that work took.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from unexplained.evaluate.work import Work
from unexplained.hashing import architectures, code_digest
from unexplained.subject import Subject
from unexplained.subject.precision import SETTINGS, Precision
from unexplained.text.build import fingerprint_of


def circumstances(work: Work[Any], threads: int) -> dict[str, str]:
    """What kept measurements depend on besides what is asked."""
    text = work.text
    return {
        **_facts(work.subject),
        "measured by": work.engine,
        "code": code_digest(work.engine, *architectures()),
        # As it is now: whoever has a text may write to its tokens.
        "text": fingerprint_of(text.name, text.eval, text.fit),
        "threads": str(threads),
        "products": " and ".join(dict.fromkeys(model.precision.setting for model in work.models)),
        "batch tokens": str(work.batch_tokens),
    }


def take_products(folder: Path | None, subject: Subject, *others: Subject) -> None:
    """Have models compute as what is kept of the first was computed, unless that was asked for.

    Args:
        folder: Where finished measurements are kept; None changes nothing.
        subject: The model: where the folder has measurements of it under the other choice of the
            float32 product and none under its own, the other is taken.
        others: Models that are measured beside it; they compute as it does.
    """
    mine = subject.precision
    if folder is not None and not mine.fixed:
        found = [about for about in _kept(folder) if about.get("products") in SETTINGS]
        if any(about["products"] != mine.setting for about in found):
            facts = _facts(subject)
            took = {a["products"] for a in found if facts.items() <= a.items() and _by_this_code(a)}
            if took and mine.setting not in took:
                why = f"as what is kept in {Path(folder).name} was measured"
                subject.take_products(Precision(min(took), why))
    for other in others:
        if not other.precision.fixed and other.device == subject.device:
            other.take_products(subject.precision)


def _kept(folder: Path) -> Iterator[Mapping[str, str]]:
    """What the stores below a folder say that they are of."""
    places: list[Path] = []
    with suppress(OSError, ValueError):  # a place that cannot be: who writes there says so
        places = sorted(Path(folder).glob("*/measured.json"))
    for path in places:
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                yield found


def _by_this_code(about: Mapping[str, str]) -> bool:
    """Whether what is kept was measured as it would be now."""
    return about.get("code") == code_digest(str(about.get("measured by")), *architectures())


def _facts(subject: Subject) -> dict[str, str]:
    weight = next(subject.anatomy.model.parameters())
    return {
        "model": subject.remembered,
        "torch": torch.__version__,
        "device": _device(weight.device),
        "type": str(weight.dtype),
    }


def _device(device: torch.device) -> str:
    """Its kind, and of a GPU which one: cards differ in the last bits."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
