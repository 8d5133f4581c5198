"""The same answers on another device: every kind of measurement on `cpu` and on, say, `cuda`.

    python tests/elsewhere.py --device cuda [--out numbers.json]

Not a pytest module: a test machine has no GPU, and a test that is skipped there would only look
like one. Tiny models of every architecture (random weights), planted models and two rungs of the ladder
are measured in every way that the command line offers, on both devices; the greatest difference
is printed beside what float32 allows, and the script fails where one is larger. `test_devices.py`
runs the script itself on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

import unexplained as ux
from exact import PAIRS, text_of
from test_assay import make_text
from tiny import ADDITIVE, CONFIGS, VOCABULARY, there, tiny_model, tiny_tokenizer
from unexplained.ablations import ABLATIONS, fitted, record_for
from unexplained.circuits.edges import attribute_edges
from unexplained.circuits.nodes import attribute_nodes
from unexplained.evaluate import Condition, Edited, evaluate
from unexplained.ladder.family import weaker_models
from unexplained.record import Number, Record
from unexplained.record.blocks import Table
from unexplained.record.ids import walk
from unexplained.subject import Batch, Subject
from unexplained.testbeds import planted
from unexplained.testbeds.texts import repeated

SETTINGS = ux.Settings(resamples=200)
WHERE = "L*.H* L*.mlp L1.H*.q L1.H*.k L1.H*.v L1.attn L2.resid_pre L1.N3 final"
Numbers = dict[str, np.ndarray]


def architecture(name: str, device: str) -> Subject:
    """A tiny model of an architecture."""
    return ux.load(tiny_model(name), tokenizer=tiny_tokenizer(), device=device, name=name)


def words(subject: Subject, documents: int = 8, length: int = 24) -> ux.Text:
    """Random tokens."""
    rng = np.random.default_rng(3)
    fit, measured = rng.integers(0, VOCABULARY, (2, documents, length))
    return make_text("words", subject, fit, measured)


def ledger_of(ledger: Any) -> Numbers:
    """Every sum of a ledger."""
    return {
        f"{name} {column}": values
        for name in ledger.conditions
        for column in ("loss", "kl", "logit_difference", "error")
        if np.isfinite(values := np.asarray(getattr(ledger.sums(name), column))).any()
    }


def numbers_of(record: BaseModel) -> Numbers:
    """Every float of a record but times."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
        if isinstance(value, dict) and value.get("key") != "seconds":
            for key, inner in value.items():
                if key not in ("seconds", "took", "provenance", "machine", "created", "versions"):
                    yield from walk(inner, f"{path}.{key}")
        elif isinstance(value, list | tuple):
            for i, inner in enumerate(value):
                yield from walk(inner, f"{path}[{i}]")
        elif isinstance(value, float) and np.isfinite(value):
            yield path, np.array(value)

    return dict(walk(record.model_dump(), ""))


def cells_of(record: Record) -> Numbers:
    """Every number of a record's tables by its id, but times."""
    found: Numbers = {}
    for above, table in walk(record.blocks):
        for row in table.rows if isinstance(table, Table) else ():
            for column, cell in zip(table.columns, row.cells, strict=True):
                at = f"{above}/{table.key}/{row.key}/{column.key}"
                if isinstance(cell, Number):
                    ends = (cell.value, cell.low, cell.high)
                    found[at] = np.array([np.nan if end is None else end for end in ends])
                elif isinstance(cell, float) and row.key != "seconds":
                    found[at] = np.array(cell)
    return found


def whole_pass(name: str, device: str) -> Numbers:
    subject = architecture(name, device)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, VOCABULARY, (3, 12), generator=generator).to(device)
    done = subject.run(Batch.of(tokens), keep=subject.sites("L1.H1.pattern L1.H1.q L2.mlp"))
    found = {str(site): value for site, value in done.values.items()}
    found |= {"normed": done.normed, "logits": subject.logits(done.normed)}
    return {key: value.double().cpu().numpy() for key, value in found.items()}


def ablated(name: str, device: str) -> Numbers:
    """Every ablation of every kind of site, total and direct, on running text."""
    subject = architecture(name, device)
    text, sites = words(subject), subject.sites("L*.H* L*.mlp")
    conditions: list[Condition] = []
    for kind in ("zero", "mean", "position mean", "resample", "matched noise"):
        fills = fitted(ABLATIONS.get(kind), subject, text, [[site] for site in sites], 0)
        made = [f.condition(f"{kind} {site}") for f, site in zip(fills, sites, strict=True)]
        conditions += made
        conditions += [
            Edited(f"{c.name} direct", c.edits, f"{c.fingerprint} direct", effect="direct")
            for c in made[:4]
            if isinstance(c, Edited)
        ]
    return ledger_of(evaluate(subject, text, conditions))


def patched(name: str, device: str) -> Numbers:
    """Patches on pairs, after a prefix and side by side."""
    subject, text = architecture(name, device), text_of(*PAIRS)
    patch, sites = ABLATIONS.get("patch"), subject.sites(there(subject, WHERE))
    recorded = record_for(patch, subject, text, sites)
    conditions = [patch.fit(recorded, [site], 0).condition(str(site)) for site in sites]
    return ledger_of(evaluate(subject, text, conditions))


def attributed(name: str, device: str) -> Numbers:
    """Edges (which models with post-norms do not have) and nodes."""
    subject, text = architecture(name, device), text_of(*PAIRS)
    found: Numbers = {}
    for method in () if name not in ADDITIVE else ("eap", "eap-ig-inputs", "eap-ig-activations"):
        found[method] = attribute_edges(subject, text, method=method, steps=3).mean
    ablation, sites = ABLATIONS.get("zero"), subject.sites("L*.H* L*.mlp")
    fills = {site: ablation.fit(record_for(ablation, subject, text, [site]), [site], 0) for site in sites}  # fmt: skip
    for kind in ("atp", "atp*"):
        found[kind] = attribute_nodes(subject, text, fills, method=kind).values
    return found


def plant(device: str) -> tuple[Subject, str, ux.Text]:
    made = planted("half_induction")
    subject = ux.load(made.model, tokenizer=made.tokenizer, device=device, name="half induction")
    tokens = repeated(np.random.default_rng(0), 24, 12)
    text = make_text("repeated", subject, tokens[:12], tokens[12:], second_copy=13)
    return subject, " ".join(map(str, made.sites)), text


def assayed(device: str) -> Numbers:
    subject, sites, text = plant(device)
    return numbers_of(ux.assay(subject, sites, text, settings=SETTINGS, twin=False, singles=0))


def swept(device: str) -> Numbers:
    subject, _, text = plant(device)
    return cells_of(ux.sweep(subject, "L*.H*", text, ablation="zero", settings=SETTINGS))


def scored(device: str) -> Numbers:
    subject, _, text = plant(device)
    found = ux.head_scores(subject, text)
    return {s.site: np.array([s.induction, s.previous_token, s.duplicate_token]) for s in found}


def circuit_of(device: str) -> Numbers:
    subject = architecture("llama", device)
    record = ux.circuit(
        subject, text_of(*PAIRS), methods=("eap",), draws=2, gated=False, settings=SETTINGS
    )
    return numbers_of(record)


def ladder_text(subject: Subject) -> ux.Text:
    rng = np.random.default_rng(7)
    fit, measured = rng.integers(0, subject.shape.vocabulary, (2, 8, 48))
    measured[:, 24:] = measured[:, :24]
    return make_text("words again", subject, fit, measured, second_copy=24)


def weaker(device: str) -> Numbers:
    """A rung with weaker models beside it."""
    subject = ux.load("rung-3", device=device)
    text = ladder_text(subject)
    return ledger_of(evaluate(subject, text, weaker_models(subject, text)))


def rewritten(device: str) -> Numbers:
    subject = ux.load("attention-2", device=device)
    text = ladder_text(subject)
    return numbers_of(ux.rewrite(subject, text, draws=1, settings=SETTINGS))


EVERY_FAMILY: dict[str, Callable[[str, str], Numbers]] = {
    "pass": whole_pass, "ablations": ablated, "patches": patched, "attribution": attributed,
}  # fmt: skip
ONCE: dict[str, Callable[[str], Numbers]] = {
    "assay": assayed, "sweep": swept, "head scores": scored, "circuit": circuit_of,
    "weaker models": weaker, "rewrite": rewritten,
}  # fmt: skip


def far(here: Numbers, there: Numbers) -> tuple[float, str]:
    """The greatest difference over the greatest value of its kind, and where it is."""
    if here.keys() != there.keys():
        odd = sorted(here.keys() ^ there.keys())[:3]
        raise AssertionError(f"other numbers are given: {odd}")
    if not here:
        raise AssertionError("no numbers are given")
    worst = max(here, key=lambda key: _off(here[key], there[key]))
    return _off(here[worst], there[worst]), worst


def _off(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    there = np.isfinite(a)
    scale = max(1.0, float(np.abs(a[there]).max(initial=0)))
    return float(np.abs(a[there] - b[there]).max(initial=0)) / scale


ALLOWED = 2e-4
"""Of the greatest value, or of 1 where that is less: sums over a document of what float32 rounds
in another order. A wrong head, document or position is further off by orders of magnitude."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architectures", nargs="+", default=list(CONFIGS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows, failed = [], 0
    questions: list[tuple[str, Callable[[str], Numbers]]] = [
        (f"{what}, {name}", lambda device, ask=ask, name=name: ask(name, device))
        for what, ask in EVERY_FAMILY.items()
        for name in asked.architectures
    ]
    questions += list(ONCE.items())
    with tempfile.TemporaryDirectory() as cache:
        os.environ["UNEXPLAINED_CACHE"] = cache
        for what, ask in questions:
            start = time.perf_counter()
            row: dict[str, Any] = {"what": what}
            try:
                row["difference"], row["at"] = far(ask("cpu"), ask(asked.device))
                row["right"] = row["difference"] <= ALLOWED
            except Exception as error:
                traceback.print_exc()
                row |= {"right": False, "error": f"{type(error).__name__}: {error}"[:300]}
            failed += not row["right"]
            rows.append(row)
            said = row.get("error") or f"{row['difference']:.1e} at {row['at']}"
            mark = "ok   " if row["right"] else "WRONG"
            print(f"{mark} {what}: {said} ({time.perf_counter() - start:.1f} s)", flush=True)
    if asked.out:
        about = {"device": asked.device, "torch": torch.__version__, "allowed": ALLOWED}
        asked.out.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    if failed:
        raise SystemExit(f"{failed} of {len(rows)} are wrong")
    print(f"all {len(rows)} agree")


if __name__ == "__main__":
    main()
