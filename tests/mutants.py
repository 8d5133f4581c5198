"""Every check must be able to fail: source edits that must each turn a named test red.

    make mutants        (or: python tests/mutants.py [number …])

Works on a copy of the checkout. An edit that no longer applies is an error too: mend the list.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """An edit that makes the code wrong, and a test that must notice."""

    file: str
    """Below `src/unexplained`."""
    right: str
    wrong: str
    test: str
    """Test id below `tests`."""


MUTANTS = (
    # the numbers
    Mutant("bars/recovered.py", "worse - better,", "better - worse,",
           "test_bars.py::test_recovered_and_variance_by_hand"),
    Mutant("bars/recovered.py", "unexplained - explained,", "unexplained,",
           "test_bars.py::test_recovered_and_variance_by_hand"),
    Mutant("bars/context.py", "whole_late - late.columns[i]", "late.columns[i]",
           "test_bars.py::test_the_gain_in_context_by_hand"),
    Mutant("bars/thresholds.py", "number.value - by", "number.value + by",
           "test_bars.py::test_distances_are_to_every_bar_with_the_interval_moved_along"),
    Mutant("stats.py", "if size.low <= 0:", "if size.low <= -1:",
           "test_stats.py::test_a_denominator_of_noise_is_named_with_its_size_and_the_tokens_it_would_take"),
    Mutant("stats.py", "if size.high < 0:", "if False:",
           "test_stats.py::test_a_negative_denominator_is_refused_by_its_own_name"),
    Mutant("stats.py", "cut, last = math.floor(tail * (distribution.size - 1))",
           "cut, last = math.floor(3 * tail * (distribution.size - 1))",
           "test_stats.py::test_the_interval_holds_scipys_percentile_interval_and_is_close_to_it"),
    Mutant("stats.py", "- other.sum() / others.sum())", "- other.sum() / tokens.sum())",
           "test_stats.py::test_a_difference_of_means_is_its_formula_and_its_interval_scipys"),
    # losses
    Mutant("evaluate/score.py", "apart[name] * shrink + moved", "apart[name] + moved",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("evaluate/score.py", "self.total * shrink +", "self.total +",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("evaluate/score.py", "where + start", "where",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("evaluate/evaluate.py", "predicted = batch.valid[:, 1:]", "predicted = batch.valid[:, :-1]",
           "test_assay.py::test_documents_of_different_length_are_padded_without_a_trace"),
    Mutant("evaluate/evaluate.py", "batch.tokens[:, 1:][predicted]", "batch.tokens[:, :-1][predicted]",
           "test_assay.py::test_losses_are_cross_entropies_and_kl_is_what_its_formula_says"),
    # the engine
    Mutant("subject/attention.py", "@ self.get(head, \"k\").transpose(-1, -2) * self._scaling",
           "@ self.get(head, \"k\").transpose(-1, -2)",
           "test_engine.py::test_patterns_are_attention_and_give_z"),
    Mutant("subject/attention.py", "return self._key[:, head // self._group]",
           "return self._key[:, head % self._key.shape[1]]",
           "test_engine.py::test_patterns_are_attention_and_give_z"),
    Mutant("subject/run.py", "moved = mine.get(head, \"z\") - z[:, :, head]", "moved = mine.get(head, \"z\")",
           "test_engine.py::test_a_direct_effect_is_the_total_one_where_nothing_downstream_reacts"),
    Mutant("subject/anatomy.py", "gain = gain + 1 if self.family.norm == \"rms, 1 + gain\" else gain",
           "gain = gain", "test_engine.py::test_the_frozen_norm_is_the_norm_where_nothing_is_added_and_linear"),
    Mutant("subject/edits.py", "if not bool(torch.isfinite(new).all()):", "if False:",
           "test_engine.py::test_edits_that_cannot_stand_are_errors_that_name_the_site"),
    # ablations and explanations
    Mutant("ablations/resample.py", "new[row, 1:length]", "new[row, :length]",
           "test_ablations.py::test_a_resampled_site_keeps_the_first_token_and_takes_the_rest_from_one_donor"),
    Mutant("ablations/position_mean.py", "total[:length] += (value * shown).sum(0)",
           "total[:length] += value.sum(0)", "test_ablations.py::test_means_are_those_of_loops"),
    Mutant("ablations/mean.py", "activations.flat(value_site(site))",
           "activations.batches[0][1][value_site(site)].flatten(0, 1)",
           "test_ablations.py::test_means_are_those_of_loops"),
    Mutant("explanations/fit.py", "(1 - pattern.sum(-1, keepdim=True)) * rest", "0 * rest",
           "test_assay.py::test_the_true_explanation_scores_1_and_every_control_holds"),
    Mutant("explanations/fit.py", "min(1.0, max(0.0, float((x * y).sum()) / power))", "float((x * y).sum()) / power * 2",
           "test_ablations.py::test_gates_and_affine_maps_are_those_of_numpy"),
    Mutant("explanations/fit.py", "return matrix, y_mean - x_mean @ matrix", "return matrix, y_mean",
           "test_ablations.py::test_gates_and_affine_maps_are_those_of_numpy"),
    Mutant("explanations/patterns.py", "targets = _shifted(same, 0, 1)", "targets = same",
           "test_assay.py::test_the_true_explanation_scores_1_and_every_control_holds"),
    Mutant("explanations/protocol.py", "if name not in self._reads:", "if False:",
           "test_assay.py::test_an_explanation_that_cannot_stand_in_is_an_error"),
    # sweeps
    Mutant("assays/sweep.py", "q = false_discovery_control(p)", "q = p / 2",
           "test_sweep.py::test_p_values_are_corrected_for_the_number_of_components"),
    Mutant("assays/sweep.py", "both = Ledger.concat([second,", "both = Ledger.concat([first,",
           "test_sweep.py::test_what_the_strongest_do_together_is_told_of_fresh_documents"),
    Mutant("assays/sweep.py", "if abs(change.sum()) < FLOOR * read.tokens.sum():", "if False:",
           "test_sweep.py::test_the_two_planted_heads_are_told_from_zero_and_no_other"),
    Mutant("assays/sweep.py", "(joint - intact, summed,", "(joint, summed,",
           "test_sweep.py::test_heads_in_a_row_cost_together_what_one_costs"),
    # text and what is kept
    Mutant("text/strata.py", "np.where(repeats, REPEATS,", "np.where(recurs, REPEATS,",
           "test_text_strata.py::test_recurrence_by_hand"),
    Mutant("text/ngrams.py", "self.lower[columns] + self.backoff[contexts, None]",
           "self.lower[columns] + 0 * self.backoff[contexts, None]",
           "test_ngrams.py::test_a_corpus_counted_by_hand"),
    Mutant("evaluate/conditions.py", "return digest(condition.fingerprint, effect)", "return digest(condition.name, effect)",
           "test_assay.py::test_two_conditions_of_one_name_and_a_full_disk_are_errors"),
    Mutant("ledger.py", "np.add.at(total, at, self._columns[name][rows])",
           "total[at] = self._columns[name][rows]",
           "test_ledger.py::test_a_document_in_several_parts_is_added_up"),
    Mutant("fetch.py", "if digest != package.sha256:", "if False:",
           "test_fetch.py::test_a_file_with_another_hash_is_refused_and_deleted"),
    Mutant("report/page.py", "autoescape=True", "autoescape=False",
           "test_report.py::test_no_field_of_a_record_can_put_anything_into_the_page"),
)  # fmt: skip


def survives(mutant: Mutant, copy: Path) -> str:
    """What is wrong with a mutant: it does not apply, or its test stays green; empty if neither."""
    path = copy / "src" / "unexplained" / mutant.file
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.right) != 1:
        return f"the text to be changed occurs {source.count(mutant.right)} times"
    path.write_text(source.replace(mutant.right, mutant.wrong), encoding="utf-8")
    try:
        return "its test stays green" if green([mutant.test], copy) else ""
    finally:
        path.write_text(source, encoding="utf-8")


def green(tests: list[str], copy: Path) -> bool:
    """Whether some tests pass on the copy; a test that is not there is an error."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(tests)}: pytest said\n{done.stdout[-2000:]}{done.stderr}")
    return done.returncode == 0


def main() -> None:
    """Run the mutants whose numbers are given, or all."""
    chosen = [int(word) for word in sys.argv[1:]] or list(range(len(MUTANTS)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, copy / name)
        shutil.copy(ROOT / "pyproject.toml", copy)
        if not green(sorted({MUTANTS[number].test for number in chosen}), copy):
            raise SystemExit("the tests do not pass on the code as it is")
        alive = 0
        for number in chosen:
            wrong = survives(MUTANTS[number], copy)
            alive += bool(wrong)
            mutant = MUTANTS[number]
            print(f"{number}: {mutant.file}: {mutant.wrong!r}: {wrong or 'caught'}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants caught")
    raise SystemExit(alive)


if __name__ == "__main__":
    main()
