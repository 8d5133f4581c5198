"""What is measured of neurons, or directions, under a label: how well they tell it, what it carries of what they do, and who else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unexplained.ablations.mean import mean_of
from unexplained.bars.detection import Labelled, fitted
from unexplained.bars.labelled import REFERENCE, Names, TokensMeasured
from unexplained.bars.labels import LabelFindings
from unexplained.bars.reading import Reading
from unexplained.errors import (
    ExplanationError,
    MeasurementError,
    TextError,
    require_count,
)
from unexplained.evaluate import Activations, Edited
from unexplained.evaluate.moments import correlations
from unexplained.explanations import Explanation
from unexplained.explanations.directions import Directions, lines_of, random_beside, refusal
from unexplained.explanations.find_directions import find_directions
from unexplained.explanations.labels import (
    ANY,
    Said,
    require_label,
    require_neurons,
    said_of,
    with_label,
)
from unexplained.explanations.library.projection import Projection
from unexplained.repairs.labelled import constant, keeping
from unexplained.sites import Site
from unexplained.stats import FEWEST_DOCUMENTS
from unexplained.study import arms
from unexplained.study import asked as check
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run
from unexplained.study.subspaces import kind_of
from unexplained.study.twins import TWIN, few
from unexplained.text import Text

MOST = 8
"""Neurons or directions that are measured, at most, and as many others under the same label."""
RANDOM = 5
"""Random directions beside those that are labelled."""


@dataclass(frozen=True)
class LabelQuestion:
    """A label of some neurons; refused before anything is run."""

    run: Run
    sites: tuple[Site, ...]
    """Neurons, or the values of which directions are labelled. Empty: those that go with the label most are taken."""
    directions: Directions | None
    """Of these values; None for neurons."""
    label: Explanation
    near: tuple[Explanation, ...]
    top: int
    alike: int
    prevalence: float

    @classmethod
    def of(
        cls,
        run: Run,
        sites: str,
        label: Sequence[Explanation] | None,
        near: Sequence[Explanation] | None,
        *,
        top: int,
        alike: int,
        prevalence: float,
        direction: str = "",
    ) -> LabelQuestion:
        """Check what was asked for.

        Raises:
            ExplanationError: There is no label, or several, or one that is none.
            SiteError: A component is no neuron of this model.
            MeasurementError: The model is in half precision, a number is out of bounds, or a value has no
                directions.
            TextError: A text has a document of another, is of pairs, or of another model's tokens.
        """
        subject = run.subject
        require_count("top", top, least=1)
        require_count("alike", alike, least=0)
        check.require_share(prevalence, "prevalence")
        where, directions = _where(run, sites, direction)
        many = max(len(where) * (1 if directions is None else directions.rank), top, alike)
        if many > MOST:
            raise MeasurementError(
                f"A label of {many} {'neurons' if directions is None else 'directions'}",
                f"at most {MOST} are taken", "Name fewer, or lower top and alike.",
            )  # fmt: skip
        found = _one(label)
        require_label(found)
        for one in near or ():
            require_label(one)
        check.require_claims([found, *(near or ())])
        for text in run.texts:
            _require_text(text, run)
        _require_apart(run.texts)
        check.require_folder(run.folder, subject)
        return cls(run, where, directions, found, tuple(near or ()), top, alike, prevalence)


def _where(run: Run, sites: str, direction: str) -> tuple[tuple[Site, ...], Directions | None]:
    """Neurons; or values, and which directions of each."""
    subject = run.subject
    if not direction:
        where = check.components(subject, sites) if sites else ()
        require_neurons(where)
        return where, None
    if not sites:
        raise ExplanationError(
            f"The direction '{direction}' under a label", "it is not said of which value",
            "Name one: a stream (L1.resid_post), an MLP (L1.mlp), a head (L1.H0; .q, .k, .v, .out).",
        )  # fmt: skip
    where = check.existing(subject, sites)
    at, size = kind_of(sites, where, run, "A direction")
    found = find_directions(direction, subject)
    if not found.rank:
        raise ExplanationError(f"The direction '{direction}' under a label", "they are none", "Take one or more.")  # fmt: skip
    values = tuple(dict.fromkeys(Projection(found.rank, found, at).stands_at(s.component) for s in where))  # fmt: skip
    for site in values:
        if why := refusal(found, site, subject.shape, size):
            raise ExplanationError(f"The direction '{direction}' of {site}", *why)
    return values, found


def _one(label: Sequence[Explanation] | None) -> Explanation:
    if label is None or len(label) != 1:
        many = len(label or ())
        raise ExplanationError(
            f"{many} labels" if many else "A label", "one is measured at a time" if many else "none was given",
            "Give one: --label french.py:french; in Python label=[french].",
        )  # fmt: skip
    return label[0]


def _require_text(text: Text, run: Run) -> None:
    if text.pairs:
        raise TextError(
            f"A label on {text.name}", "it is pairs of prompts, which are scored at their last token alone",
            "Use running text.",
        )  # fmt: skip
    check.require_tokens(run.subject, text, "eval", "fit")
    check.require_donors(text, within=True)


def _require_apart(texts: Sequence[Text]) -> None:
    """Refuse texts that share documents: what holds on both would be no second finding."""
    seen: dict[str, str] = {}
    for text in texts:
        mine = {block.document: text.name for block in (*text.eval, *text.fit)}
        if both := mine.keys() & seen.keys():
            first = min(both)
            raise TextError(
                f"A label on {seen[first]} and on {text.name}",
                f"they share {len(both)} documents (the first is {first})",
                "A broad text is to be another text: take those documents out of it.",
            )
        seen |= mine


@dataclass(frozen=True)
class _On:
    """One text with what the label says of it."""

    run: Run
    fit: Said
    eval: Said
    near: dict[str, Said]


def measured(of: LabelQuestion) -> LabelFindings:
    """Choose on fit documents, score and measure on the others, on every text.

    Raises:
        ExplanationError: The label is constant, says yes to no token, raised or looked ahead.
        UnexplainedError: As `Run.measure` and `observe`.
    """
    texts = [_labelled(of, one) for one in of.run.each_text()]
    narrow = texts[0]
    _require_varies(of.label, narrow)
    sites, others = _chosen(of, narrow)
    if not sites:
        raise MeasurementError(
            f"Neurons that go with '{of.label.written}' in {of.run.subject.name}",
            f"none varies with it on the fit part of {narrow.run.text.name}", "Name them.",
        )  # fmt: skip
    units, random = (*sites, *others), _random(of, narrow.run)
    read = narrow.run.observe((*units, *random))
    detectors = {
        str(site): fitted(*_tokens(read, site, narrow.fit), of.prevalence)
        for site in (*units, *random)
    }
    means = {one.run.text.name: _means(one.run.observe((*sites, *random)), sites) for one in texts}
    outside = {site: torch.tensor(detectors[str(site)].on_no) for site in sites}
    shown, names = [], Names.of(sites, (*units, *random), of.label.affine().name)
    for i, one in enumerate(texts):
        made = _arms(of, one, sites, units if i == 0 else sites, names, means, outside)
        made += [arms.ablation(one.run, REFERENCE, [site]).called(names.alone[str(site)]) for site in random]  # fmt: skip
        measured = one.run.measure(*made, what=f"measuring the label on {one.run.text.name}")
        shown.append(_scored(one, (*units, *random)).with_reading(measured))
    twin, twin_read = _on_twin(of, texts, len(sites), names)
    return LabelFindings(
        label=of.label.written, says=of.label.says, sites=tuple(map(str, sites)),
        others=tuple(map(str, others)), random=tuple(map(str, random)),
        directions=of.directions.name if of.directions is not None else "", detectors=detectors, texts=tuple(shown), names=names,
        references=(REFERENCE, *(f"mean of {n}" for n in means), OUTSIDE, "zero"),
        twin=twin, twin_read=twin_read, prevalence=of.prevalence, settings=of.run.settings,
        searched=of.run.subject.shape.layers * of.run.subject.shape.neurons,
    )  # fmt: skip


OUTSIDE = "mean outside the label"


def _labelled(of: LabelQuestion, run: Run) -> _On:
    subject, text = run.subject, run.text
    at = next(iter(of.sites), ANY)
    fit, measured = (said_of(of.label, subject, text, part, at) for part in ("fit", "eval"))  # type: ignore[arg-type]
    near = {one.written: said_of(one, subject, text, "eval", at) for one in of.near}
    return _On(run.on(with_label(text, measured, fit)), fit, measured, near)


def _require_varies(label: Explanation, narrow: _On) -> None:
    """Refuse a label that says the same everywhere, or yes in too few documents for anything."""
    text = narrow.run.text
    for part, said in (("fit", narrow.fit), ("eval", narrow.eval)):
        read = {name: yes[1:] for name, yes in said.yes.items()}  # first tokens are left out
        every = np.concatenate(list(read.values()))
        units = {b.document: b.unit for b in (*text.fit, *text.eval)}
        some = {units[name] for name, yes in read.items() if yes.any()}
        rest = {units[name] for name, yes in read.items() if not yes.all()}
        asked = f"The label '{label.written}' on the {part} part of {text.name}"
        if every.all() or not every.any():
            what = "every" if every.all() else "none"
            raise ExplanationError(
                asked, f"it says yes to {what} of its {every.size:,} tokens",
                "Give a text that has tokens of both kinds, the label's and others. Of a number yes is above 0.",
            )  # fmt: skip
        if min(len(some), len(rest)) < FEWEST_DOCUMENTS:
            raise ExplanationError(
                asked, f"documents in which it says yes: {len(some)}; no: {len(rest)}",
                f"It takes {FEWEST_DOCUMENTS} of each: more documents (documents=…; --documents), or another text.",
            )  # fmt: skip


def _chosen(of: LabelQuestion, narrow: _On) -> tuple[tuple[Site, ...], tuple[Site, ...]]:
    """The units, and other neurons of the model that go with the label most, on documents that score none."""
    named = of.sites if of.directions is None else _along(of.directions, of.sites, narrow.run)
    if named and not of.alike:
        return named, ()
    ranked = _ranked(of, narrow.run, narrow.fit, of.top + of.alike + len(named))
    sites = named or tuple(ranked[: of.top])
    return sites, tuple(site for site in ranked if site not in sites)[: of.alike]


def _along(directions: Directions, values: Sequence[Site], run: Run, first: int = 0) -> tuple[Site, ...]:  # fmt: skip
    """Each direction of each value."""
    read = run.observe(values)
    return tuple(line for site in values for line in lines_of(directions, site, read, first))


def _random(of: LabelQuestion, run: Run) -> tuple[Site, ...]:
    """Directions drawn at random of the same values: what a label goes with that is about none."""
    if of.directions is None:
        return ()
    return tuple(
        line for i, one in enumerate(random_beside(of.directions, 1, RANDOM, run.settings.seed))
        for line in _along(one, of.sites[:1], run, of.directions.rank + i)
    )  # fmt: skip


def _ranked(of: LabelQuestion, run: Run, fit: Said, many: int) -> list[Site]:
    found = np.abs(
        correlations(run.subject, run.text, fit.yes, **run.how("looking at every neuron"))
    )
    order = [i for i in np.argsort(-found, axis=None, kind="stable")[:many] if found.flat[i] > 0]
    return [Site(int(i // found.shape[1]), "N", int(i % found.shape[1])) for i in order]


def _tokens(read: Activations, site: Site, said: Said) -> tuple[np.ndarray, Labelled]:
    """A neuron's value at every token but documents' first, and the label's yes there."""
    parts = list(_rows(read, said))
    values = [read.batches[n][1][site][row, 1:length].double().numpy() for n, row, length, _ in parts]  # fmt: skip
    number = np.concatenate([said.number[name][1:] for *_, name in parts])
    unit = np.repeat(np.arange(len(parts)), [length - 1 for _, _, length, _ in parts])
    return np.concatenate(values), Labelled(unit, number > 0, len(parts), number)


def _rows(read: Activations, said: Said) -> list[tuple[int, int, int, str]]:
    return [
        (number, row, len(said.yes[name]), name)
        for number, (batch, _) in enumerate(read.batches)
        for row, name in enumerate(batch.documents)
    ]


def _scored(one: _On, units: Sequence[Site]) -> TokensMeasured:
    """Every token of the eval part, with the neurons' values."""
    text = one.run.text
    read = one.run.observe(units, part="eval")
    rows = _rows(read, one.eval)
    blocks = {block.document: block for block in text.eval}
    number = {unit: i for i, unit in enumerate(text.units)}
    sizes = [length - 1 for _, _, length, _ in rows]
    unit = np.repeat([number[blocks[name].unit] for *_, name in rows], sizes)
    domain = np.repeat([blocks[name].domain for *_, name in rows], sizes)
    said = np.concatenate([one.eval.number[name][1:] for *_, name in rows])
    near = {
        label: np.concatenate([said.yes[name][1:] for *_, name in rows])
        for label, said in one.near.items()
    }
    values = {str(site): _tokens(read, site, one.eval)[0] for site in units}
    return TokensMeasured(
        text.name, Labelled(unit, said > 0, len(number), said), values, domain, near
    )


def _means(read: Activations, sites: Sequence[Site]) -> dict[Site, Tensor]:
    return {site: mean_of(read, site) for site in sites}


def _arms(
    of: LabelQuestion,
    one: _On,
    sites: Sequence[Site],
    units: Sequence[Site],
    names: Names,
    means: Mapping[str, Mapping[Site, Tensor]],
    outside: Mapping[Site, Tensor],
) -> list[Arm]:
    """The label in the neurons' place, what is left of them, and ablations by every reference."""
    run, label = one.run, of.label.affine()
    (claimed,) = arms.claims(run, sites, [label])
    condition = claimed.conditions["total"]
    assert isinstance(condition, Edited)
    own = means[run.text.name]
    found = [claimed, arms.ablation(run, REFERENCE, sites), arms.ablation(run, "zero", sites)]
    found += [
        arm(keeping(name, kept, condition, of.label, own, run.subject.shape), role="fitted",
            of=claimed.name, says=names.says[kept])
        for kept, name in names.kept.items()
    ]  # fmt: skip
    fitted_on = run.subject.remembered
    constants = {f"mean of {name}": values for name, values in means.items()} | {OUTSIDE: outside}
    found += [
        arm(constant(name, values, fitted_on), role="ablation", says=f"Put at the {name}.")
        for name, values in constants.items()
    ]
    if len(sites) > 1:
        for site in sites:
            (single,) = arms.claims(run, (site,), [label], controls=())
            found.append(single.called(names.claims[str(site)], of=claimed.name))
    groups: dict[str, Sequence[Site]] = {names.alone[str(site)]: (site,) for site in units}
    if len(units) > 1:
        groups[names.everyone] = units
        groups |= {names.without[str(site)]: [u for u in units if u != site] for site in units}
    if len(units) == len(sites) and one.run.text.name != of.run.texts[0].name:
        groups = {names.alone[str(site)]: (site,) for site in units}
    made = arms.ablations(run, REFERENCE, list(groups.values()))
    found += [one.called(name, of="") for name, one in zip(groups, made, strict=True)]
    return found


def _on_twin(
    of: LabelQuestion, texts: Sequence[_On], many: int, names: Names
) -> tuple[tuple[TokensMeasured, ...], Reading | None]:
    """The same with random weights: its own best neurons by the same search, on few documents.

    Nothing where none goes with the label there, as where the few are all of one kind.
    """
    with of.run.timed(TWIN):
        twin = of.run.of(of.run.subject.twin(of.run.settings.seed))
        small = [_On(twin.on(few(one.run.text)), one.fit, one.eval, {}) for one in texts]
        first = small[0].run
        fit = {block.document for block in first.text.fit}
        said = Said({name: one for name, one in small[0].fit.number.items() if name in fit})
        every = np.concatenate([yes[1:] for yes in said.yes.values()])
        units = _ranked(of, first, said, many) if every.any() and not every.all() else []
        if not units:
            return (), None
        read = first.observe(units)
        detectors = {str(s): fitted(*_tokens(read, s, said), of.prevalence) for s in units}
        (claim,) = arms.claims(first, units, [of.label.affine()], controls=())
        claim = claim.called(names.claim, role="twin")
        measured = first.measure(
            arms.ablation(first, REFERENCE, units), claim, what="the label there"
        )
        return tuple(_scored(one, units).with_detectors(detectors) for one in small), measured
