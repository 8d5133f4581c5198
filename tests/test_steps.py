"""Claims in steps: right at the end and wrong inside is caught at the step, under intervention too."""

from __future__ import annotations

from functools import cache

import pytest
import torch

import repairable
from measured import LEAN
from unexplained.errors import MeasurementError
from unexplained.evaluate import observe
from unexplained.evaluate.following import passed_on
from unexplained.explanations import StandIn, View, explanation
from unexplained.sites import Site
from unexplained.study import Run
from unexplained.study.steps import Followed, Steps, steps
from unexplained.subject import Batch, Edit, Local
from unexplained.testbeds.weights import START, WIDTH

FIRST, LAST = "L0.H0", "L1.H0"


def claim(times: float) -> dict[str, StandIn]:
    """The first head writes so many times the token before; the last copies it, divided by that again."""

    def copies(view: View) -> torch.Tensor:
        found = view.site("L0.H0.out")
        out = torch.zeros(*found.shape[:2], WIDTH)
        at, to = START["previous"], START["copied"]
        out[..., to : to + 49] = found[..., at : at + 49] / times
        return out

    copies.__doc__ = "Copies what the first head writes."
    return {
        FIRST: repairable.claim(
            "the token before, larger", lambda tokens: times * repairable._before(tokens)
        ),
        LAST: explanation(gives="out", reads=["L0.H0.out"], name="copies it")(copies),
    }


def run() -> Run:
    return Run(repairable.model("plain"), (repairable.text(48, 48),), LEAN)


@cache
def found(times: float) -> Steps:
    return steps(run(), claim(times))


def row(of: Steps, at: str, changed: str = "") -> Followed:
    (one,) = (one for one in of.followed if (one.at, one.changed) == (at, changed))
    return one


FOREIGN = "L0.H0.out of another document"


def test_what_is_right_at_every_step_follows() -> None:
    right = found(1.0)
    assert right.together.value == pytest.approx(1, abs=1e-3)
    for one in (row(right, FIRST), row(right, LAST), row(right, LAST, FOREIGN)):
        assert one.share.value == pytest.approx(1, abs=1e-3)
        assert one.times.value == pytest.approx(1, abs=1e-3)


def test_wrong_inside_and_made_good_at_the_end_is_caught_at_the_step_alone() -> None:
    wrong = found(1.5)
    assert wrong.together.value > 0.99  # by the end-to-end number nothing is missing
    inside, then = row(wrong, FIRST), row(wrong, LAST, FOREIGN)
    assert inside.times.high < 0.8 and inside.share.high < 0.8
    assert inside.times.value == pytest.approx(1 / 1.5, abs=1e-3)
    # Of another document's value the last step makes two thirds of what the model makes of it.
    assert then.times.low > 1.3 and then.times.value == pytest.approx(1.5, abs=1e-3)
    assert then.share.value == pytest.approx(1 - (1 - 1 / 1.5) ** 2, abs=1e-3)
    assert "All steps in their places recover 10" in str(wrong)


def test_twice_the_value_is_not_twice_the_copy_where_a_norm_stands_between() -> None:
    assert row(found(1.0), LAST, "L0.H0.out doubled").times.high < 0.6


def test_a_share_is_what_plain_arithmetic_on_the_sites_values_gives() -> None:
    here, site = run(), Site(0, "H", 0, "out")
    held, said = [], []
    for batch, values in observe(here.subject, here.text, [site], part="eval").batches:
        real = batch.valid.clone()
        real[:, 0] = False
        held.append(values[site][real].double())
        said.append(1.5 * repairable._before(batch.tokens)[real].double())
    one, other = torch.cat(held), torch.cat(said)
    around, beside = one - one.mean(0), other - other.mean(0)
    share = 1 - float((one - other).pow(2).sum() / around.pow(2).sum())
    first = row(found(1.5), FIRST)
    assert first.share.value == pytest.approx(share, abs=1e-9)
    assert first.times.value == pytest.approx(
        float((around * beside).sum() / beside.pow(2).sum()), abs=1e-9
    )


def test_whoever_reads_an_edited_site_is_given_what_this_pass_put_there() -> None:
    """Also where the edit puts something in one pass and lets the next be as it is."""
    here, site, later = run(), Site(0, "H", 0, "out"), Site(1, "H", 0, "out")
    puts, seen = [True, False], []

    def once(local: Local) -> torch.Tensor | None:
        return torch.full_like(local.value, 7.0) if puts.pop(0) else None

    def look(local: Local) -> None:
        seen.append((local.elsewhere(site).clone(), local.batch.tokens.shape))

    edits = passed_on([Edit(site, once), Edit(later, look, reads=(site,))])
    for rows in (2, 3):
        here.subject.run(Batch.of(torch.ones(rows, 5, dtype=torch.long)), edits)
    (first, _), (second, shape) = seen
    assert bool((first == 7).all())
    assert second.shape[:2] == shape and not bool((second == 7).any())


def test_what_is_no_step_is_refused() -> None:
    with pytest.raises(MeasurementError, match="there are none"):
        steps(run(), {})
    with pytest.raises(MeasurementError, match="names 2 components"):
        steps(run(), {"L0-1.H0": repairable.CLAIMS["right"]})
