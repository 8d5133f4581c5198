"""Components replaced together, each by what was chosen for it, as arms; the whole brings its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unexplained.bars.cards import NOTHING_RECOVERED, Must
from unexplained.evaluate import Edited, joint
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.choosing import Chosen, Ends
from unexplained.study.run import Run

EXPLAINED = "The best explanation of each component."
ABLATED = "Nothing is claimed: means in their place."
ITSELF, NOTHING = "the components themselves", "no explanation of any"
ELSEWHERE = "all rules elsewhere"
"""Names of the controls of all components together."""


def replaced(
    run: Run, chosen: Chosen, names: tuple[str, str], sites: Sequence[Site], *, of: str = ""
) -> tuple[Arm, Arm]:
    """Some components explained together, and the same ablated by their means.

    Args:
        run: What they are measured on, which need not be the text that they were chosen on.
        chosen: What goes in their place.
        names: What the two are called.
        sites: The components.
        of: A claim of all components, of which this is a part: its controls are this one's. Empty: it
            brings its own, those of a claim of one component (`arms.claims`) at all of them at once.

    Returns:
        The claim and the ablation. Where no explanation beats the mean nothing is claimed.
    """
    explained, ablated = names
    fill = arm(joint(ablated, [chosen.ablated[s] for s in sites]), role="ablation", says=ABLATED)
    condition = joint(explained, [chosen.explained[s] for s in sites])
    ends = {site: chosen.ends[site] for site in sites if site in chosen.ends}
    if not ends:
        return arm(condition, role="ablation", says=ABLATED), fill
    controls = () if of else _controls(run, chosen, explained, fill, ends, sites)
    return arm(condition, role="explanation", says=EXPLAINED, of=of, controls=controls), fill


def _controls(
    run: Run,
    chosen: Chosen,
    claim: str,
    fill: Arm,
    ends: Mapping[Site, Ends],
    sites: Sequence[Site],
) -> tuple[Arm, ...]:
    """All by themselves, nothing said of any, and all explained on what they cannot be right about."""

    def control(name: str, parts: Mapping[Site, Edited], must: Must, *, means: bool = True) -> Arm:
        edits = [parts.get(s, chosen.ablated[s]) for s in sites if means or s in parts]
        return arm(joint(name, edits), role="control", of=claim, must=must)

    reached = max(len(block.tokens) for block in run.text.eval) <= chosen.reach
    tells = reached and any(one.tells for one in ends.values())
    other = {s: one.elsewhere if reached else one.itself for s, one in ends.items()}
    return (
        control(ITSELF, {s: one.itself for s, one in ends.items()}, means=False, must=Must(
            gives="the same", of="intact",
            expected="the intact model's loss in every document, exactly (recovered exactly 1)")),
        control(NOTHING, {s: one.nothing for s, one in ends.items()}, must=Must(
            gives="the same", of=fill.name,
            expected="the loss of mean ablation in every document, exactly (recovered exactly 0)")),
        control(ELSEWHERE, other, must=Must(
            gives="nothing" if tells else "cannot tell", of=fill.name,
            expected=f"{NOTHING_RECOVERED} (each rule on other documents or at other positions)" if tells else "no control of this kind: " + (
                "no rule that was chosen says anything else on other documents and at other positions"
                if reached else "there is no other document of the fit part as long as these"))),
    )  # fmt: skip
