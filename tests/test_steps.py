"""Claims by way of intermediates: right at the end and wrong inside is caught there, under intervention too."""

from __future__ import annotations

from functools import cache

import pytest
import torch

import repairable
import unexplained as ux
from measured import LEAN, record_of
from unexplained.bars import steps as shown
from unexplained.bars.steps import Followed
from unexplained.errors import ExplanationError, SiteError
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.following import passed_on
from unexplained.explanations import Explanation, View, explanation
from unexplained.explanations.files import find_explanation
from unexplained.record import Number
from unexplained.record.blocks import Answer
from unexplained.sites import Site
from unexplained.study import Run
from unexplained.study.steps import followed
from unexplained.subject import Batch, Edit, Local
from unexplained.testbeds.weights import WIDTH

FIRST, LAST = "L0.H0.out", "L1.H0.out"
FOREIGN = "L0.H0.out of another document"


claim = repairable.by_way


def run() -> Run:
    return Run(repairable.model("plain"), (repairable.text(48, 48),), LEAN)


SITES = (Site(1, "H", 0),)


@cache
def found(times: float) -> tuple[Followed, ...]:
    return followed(run(), claim(times), SITES)


def row(of: tuple[Followed, ...], at: str, changed: str = "") -> Followed:
    (one,) = (one for one in of if (one.at, one.changed) == (at, changed))
    return one


def test_what_is_right_at_every_step_follows() -> None:
    right = found(1.0)
    for one in (row(right, FIRST), row(right, LAST), row(right, LAST, FOREIGN)):
        assert one.share.value == pytest.approx(1, abs=1e-3)
        assert one.times.value == pytest.approx(1, abs=1e-3)
    assert shown.said(right).startswith(" Of its intermediates least is right")


def test_wrong_inside_and_made_good_at_the_end_is_caught_at_the_intermediate_alone() -> None:
    wrong = found(1.5)
    inside, then = row(wrong, FIRST), row(wrong, LAST, FOREIGN)
    assert inside.times.high < 0.8 and inside.share.high < 0.8
    assert inside.times.value == pytest.approx(1 / 1.5, abs=1e-3)
    # Of another document's value the last step makes two thirds of what the model makes of it.
    assert then.times.low > 1.3 and then.times.value == pytest.approx(1.5, abs=1e-3)
    assert then.share.value == pytest.approx(1 - (1 - 1 / 1.5) ** 2, abs=1e-3)
    said = shown.said(wrong)
    assert said.startswith(f" Inside it is wrong: of {FIRST} 'the token before, larger' says 7")
    assert "the site holds 0.67" in said


def test_by_the_number_of_its_end_a_claim_that_is_wrong_inside_is_the_right_one() -> None:
    """And is asked in the place of the model: not what the first head writes is divided, but what is claimed."""
    here = run()
    whole, shape = claim(1.5), here.subject.shape
    assert whole.reads == ("tokens",) and whole.last.reads == (FIRST,)
    made = []
    for one in (whole, whole.last):
        seen = observe(here.subject, here.text, one.observes(SITES, shape))
        made.append(one.fit(SITES, shape, seen, 0).condition())
    right, short = (evaluate(here.subject, here.text, [one]) for one in made)
    name, intact = whole.name, right.sums("intact").per_token()
    assert right.sums(name).per_token() == pytest.approx(intact, abs=1e-3)
    assert abs(short.sums(name).per_token() - intact) > 0.05


def test_what_an_intermediate_holds_is_part_of_the_claims_length_and_of_what_it_is() -> None:
    one, other = claim(1.0), claim(1.5)
    assert one.source.fingerprint != other.source.fingerprint
    assert "_before" in one.source.text and one.source.bits > one.last.source.bits


def test_one_command_holds_intermediates_against_their_sites() -> None:
    record = record_of("shortfall")
    number = record["steps/sites/embed/share"]
    assert number.high < 0.5 and record["steps/sites/L0.H1.z/share"].value is not None
    assert "Inside it is wrong: " in record.verdict
    assert record["steps/sites/embed/times"].unit == "times", "a multiple is not written in percent"
    answer = next(one for one in record.blocks if isinstance(one, Answer))
    assert answer.rows[-1].name == "Of its intermediates, least" and len(answer.rows) <= 12


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


def test_an_intermediate_asks_only_what_it_declares_and_those_before_it() -> None:
    def of(body: object, reads: list[str], gives: str = "out") -> Explanation:
        def rule(view: View) -> torch.Tensor:
            return body(view)

        rule.__doc__ = "Says something."
        return explanation(gives=gives, reads=reads, name="it")(rule)

    first = of(lambda view: torch.ones(*view.tokens.shape, WIDTH), ["tokens"])
    second = of(lambda view: view.blank + view.site("L0.H0.out"), ["L0.H0.out"])
    placed = of(lambda view: view.blank, ["tokens"], "pattern")

    @explanation(
        gives="out",
        reads=["tokens"],
        intermediates={"L0.H0.out": first, "L0.H1.out": second, "L0.H2.pattern": placed},
    )
    def whole(view: View) -> torch.Tensor:
        """All of them."""
        return view.site("L0.H1.out") + view.site("L0.H2.pattern").sum()

    assert whole.reads == ("tokens",)
    here = run()
    seen = observe(here.subject, here.text, whole.observes(SITES, here.subject.shape))
    edit = whole.fit(SITES, here.subject.shape, seen, 0).condition().edits[0]
    assert all(bool((edit(local) == 1).all()) for local in seen.at(edit.where))


@pytest.mark.parametrize(
    ("at", "gives", "reads", "why"),
    [
        ("L0.H0.z", "out", ["tokens"], "gives 'out', and the address names a z"),
        ("L0.H0", "out", ["tokens"], "names a value"),
        ("L0.H0.out", "out", ["z"], "reads z of its own component"),
    ],
)
def test_what_is_no_intermediate_is_refused(
    at: str, gives: str, reads: list[str], why: str
) -> None:
    def rule(view: View) -> torch.Tensor:
        """Says nothing."""
        return view.blank

    inside = explanation(gives=gives, reads=reads)(rule)
    with pytest.raises(ExplanationError, match=why):
        explanation(gives="out", reads=["tokens"], intermediates={at: inside})(rule)


def test_an_intermediate_that_comes_later_or_is_several_is_refused_before_anything_is_run() -> None:
    whole, here = claim(1.0), run()
    with pytest.raises(SiteError, match="the claim itself is of that component"):
        ux.shortfall(here.subject, "L0.H0", here.text, claim=[whole], steps=8)

    @explanation(gives="out", reads=[], intermediates={LAST: whole.intermediates[0][1]})
    def late(view: View) -> torch.Tensor:
        """Of a head that comes later."""
        return view.site(LAST)

    with pytest.raises(SiteError, match="stands before it in the pass"):
        ux.shortfall(here.subject, "L0.H1", here.text, claim=[late], steps=8)

    @explanation(gives="out", reads=[], intermediates={"L0.H0-1.out": whole.intermediates[0][1]})
    def several(view: View) -> torch.Tensor:
        """Of two heads."""
        return view.site("L0.H0-1.out")

    with pytest.raises(SiteError, match="names 2 sites"):
        followed(here, several, SITES)


def test_a_file_of_one_claim_and_its_intermediates_is_one_claim(tmp_path) -> None:
    path = tmp_path / "claims.py"
    path.write_text(
        "import unexplained as ux\n"
        "@ux.explanation(gives='out', reads=['tokens'])\n"
        "def inside(view):\n    'Nothing.'\n    return view.blank\n"
        "@ux.explanation(gives='out', reads=[], intermediates={'L0.H0.out': inside})\n"
        "def whole(view):\n    'The same.'\n    return view.site('L0.H0.out')\n"
    )
    (one,) = find_explanation(str(path))
    assert one.name == "whole" and find_explanation(f"{path}:inside")[0].name == "inside"


def test_the_first_wrong_step_is_named_and_not_that_which_makes_it_good() -> None:
    """A hundredth on the way, a hundred times at the end: the end is far further off."""
    small = shown.said(followed(run(), claim(0.01), SITES))
    assert small.startswith(f" Inside it is wrong: of {FIRST} 'the token before, larger' says ")
    assert small.endswith(f"; what is wrong at {LAST} comes after it.")
    assert "100% [" in shown.said(found(1.0)), (
        "what is 1 but for rounding is written without decimals"
    )


def test_of_what_is_refused_no_intermediate_is_said_to_be_wrong() -> None:
    no = Number(value=None, refused="nothing varies there")
    one = Followed("it", "L0.H0.out", "", no, no)
    assert shown.least([one]) is None and "refused throughout" in shown.said([one])
    bent = Followed("it", "L0.H0.out", "embed doubled", Number(value=0.1, low=0, high=0.2), no)
    assert shown.least([one, bent]) is None  # a norm bends what is doubled
    assert shown.said([]) == ""
