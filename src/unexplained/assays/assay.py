"""`assay`: stated explanations put in the place of components, and everything read off at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unexplained.ablations import ABLATIONS, Fill
from unexplained.assays.examples import examples_of
from unexplained.assays.verdict import cruxes_of, verdict_of
from unexplained.bars import bars_of, context_gain, damage, factors, measure_row, reliability
from unexplained.bars.recovered import INTACT
from unexplained.evaluate import Activations, Condition, Edited, Other, evaluate, observe
from unexplained.evaluate.conditions import Effect, distinct
from unexplained.explanations import Fitted, StandIn
from unexplained.ladder.conditions import to_compare, weaker_models
from unexplained.ladder.scale import scale_of
from unexplained.ladder.scatter import seeds_of
from unexplained.ledger import Ledger
from unexplained.progress import Progress
from unexplained.record import AssayRecord, Bars, Check, HeadScore, Kind, Method, Row, TextResult
from unexplained.sites import Site
from unexplained.stats import Settings
from unexplained.study.asked import require_assay
from unexplained.study.controls import IDENTITY, NOTHING, checks_of, controls_of, possible_controls
from unexplained.study.provenance import found_again
from unexplained.study.stated import Ladder
from unexplained.study.twins import few
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text
from unexplained.text.ngrams import NGram, ngrams

REFERENCE = "mean"
IDENTICAL = {IDENTITY.name: "intact", NOTHING.name: REFERENCE}
"""Controls that are another condition by construction: their numbers are no findings."""
"""The ablation that strata, bars and nines are measured against; the others are printed too."""

SINGLE_DOCUMENTS = 32

ADDS = ("H", "N", "attn", "mlp")
"""Components that add to the stream, and so have a direct effect."""


@dataclass(frozen=True)
class _Job:
    """One text of an assay."""

    subject: Subject
    ladder: Ladder
    sites: tuple[Site, ...]
    text: Text
    settings: Settings
    folder: Path | None
    say: Progress


@neutrally
def assay(
    subject: Subject,
    sites: str,
    texts: Text | Sequence[Text],
    *,
    explanations: Sequence[StandIn] | None = None,
    heads: Sequence[HeadScore] = (),
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    twin: bool = True,
    singles: int = 0,
    folder: Path | None = None,
    say: Progress = lambda what, done, total: None,
) -> AssayRecord:
    """Measure explanations of some components, jointly, on one text or several.

    Args:
        subject: The model.
        sites: The components, for example `L18.H6 L17.H3-5`.
        texts: Where to measure. Fills and maps are fitted on each text's own fit part.
        explanations: What is claimed of them, the first being the one shown in detail; the
            induction ladder if not given.
        heads: Behavioural scores to print beside (from `head_scores`).
        settings: Level, resamples and seed.
        twin: Whether to run the random-weight twin as well.
        singles: For how many of the components to measure the claim alone too.
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        MeasurementError: A loss is not finite, or a finished batch cannot be kept.
        UnexplainedError: As in `require_assay`, before anything is run.
    """
    started = time.perf_counter()
    many = [texts] if isinstance(texts, Text) else list(texts)
    ladder, where = require_assay(
        subject, sites, many, explanations=explanations, twin=twin, singles=singles, folder=folder
    )
    results: list[TextResult] = []
    checks: list[Check] = []
    for text in many:
        job = _Job(subject, ladder, where, text, settings, folder, say)
        result, found = _measure(job, twin=twin, singles=singles)
        results.append(result)
        checks += found
    title = f"{ladder.primary.name[:1].upper()}{ladder.primary.name[1:]} in {subject.name}"
    return AssayRecord(
        title=title,
        verdict=verdict_of(results, ladder.primary.name, len(where), REFERENCE),
        sites=tuple(str(site) for site in where),
        reference=REFERENCE,
        heads=tuple(heads),
        texts=tuple(results),
        checks=tuple(checks),
        cruxes=cruxes_of(results, ladder.primary.name, REFERENCE),
        **found_again(subject, settings, started),
    )


def _measure(job: _Job, *, twin: bool, singles: int) -> tuple[TextResult, list[Check]]:
    ladder, text, subject = job.ladder, job.text, job.subject
    primary = ladder.primary
    activations = _observe(job, subject, (*ladder.explanations, *possible_controls(primary)))
    control = primary.control(job.sites, subject.shape, activations, job.settings.seed)
    controls = controls_of(primary, control)
    everything = (*ladder.explanations, *controls)
    fills = _fills(activations, job)
    fitted = {e.name: e.fit(job.sites, subject.shape, activations, job.settings.seed)
              for e in everything}  # fmt: skip
    adds = all(site.part in ADDS for site in job.sites)
    direct = {name: f for name, f in fitted.items()
              if adds and name not in (IDENTITY.name, NOTHING.name)}  # fmt: skip
    tables = ngrams(text, say=job.say)
    mean = fills[REFERENCE]
    conditions: list[Condition] = [
        *(fill.condition() for fill in fills.values()),
        *(f.condition() for f in fitted.values()),
        *(f.condition("direct") for f in direct.values()),
        *([_direct(mean), fitted[primary.name].condition("direct, norm frozen"),
           _direct(mean, "direct, norm frozen")] if adds else []),
        *(Other(table.name, table) for table in tables),
        *(weaker := weaker_models(subject, text)),
    ]  # fmt: skip
    # A claim may be the very code of a control, or of another claim: it is measured once.
    once, names = distinct(conditions)
    ledger = evaluate(
        subject,
        text,
        once,
        keep_tokens=("intact", REFERENCE, names[primary.name]),
        folder=job.folder,
        progress=lambda done, total: job.say(f"measuring on {text.name}", done, total),
    ).also(names)
    rows = [
        *_ablation_rows(job, ledger, fills),
        *_fitted_rows(job, ledger, ladder.explanations, fitted, fills),
        *_table_rows(job, ledger, tables, fills),
        *_fitted_rows(job, ledger, controls, fitted, fills, kind="control"),
    ]
    checks = checks_of(text.name, rows, primary, control, ledger, REFERENCE)
    twin_seconds = None
    if twin:
        began = time.perf_counter()
        rows.append(_twin_row(job))
        twin_seconds = round(time.perf_counter() - began, 1)
    named = [e.name for e in ladder.explanations]
    reading = (
        factors(ledger, ladder.cells, REFERENCE, settings=job.settings) if ladder.cells else None
    )
    return TextResult(
        name=text.name,
        documents=len(text.eval),
        tokens=text.predicted,
        block=text.block,
        fit_documents=len(text.fit),
        fit_tokens=activations.tokens,
        fingerprint=text.fingerprint,
        composition=text.composition,
        notes=(*text.notes, *([reading.sentence] if reading else []), *_gate_notes(fitted)),
        damage={name: damage(ledger, name, settings=job.settings) for name in fills},
        reliability=reliability(ledger, INTACT, settings=job.settings),
        rows=tuple(rows),
        tables=tuple(table.counted for table in tables if table.counted),
        factors=reading.table if reading else (),
        bars=_bars(job, ledger, [*fills, *named], tables, weaker),
        scale=scale_of(
            ledger,
            subject,
            [
                *fills,
                *named,
                *(t.name for t in tables),
                *to_compare(weaker),
            ],
            settings=job.settings,
        )
        if weaker
        else None,
        context=context_gain(ledger, [*fills, *fitted], settings=job.settings),
        singles=_single_rows(job, job.sites[:singles], activations),
        examples=examples_of(subject, text, ledger, primary.name, REFERENCE),
        twin_seconds=twin_seconds,
    ), checks


def _bars(
    job: _Job,
    ledger: Ledger,
    names: Sequence[str],
    tables: Sequence[NGram],
    weaker: Sequence[Other],
) -> tuple[Bars, ...]:
    """Ablations, explanations, tables and weaker models, each as an explanation, on every bar."""
    rungs, seeds = to_compare(weaker), seeds_of(ledger)
    baselines = [*(table.name for table in tables), REFERENCE]
    return tuple(
        bars_of(ledger, name, baselines, rungs, seeds=seeds, settings=job.settings)
        for name in [*names, *(table.name for table in tables), *rungs]
    )


def _observe(job: _Job, subject: Subject, explanations: Sequence[StandIn]) -> Activations:
    needed = [s for e in explanations for s in e.observes(job.sites, subject.shape)]
    return observe(
        subject,
        job.text,
        list(dict.fromkeys(needed)),
        folder=job.folder,
        progress=lambda done, total: job.say(
            f"reading the fit part of {job.text.name}", done, total
        ),
    )


def _fills(activations: Activations, job: _Job) -> dict[str, Fill]:
    return {
        name: ablation.fit(activations, job.sites, job.settings.seed)
        for name, ablation in ABLATIONS.all().items()
        if ablation.fits_on == "fit"
    }


def _row(
    job: _Job,
    ledger: Ledger,
    name: str,
    fills: Mapping[str, Fill],
    *,
    kind: Kind,
    says: str,
    method: Method,
    about: Mapping[str, Any] | None = None,
) -> Row:
    directs = {
        label: (f"{name} ({effect})", f"{REFERENCE} ({effect})")
        for label, effect in (("norm free", "direct"), ("norm frozen", "direct, norm frozen"))
        if f"{name} ({effect})" in ledger.conditions and name != REFERENCE
    }
    numbers = measure_row(
        ledger,
        name,
        ablations=list(fills),
        reference=REFERENCE,
        direct=directs,
        variance=directs.get("norm free"),
        settings=job.settings,
        same=IDENTICAL.get(name, ""),
    )
    return Row(name=name, kind=kind, says=says, method=method, **numbers, **(about or {}))  # type: ignore[arg-type]


def _ablation_rows(job: _Job, ledger: Ledger, fills: Mapping[str, Fill]) -> list[Row]:
    return [
        _row(job, ledger, name, fills, kind="ablation",
             says=f"Nothing is claimed: {ABLATIONS.get(name).says}.", method="internals")
        for name in fills
    ]  # fmt: skip


def _fitted_rows(
    job: _Job,
    ledger: Ledger,
    explanations: Sequence[StandIn],
    fitted: Mapping[str, Fitted],
    fills: Mapping[str, Fill],
    kind: Kind | None = None,
) -> list[Row]:
    rows = []
    for e in explanations:
        shown: Kind = kind or ("fitted" if e.is_fitted else "explanation")
        rows.append(
            _row(
                job,
                ledger,
                e.name,
                fills,
                kind=shown,
                says=e.says,
                method=e.method,
                about=_about(e, fitted[e.name]),
            )
        )
    return rows


def _table_rows(
    job: _Job, ledger: Ledger, tables: Sequence[NGram], fills: Mapping[str, Fill]
) -> list[Row]:
    return [
        _row(job, ledger, table.name, fills, kind="baseline", method="black-box",
             says=table.says)
        for table in tables
    ]  # fmt: skip


def _twin_row(job: _Job) -> Row:
    """The primary claim on a model with random weights, its own fills and its own denominator."""
    primary = job.ladder.primary
    twin = job.subject.twin(job.settings.seed)
    job = replace(job, subject=twin, text=few(job.text))
    activations = _observe(job, twin, [primary])
    fills = _fills(activations, job)
    fitted = primary.fit(job.sites, twin.shape, activations, job.settings.seed)
    mean = fills[REFERENCE]
    conditions: list[Condition] = [
        fitted.condition(),
        *(fill.condition() for fill in fills.values()),
        *(
            [fitted.condition("direct"), _direct(mean)]
            if all(site.part in ADDS for site in job.sites)
            else []
        ),
    ]
    suffix = "on the random-weight twin"
    ledger = _evaluate(job, conditions, f"{primary.name} {suffix}")
    row = _row(job, ledger, primary.name, fills, kind="twin", says=primary.says,
               method=primary.method, about=_about(primary, fitted))  # fmt: skip
    own = {name: damage(ledger, name, settings=job.settings) for name in fills}
    some = len(job.text.eval)
    return row.model_copy(
        update={"name": f"{primary.name} {suffix}", "damage": own, "documents": some}
    )


def _single_rows(job: _Job, sites: Sequence[Site], activations: Activations) -> tuple[Row, ...]:
    """The primary claim at each site alone, against the reference ablation of that site alone."""
    if not sites:
        return ()
    primary, shape = job.ladder.primary, job.subject.shape
    job = replace(job, text=job.text.first(SINGLE_DOCUMENTS))
    claims = {s: primary.fit((s,), shape, activations, job.settings.seed) for s in sites}
    conditions: list[Condition] = []
    for site, fitted in claims.items():
        fill = ABLATIONS.get(REFERENCE).fit(activations, (site,), job.settings.seed)
        claim = fitted.condition()
        conditions += [
            replace(claim, name=f"{primary.name} at {site} alone"),
            fill.condition(f"{REFERENCE} at {site} alone"),
        ]
    ledger = _evaluate(job, conditions, f"{primary.name} at one site alone")
    rows = []
    for site, fitted in claims.items():
        name, against = f"{primary.name} at {site} alone", f"{REFERENCE} at {site} alone"
        numbers = measure_row(
            ledger, name, ablations=[against], reference=against, direct={}, variance=None,
            settings=job.settings,
        )  # fmt: skip
        numbers["recovered"] = {REFERENCE: numbers["recovered"][against]}
        rows.append(
            Row(
                name=name,
                kind="explanation",
                says=primary.says,
                method=primary.method,
                damage={REFERENCE: damage(ledger, against, settings=job.settings)},
                documents=len(job.text.eval),
                **numbers,
                **_about(primary, fitted),
            )
        )
    return tuple(rows)


def _direct(fill: Fill, effect: Effect = "direct") -> Edited:
    return replace(fill.condition(f"{REFERENCE} ({effect})"), effect=effect)


def _evaluate(job: _Job, conditions: Sequence[Condition], what: str) -> Ledger:
    return evaluate(
        job.subject,
        job.text,
        conditions,
        folder=job.folder,
        progress=lambda done, total: job.say(what, done, total),
    )


def _about(explanation: StandIn, fitted: Fitted) -> dict[str, Any]:
    """What a row says of a claim besides its numbers."""
    return {
        "reads": explanation.reads,
        "leaves": explanation.leaves,
        "description": fitted.description,
    }


def _gate_notes(fitted: Mapping[str, Fitted]) -> list[str]:
    return [
        f"{name}: fitted scalars "
        + ", ".join(f"{site} {gate:.2f}" for site, gate in one.gates.items())
        for name, one in fitted.items()
        if one.gates
    ]
