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
    # the float32 product, and what edges take their passes from
    Mutant("subject/precision.py", "other_error <= 4 * error", "other_error <= 1e9 * error",
           "test_precision.py::test_what_rounds_to_bfloat16_is_not_taken_however_fast"),
    Mutant("subject/precision.py", "    node = result.grad_fn", "    node = None",
           "test_precision.py::test_a_gradient_goes_back_through_attention_on_torchs_own_product"),
    Mutant("subject/precision.py", "fp32_precision = outside.pop()", "fp32_precision",
           "test_precision.py::test_a_gradient_goes_back_through_attention_on_torchs_own_product"),
    Mutant("subject/prefix.py", "ReadOnlyCache(kept)).rows(which)", "ReadOnlyCache(kept))",
           "test_prefix.py::test_rows_that_begin_alike_are_run_once_and_keep_their_places"),
    Mutant("circuits/edges.py", "alone = ~same.any(-1)", "alone = same.new_ones(len(same))",
           "test_edges.py::test_of_a_pair_and_its_role_swap_every_prompt_is_run_once"),
    Mutant("cli/progress.py", "rate = (done - self.first)", "rate = done",
           "test_cli.py::test_progress_says_rate_and_time_left_however_long_a_step_takes"),
    Mutant("evaluate/store.py", " or found.keys() ^ describes.keys()", "",
           "test_gate.py::test_a_run_folder_is_for_one_run_and_says_how_another_differs"),
    Mutant("assays/sweep.py", "worst = max(tested or effects", "worst = max(effects",
           "test_estimates.py::test_the_verdict_of_a_race_names_no_effect_that_only_the_choosing_documents_saw"),
    Mutant("record/sweep.py", "sum(effect.q is not None for", "sum(True for",
           "test_report_sweep.py::test_pairs_show_their_gate_their_shares_and_their_ranks"),
    Mutant("circuits/edges.py", "both[self.corrupted] - clean", "both[-len(clean) :] - clean",
           "test_edges.py::test_of_a_pair_and_its_role_swap_every_prompt_is_run_once"),
    Mutant("circuits/edges.py", "clean.then(self.others).rows(self.corrupted)", "clean.then(self.others).rows(self.corrupted * 0)",
           "test_edges.py::test_of_a_pair_and_its_role_swap_every_prompt_is_run_once"),
    Mutant("circuits/edges.py", "rows = slice(0, len(self.clean.tokens))",
           "rows = slice(-len(self.clean.tokens), None)",
           "test_edges.py::test_integrated_over_inputs_the_edges_out_of_the_embedding_add_up_to_the_whole_change"),
    Mutant("circuits/edges.py", "[1 - k / steps for k in ks]", "[k / steps for k in ks]",
           "test_edges.py::test_one_step_is_the_clean_prompt"),
    Mutant("circuits/magnitude.py", " * batch.valid[:, None]", "",
           "test_edges.py::test_sizes_of_what_sources_change_are_those_of_kept_outputs"),
    # families by byte
    Mutant("assays/family.py", "first[number], folder) / math.log(2)", "first[number], folder)",
           "test_family.py::test_uniform_models_have_the_bits_of_their_vocabularies"),
    Mutant("assays/family.py", "[start:]) for block, start", "[0:]) for block, start",
           "test_family.py::test_uniform_models_have_the_bits_of_their_vocabularies"),
    Mutant("text/alike.py", "len(self.tokens.prefix) + before - 1)", "len(self.tokens.prefix) + before)",
           "test_family.py::test_the_stretch_begins_where_both_begin_a_token_and_is_given_back"),
    Mutant("text/alike.py", "or not all(self._gives(some, back) for some, back in sides)", "",
           "test_family.py::test_a_tokenizer_that_loses_characters_is_refused_by_name"),
    Mutant("assays/family.py", "computes.index(member.compute) + 1, seed", "len(runs) + 1, seed",
           "test_family.py::test_equal_computes_are_runs_of_one_rung_and_an_own_rung_is_found_again"),
    # conditions side by side
    Mutant("subject/run.py", "for part in stream])]", "for part in stream[::-1]])]",
           "test_prefix.py::test_conditions_side_by_side_are_the_conditions_one_at_a_time"),
    Mutant("subject/run.py", "slice(i * rows, (i + 1) * rows)", "slice(0, rows)",
           "test_prefix.py::test_conditions_side_by_side_are_the_conditions_one_at_a_time"),
    Mutant("evaluate/rows.py", "first += len(places)", "first += 0",
           "test_planner.py::test_patched_margins_and_losses_are_those_of_a_loop_over_prompts"),
    Mutant("evaluate/job.py", "both.view(len(some), -1)", "both.view(len(some), -1).flip(0)",
           "test_planner.py::test_patched_margins_and_losses_are_those_of_a_loop_over_prompts"),
    Mutant("curves/place.py", '"extrapolated by less than single runs scatter"', '""',
           "test_curves.py::test_a_loss_a_little_beyond_the_rungs_is_placed_and_marked"),
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
    Mutant("evaluate/score.py", "apart[name] * shrink + change", "apart[name] + change",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("evaluate/score.py", "self.total * shrink +", "self.total +",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("evaluate/score.py", "where + start", "where",
           "test_score.py::test_losses_divergences_and_predictions_are_those_of_whole_rows"),
    Mutant("text/document.py", "return slice(0, len(self.tokens) - 1)", "return slice(1, len(self.tokens))",
           "test_assay.py::test_losses_are_cross_entropies_and_kl_is_what_its_formula_says"),
    Mutant("text/document.py", "return self.tokens[1:]", "return self.tokens[:-1]",
           "test_assay.py::test_losses_are_cross_entropies_and_kl_is_what_its_formula_says"),
    # the engine
    Mutant("subject/attention.py", "@ keys.transpose(-1, -2) * self._scaling", "@ keys.transpose(-1, -2)",
           "test_engine.py::test_patterns_are_attention_and_give_z"),
    Mutant("subject/attention.py", "return self._key[:, head // self._group, self._before :]",
           "return self._key[:, head % self._key.shape[1], self._before :]",
           "test_engine.py::test_patterns_are_attention_and_give_z"),
    Mutant("subject/hooks.py", "moved = mine.get(head, \"z\") - z[:, :, head]", "moved = mine.get(head, \"z\")",
           "test_engine.py::test_a_direct_effect_is_the_total_one_where_nothing_downstream_reacts"),
    Mutant("subject/anatomy.py", "gain + 1 if self.family.norm == \"rms, 1 + gain\" else gain",
           "gain", "test_engine.py::test_the_frozen_norm_is_the_norm_where_nothing_is_added_and_linear"),
    Mutant("subject/edits.py", "if not _finite(new):", "if False:",
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
    Mutant("assays/effects.py", "np.asarray(false_discovery_control(p))", "p / 2",
           "test_sweep.py::test_p_values_are_corrected_for_the_number_of_components"),
    Mutant("assays/sweep.py", "together(job, reporting, second,", "together(job, choosing, second,",
           "test_sweep.py::test_what_the_strongest_do_together_is_told_of_fresh_documents"),
    Mutant("assays/effects.py", "small = np.abs(self.sums.sum(1)) < self.measure.floor * self.tokens.sum()",
           "small = np.abs(self.sums.sum(1)) < 0",
           "test_sweep.py::test_the_two_planted_heads_are_told_from_zero_and_no_other"),
    Mutant("assays/effects.py", "interaction=per_token(both - intact, summed)", "interaction=per_token(both, summed)",
           "test_sweep.py::test_heads_in_a_row_cost_together_what_one_costs"),
    # pairs, prefixes, side by side
    Mutant("subject/attention.py", "allowed = allowed.tril(self._before)", "allowed = allowed.tril()",
           "test_prefix.py::test_a_query_sees_all_of_the_prefix_even_when_it_is_alone"),
    Mutant("subject/prefix.py", "return _joined(kept.keys, key_states), _joined(kept.values, value_states)",
           "return super().update(key_states, value_states, layer_idx)",
           "test_prefix.py::test_a_prefix_is_read_and_never_written"),
    Mutant("subject/hooks.py", "value[placed.rows] = new", "value[:] = new[:1]",
           "test_prefix.py::test_conditions_side_by_side_are_the_conditions_one_at_a_time"),
    Mutant("evaluate/batches.py", "return min(block.shared", "return 1 + min(block.shared",
           "test_planner.py::test_patched_margins_and_losses_are_those_of_a_loop_over_prompts"),
    Mutant("evaluate/job.py", "wanted = [c for c in wanted if c.name not in finished]\n", "pass\n",
           "test_planner.py::test_only_what_is_new_is_measured_again"),
    Mutant("evaluate/store.py", "lock.acquire()", "pass",
           "test_planner.py::test_two_processes_in_one_folder_are_refused_and_the_first_is_not_harmed"),
    Mutant("assays/gate.py", "accuracy.low > 0.5", "accuracy.low > -1",
           "test_gate.py::test_a_behaviour_that_the_model_does_not_have_is_refused_with_its_accuracy"),
    # attribution and circuits
    Mutant("circuits/graph.py", "real[first : first + self.heads, mlp] = True", "pass",
           "test_edges.py::test_edges_of_two_layers_listed_by_hand"),
    Mutant("circuits/running.py", "chosen = weights[first : first + count, :sources]",
           "chosen = weights[first : first + count, :sources] * 0 + 1",
           "test_circuits.py::test_with_all_edges_it_is_the_clean_model_and_with_none_the_corrupted_one"),
    Mutant("circuits/running.py", "value[:, :, member::group]\n", "value[:, :, 0::group]\n",
           "test_circuits.py::test_a_random_circuit_is_the_slow_sum_over_destinations"),
    Mutant("assays/circuit.py", "trapezoid(np.abs(1 - y), x)", "trapezoid(1 - y, x)",
           "test_circuit_curve.py::test_an_overshoot_counts_for_the_area_and_against_the_distance"),
    Mutant("assays/circuit.py", "smaller = [p for p in points if p.edges < edges]", "smaller = points",
           "test_circuit_curve.py::test_the_whole_model_is_no_knee_and_rounding_is_no_finding"),
    Mutant("assays/effects.py", "row * sign, whole * sign,", "row, whole,",
           "test_sweep.py::test_a_patch_of_everything_is_the_whole_corruption_and_of_nothing_none_of_it"),
    # estimators
    Mutant("assays/estimates.py", "return Swept(effects, intact, *joints", "return Swept(effects, ledger, *joints",
           "test_sweep.py::test_a_control_variates_record_tells_of_the_intact_model_on_all_documents"),
    Mutant("assays/estimates.py", "return np.asarray(found.values[order][:, places].T)",
           "return np.asarray(found.values[:, places].T)",
           "test_estimates.py::test_attribution_is_in_the_order_of_the_documents"),
    Mutant("assays/estimates.py", "strongest = [site for site in found.strongest() if sites.index(site) in selection.kept]",
           "strongest = list(sites)",
           "test_estimates.py::test_the_strongest_of_a_race_are_chosen_by_it"),
    # text and what is kept
    Mutant("text/strata.py", "np.where(repeats, REPEATS,", "np.where(recurs, REPEATS,",
           "test_text_strata.py::test_recurrence_by_hand"),
    Mutant("text/ngrams.py", "self.lower[columns] + self.backoff[contexts, None]",
           "self.lower[columns] + 0 * self.backoff[contexts, None]",
           "test_ngrams.py::test_a_corpus_counted_by_hand"),
    Mutant("evaluate/conditions.py", "return digest(condition.fingerprint, effect)", "return digest(condition.name, effect)",
           "test_assay.py::test_two_conditions_of_one_name_and_a_full_disk_are_errors"),
    Mutant("ledger.py", "np.add.at(total, at, values[rows])",
           "total[at] = values[rows]",
           "test_ledger.py::test_a_document_in_several_parts_is_added_up"),
    Mutant("fetch.py", "if digest != package.sha256:", "if False:",
           "test_fetch.py::test_a_file_with_another_hash_is_refused_and_deleted"),
    Mutant("report/page.py", "autoescape=True", "autoescape=False",
           "test_report.py::test_no_field_of_a_record_can_put_anything_into_the_page"),
    # weaker models, curves and the ladder
    Mutant("bars/gap.py", "weaker - changed,", "changed - weaker,",
           "test_gap.py::test_scores_of_six_documents_by_hand"),
    Mutant("bars/rungs.py", "tail = (1 - settings.level) / len(rungs)", "tail = 1 - settings.level",
           "test_gap.py::test_intervals_are_adjusted_for_the_number_of_rungs"),
    Mutant("bars/concentration.py", 'order = np.argsort(-other, kind="stable")',
           'order = np.argsort(-d, kind="stable")',
           "test_concentration.py::test_noise_looks_concentrated_in_its_own_order_and_not_in_that_of_another_pair"),
    Mutant("curves/curve.py", "return size, compute / (6 * size)", "return size, compute / size",
           "test_curves.py::test_the_frontier_is_the_least_loss_over_sizes_at_each_compute"),
    Mutant("curves/fit.py", "noises = np.sqrt(squares / rng.chisquare(freedom, settings.resamples))",
           "noises = np.full(settings.resamples, np.sqrt(squares / freedom)) * 0.3",
           "test_curves.py::test_intervals_hold_the_planted_truth_about_as_often_as_they_say"),
    Mutant("curves/fit.py", "moved = fitted + np.stack([shifts[rung] for rung in ladder.rungs], axis=1)",
           "moved = fitted + 0 * np.stack([shifts[rung] for rung in ladder.rungs], axis=1)",
           "test_scale.py::test_documents_that_are_hard_for_all_do_not_widen_the_share"),
    Mutant("ladder/own.py", "best = np.minimum.accumulate(losses, axis=0)", "best = losses",
           "test_scale.py::test_the_run_of_a_model_is_read_where_it_first_was_as_good"),
    Mutant("ladder/scale.py", '("own run", "checkpoint"),', '("own run", "annealed"),',
           "test_scale.py::test_the_four_kinds_of_share_are_kept_apart"),
    Mutant("ladder/conditions.py", 'if part(block.document) == "fit"]', "if False]",
           "test_scale.py::test_a_text_that_the_ladder_was_trained_on_is_refused"),
    Mutant("ladder/recipe.py", "return 6 * self.matrices + 6", "return 2 * self.matrices + 6",
           "test_ladder.py::test_flops_are_six_for_every_weight_in_a_matrix_and_attention_by_hand"),
    Mutant("ladder/train.py", "moments.setdefault(int(place), {})[name] = file.get_tensor(key)",
           "moments.setdefault(int(place), {})[name] = 0 * file.get_tensor(key)",
           "test_ladder.py::test_a_run_that_was_killed_ends_in_the_same_weights_bit_for_bit"),
    Mutant("evaluate/conditions.py", "if sites.count(site) > 1:", "if False:",
           "test_rewrite.py::test_joint_conditions_are_refused_where_they_collide_or_are_direct"),
    Mutant("evaluate/job.py", "predictor.predict(self.whole, self.everywhere)",
           "predictor.predict(self.whole, self.everywhere.roll(1, 1))",
           "test_others.py::test_another_model_is_measured_as_if_it_were_the_subject"),
    Mutant("assays/rewrite.py", "name = min(costs,", "name = max(costs,",
           "test_rewrite.py::test_the_planted_head_is_given_the_rule_that_it_follows"),
    Mutant("assays/tasks.py", "mine - weak,", "mine,",
           "test_rewrite.py::test_a_task_that_only_the_model_can_do_appears_all_at_once"),
    Mutant("explanations/calibration.py", "+ 1 / mix", "",
           "test_programs.py::test_a_rule_that_never_failed_is_not_trusted_without_limit"),
    Mutant("ladder/own.py", "value = float(np.exp(places[0] - places[1]))",
           "value = float(np.exp(places[0] - x[-1]))",
           "test_scale.py::test_a_share_between_rungs_by_hand"),
    Mutant("ladder/own.py", "drawn[explained[1] == model[1]] = 1.0", "pass",
           "test_scale.py::test_a_share_between_rungs_by_hand"),
    Mutant("ladder/conditions.py", "if NOTE in subject.notes else None", "",
           "test_scale.py::test_another_model_of_a_rungs_name_is_not_taken_for_it"),
    Mutant("ladder/data.py", "if len(tokens) < 2:", "if False:",
           "test_scale.py::test_a_data_share_is_given_only_for_a_size_that_was_trained_on_less_data"),
    Mutant("ladder/publish.py", "return total / (count * length)", "return total / (count * recipe.context)",
           "test_ladder.py::test_the_loss_on_kept_back_documents_by_hand"),
    Mutant("curves/place.py", "np.where(np.isnan(draws), np.inf, draws)", "np.where(np.isnan(draws), value, draws)",
           "test_curves.py::test_draws_with_both_losses_at_the_floor_count_against_both_ends"),
    Mutant("evaluate/conditions.py", "once.setdefault(key(condition), condition).name",
           "once.setdefault(condition.name, condition).name",
           "test_rewrite.py::test_where_no_rule_is_better_than_the_mean_nothing_is_recovered_and_it_is_measured_once"),
    Mutant("explanations/fit.py", "tables = tables_of(explanation)", "tables = ()",
           "test_programs.py::test_a_component_explanation_may_not_hold_what_its_length_does_not_count"),
    Mutant("report/weaker.py", "share.value is not None\n            for one", "True\n            for one",
           "test_report_compute.py::test_the_terminal_leaves_out_a_kind_of_share_that_nobody_has_and_says_why"),
    # validate first; half precision; logits at −∞; places that cannot be written to
    Mutant("evaluate/score.py", "now.masked_fill(now == -torch.inf, 0.0)", "now",
           "test_score.py::test_words_that_are_ruled_out_add_nothing_and_ruled_out_by_one_alone_are_infinitely_far"),
    Mutant("evaluate/score.py", "missing[name] |= none", "pass",
           "test_score.py::test_a_ruled_out_word_is_infinitely_far_however_small_and_however_early"),
    Mutant("evaluate/score.py", "masked_fill_(nothing | never, 0.0)", "masked_fill_(never, 0.0)",
           "test_score.py::test_the_divergence_of_a_masked_word_by_hand"),
    Mutant("evaluate/score.py", "torch.where(some, careful, moved)", "careful",
           "test_score.py::test_a_row_scores_the_same_bits_whatever_is_ruled_out_in_others"),
    Mutant("evaluate/score.py", "(self.loss, self.kl, self.margin)", "(self.loss, self.kl)",
           "test_score.py::test_a_margin_that_is_infinite_is_not_sound_however_finite_the_loss"),
    Mutant("circuits/measures.py", ".masked_fill(base == -torch.inf, 0.0)", "",
           "test_score.py::test_a_gradient_of_the_divergence_is_finite_where_words_are_ruled_out"),
    Mutant("evaluate/store.py", "            with suppress(OSError, ValueError):\n                staged.unlink()",
           "            staged.unlink(missing_ok=True)",
           "test_paths.py::test_a_place_that_cannot_be_written_to_is_named_by_whoever_was_to_write_there"),
    Mutant("record/base.py", 'f".{uuid.uuid4().hex}.part"', 'f".{path.name}.{uuid.uuid4().hex}.part"',
           "test_paths.py::test_a_file_name_may_be_as_long_as_names_may_be"),
    Mutant("record/base.py", "if not stat.S_ISREG(mode)", "if False",
           "test_paths.py::test_a_device_or_a_pipe_is_no_file_to_write_to"),
    Mutant("record/base.py", "known.setdefault(os.path.realpath(path), what)", "known.setdefault(str(path), what)",
           "test_paths.py::test_two_outputs_of_one_name_are_refused_however_they_are_written"),
    Mutant("subject/precision.py", "known if isinstance(known, dict) else {}", "known",
           "test_paths.py::test_a_damaged_memory_of_decisions_is_measured_again_and_mended"),
    Mutant("fetch.py", "    except OSError:  # below", "    except KeyError:  # below",
           "test_paths.py::test_a_place_that_cannot_be_written_to_is_named_by_whoever_was_to_write_there"),
    Mutant("ablations/resample.py", "new[row, 1:length, :length] = donor[:, :length]", "new[row, 1:length] = donor",
           "test_ablations.py::test_a_resampled_pattern_is_the_donors_as_far_as_the_document_goes_however_it_was_padded"),
    Mutant("explanations/fit.py", "lambda local: explanation(_wide(local), shape)", "lambda local: explanation(local, shape)",
           "test_half.py::test_an_assay_of_every_family_in_half_precision_has_only_numbers_and_its_controls_hold"),
    Mutant("subject/edits.py", "new.dtype != old.dtype and not _finite", "False and not _finite",
           "test_half.py::test_an_edit_beyond_the_range_of_the_models_type_is_refused"),
    Mutant("subject/hooks.py", "added.to(_wide(added.dtype))", "added",
           "test_half.py::test_squared_errors_at_edited_sites_are_summed_in_float32"),
    Mutant("evaluate/conditions.py", "flat.view(torch.uint8).numpy()", "flat.numpy()",
           "test_half.py::test_tensors_of_every_type_have_a_digest_of_their_bytes"),
    Mutant("assays/heads.py", "if not math.isfinite(attention)", "if False",
           "test_half.py::test_what_overflows_float16_is_named_with_the_advice_and_is_never_a_number"),
    Mutant("assays/sweep.py", '    require_choice("method", method, METHODS)\n', "",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("assays/running.py", "        self._require_room()\n", "",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("assays/circuit.py", "    _require_numbers(methods, steps, by, sizes, draws)\n", "",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("assays/gap.py", "    _require_apart((subject, weak), chosen_by)\n", "",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("assays/asked.py", "    alone = within and", "    alone = False and",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("assays/asked.py", "    if singles or len(where) == 1:", "    if singles:",
           "test_first.py::test_two_that_do_not_go_together_are_refused_before_anything_is_run"),
    Mutant("evaluate/evaluate.py", "                    subject.sites(str(site))", "                    pass",
           "test_first.py::test_what_cannot_be_measured_is_refused_before_anything_is_run"),
    Mutant("stats.py", '        require_count("seed", self.seed, least=0)\n', "",
           "test_first.py::test_settings_that_mean_nothing_are_refused_where_they_are_made"),
    Mutant("cli/assay.py", "        require_assay(\n", "        (lambda *a, **k: None)(\n",
           "test_first_cli.py::test_what_the_model_does_not_have_is_refused_before_it_is_run"),
    Mutant("cli/sweep.py", "            ABLATIONS.get(ablation)", "            pass",
           "test_first_cli.py::test_what_needs_no_model_is_refused_before_one_is_loaded"),
    Mutant("cli/__init__.py", 'options.get(name.removesuffix("s"))', "None",
           "test_first_cli.py::test_errors_name_the_options_of_the_command_that_was_called"),
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
