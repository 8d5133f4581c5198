"""Instruments measured by the old code and by the new: one number for one, all of them equal."""

from __future__ import annotations

import unexplained as ux
from test_ladder import pydocs_like
from unexplained.assays.gap import gap as gap_before
from unexplained.instruments.gap import gap
from unexplained.record import Header, Record
from unexplained.report.drawn import drawn

LEAN = ux.Settings(resamples=200)


def rung(name: str) -> ux.Subject:
    return ux.load(name, device="cpu")


def assert_same(before: Header, after: Record, *, new: set[str]) -> None:
    """Every old number under its new id; what is new besides is named."""
    old, found = drawn(before).numbers, dict(after.numbers())
    assert set(old) <= set(found)
    assert {where.split("/")[0] for where in set(found) - set(old)} <= new
    assert {where: found[where] for where in old} == old
    for name in ("title", "verdict", "others", "subject_fingerprint", "level", "seed"):
        assert getattr(before, name) == getattr(after, name)


def test_a_gap_has_the_numbers_that_it_had() -> None:
    strong, weak = rung("rung-3"), rung("rung-1")
    text = pydocs_like(strong)
    text = ux.Text(**{**vars(text), "fit": text.eval})
    pairs = [(rung(f"rung-3-seed-{i}"), rung(f"rung-1-seed-{i}")) for i in (1, 2)]
    how = {"chosen_by": pairs[0], "sites": "L1.H0", "share": 0.1, "settings": LEAN}
    for runs in ([], pairs):
        before = gap_before(strong, weak, text, runs=runs, **how)  # type: ignore[arg-type]
        after = gap(strong, weak, text, runs=runs, **how)
        assert_same(before, after, new={"controls"})
