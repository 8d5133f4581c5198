"""Which components matter on text, and whether those that look like induction heads do.

    python benchmarks/matters.py [--documents 135] [--sample 16] [--out results/matters.json]
    python benchmarks/matters.py --exact --device cuda

All heads and MLPs of SmolLM2-135M, mean-ablated, on at least 16,384 tokens of `webmix`: with
`--exact` each on every document (about 100 minutes on two cores, less than one on a GPU); without,
exact on a random sample of the documents, attribution on all of them as a control variate. Beside
it the usual induction scores on repeated random tokens.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import unexplained as ux
from unexplained.fetch import cache_folder

HERE = Path(__file__).parent


def main() -> None:
    """Measure and write one JSON: the sweep's record and the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=135)
    parser.add_argument("--sample", type=int, default=16)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--device")
    parser.add_argument("--sites", default="L*.H* L*.mlp")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "matters.json")
    asked = parser.parse_args()
    subject = ux.load("smollm2-135m", device=asked.device)
    text = ux.text("webmix", subject, documents=asked.documents, fit_documents=64, block=128)
    told: dict[str, int] = {}

    def say(what: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if told.get(what) != tenth:
            told[what] = tenth
            print(f"{what}: {done} of {total}", flush=True)

    method = {} if asked.exact else {"method": "control variates", "sample": asked.sample}
    record = ux.sweep(
        subject, asked.sites, text, **method, folder=cache_folder() / "ledgers", say=say
    )
    repeats = ux.text("repeats", subject, documents=16, fit_documents=8, block=128)
    scores = ux.head_scores(subject, repeats)
    found = {
        "record": json.loads(record.to_json()),
        "induction": {score.site: score.induction for score in scores},
    }
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(record)


if __name__ == "__main__":
    main()
