"""What `make test` passes over and `make test-all` runs: the rest of long matrices, and some slow tests.

A matrix here takes seconds, and each of its cases says nearly what the others say: some of them, from its
first to its last, would notice what breaks all. A slow test that is passed over whole has a shorter one
beside it. Whoever changes what these are about, or sends a release, runs them all. A test that does one thing
many times over is not listed here: it asks the fixture `thorough` how often.
"""

from __future__ import annotations

__all__ = ["CASES", "passed_over"]

from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CASES = {
    # The script of a bundle takes a third of a second for each log, most of it to compile its program.
    "attacks/test_forged_judgements.py": {
        "test_and_without_cryoflux_too": 4,
    },
    "attacks/test_freed_versions.py": {
        "test_stock_tools_hold_a_prune_to_the_same": 2,
    },
    "attacks/test_joules_of_several_meters.py": {
        "test_a_figure_is_the_sum_of_its_parts_to_both": 4,
    },
    "attacks/test_rollbacks.py": {
        "test_stock_tools_hold_a_move_to_the_same": 2,
    },
    "attacks/test_shell_decisions.py": {
        "test_a_chain_gets_the_verdict_of_verify": 3,
        "test_a_gain_in_many_examples_is_compared_to_the_last_digit": 3,
        "test_a_gain_that_a_double_rounds_up_is_no_gain": 2,
        "test_a_reason_that_is_due_is_taken": 5,
        "test_a_z_whose_square_is_beyond_doubles_is_no_other_one": 2,
    },
    "attacks/test_shell_model_files.py": {
        "test_a_folder_holds_what_is_listed_and_nothing_else": 3,
        "test_a_list_that_verify_cannot_read_covers_nothing": 4,
        "test_files_that_are_listed_are_taken_wherever_they_lie": 2,
    },
    "attacks/test_shell_rounds.py": {
        "test_a_node_may_say_who_it_is_before_its_first_attempt_which_has_to_bear_it_out": 2,
    },
    "attacks/test_shell_verdicts.py": {
        "test_a_checkpoint_gets_the_verdict_of_verify": 6,
        "test_a_further_line_gets_the_verdict_of_verify": 4,
        "test_a_further_text_gets_the_verdict_of_verify": 2,
        "test_a_lie_gets_the_verdict_of_verify": 4,
        "test_a_log_gets_the_verdict_of_verify": 5,
        "test_a_log_key_is_held_to_what_the_first_entry_says": 2,
        "test_an_entry_gets_the_verdict_of_verify": 40,
        "test_every_weak_spelling_of_a_log_key_is_refused": 4,
        "test_innocent_words_are_not_accused": 2,
        "test_other_bytes_get_the_verdict_of_verify": 5,
        "test_other_envelopes_get_the_verdict_of_verify": 3,
        "test_phases_get_the_verdict_of_verify": 3,
    },
    "unit/receipts/test_bundle.py": {
        "test_a_signed_lie_is_found_too": 5,
        "test_no_byte_of_any_file_can_be_another": 0,
        "test_no_byte_of_keys_and_checkpoint_can_be_another": 0,
        "test_whatever_is_changed_is_named": 4,
    },
    # A browser opens a window for each.
    "attacks/test_browsers_that_hang.py": {
        "test_no_browser_holds_the_pages_up_or_writes_to_the_terminal": 1,
    },
    "attacks/test_checked_in_a_browser.py": {
        "test_a_browser_names_what_is_not_as_it_was_signed": 3,
        "test_a_server_that_never_ends_is_left_with_a_sentence": 2,
        "test_what_an_owner_leaves_out_or_spells_so_that_a_browser_misreads_it_does_not_hold": 5,
    },
    "attacks/test_looking_at_pages.py": {
        "test_what_a_state_says_stays_text_on_every_page": 3,
    },
    "attacks/test_names_of_folders.py": {
        "test_every_link_of_a_state_leads_to_it_whatever_its_folder_is_called": 3,
    },
    "integration/test_live_in_a_browser.py": {
        "test_the_page_of_a_run_that_goes_on_fits_and_draws_its_watts": 1,
    },
    "integration/test_page_models.py": {
        "test_any_other_form_changes_nothing": 4,
    },
    "integration/test_pages_in_a_browser.py": {
        "test_a_page_fits_says_no_error_and_can_be_used_by_all": 6,
        "test_a_page_is_whole_without_a_script": 3,
        "test_a_state_where_nothing_was_tried_has_pages_too": 2,
    },
    # Runs that train, servers, processes.
    "attacks/test_bad_peers.py": {
        "test_it_changes_no_mirror_where_a_bundle_is_due": 7,
        "test_what_is_no_answer_is_an_unreachable_peer": 8,
    },
    "attacks/test_claimed_sizes.py": {
        "test_a_model_as_transformers_saves_it_is_all_there": 12,
    },
    "attacks/test_composed_lists.py": {
        "test_an_honest_state_of_another_machines_arithmetic_is_not_accused": 0,
    },
    "attacks/test_flipped_bytes.py": {
        "test_a_flipped_bit_is_named_and_located_or_changes_nothing": 5,
    },
    "attacks/test_hostile_documents.py": {
        "test_pdf_says_what_it_is_about_and_no_more": 3,
    },
    "attacks/test_hostile_files.py": {
        "test_it_is_refused_in_bounded_memory": 4,
        "test_what_is_merely_large_is_read": 1,
    },
    "attacks/test_hostile_model_folders.py": {
        "test_a_template_that_never_ends_or_fills_the_memory_is_refused": 2,
    },
    "attacks/test_lying_witnesses.py": {
        "test_of_contested_bytes_what_is_here_already_stays_and_counts_for_nobody": 2,
        "test_who_is_told_to_be_first": 4,
    },
    "attacks/test_pages_beside_a_run.py": {
        "test_pages_answer_whatever_streams_the_run_has": 2,
    },
    "attacks/test_retrained_language_models.py": {
        "test_what_was_trained_otherwise_is_not_reproduced": 1,
    },
    "attacks/test_strange_databases.py": {
        "test_nothing_beside_a_database_is_waited_for_or_changed": 5,
    },
    "integration/test_accidents.py": {
        "test_a_kill_at_any_step_loses_no_receipt_and_no_joule": 7,
    },
    "integration/test_agent_under_fire.py": {
        "test_garbage_is_refused": 4,
    },
    "integration/test_carried_attempts.py": {
        "test_a_run_that_was_killed_goes_on_with_the_chain": 1,
        "test_weighed_classes_stand_in_the_intent_and_are_weighed_again": 0,
    },
    "integration/test_causal_families.py": {
        "test_an_update_learns_and_its_version_is_what_peft_merges": 4,
    },
    "integration/test_causal_run.py": {
        "test_other_shapes_run_and_documents_may_cost_thousands_of_nats": 1,
    },
    "integration/test_completion.py": {
        "test_bash_completes_what_is_typed": 2,
    },
    "integration/test_composed_versions.py": {
        "test_one_that_is_killed_while_it_composes_loses_nothing": 1,
    },
    "integration/test_example_tasks.py": {
        "test_a_task_of_ones_own_improves_and_verifies": 2,
    },
    "integration/test_fleet_chaos.py": {
        "test_a_coordinator_whose_disk_fills_ends_with_that_and_loses_nothing": 0,
    },
    "integration/test_fleet_machine_meter.py": {
        "test_what_a_dead_coordinator_had_lent_is_settled_by_it_alone": 0,
        "test_where_others_have_overdrawn_it_a_lease_is_not_begun": 0,
    },
    "integration/test_gathering.py": {
        "test_a_peer_that_answers_oddly_is_left_and_had_once_it_does_not": 4,
    },
    "integration/test_index.py": {
        "test_a_killed_run_leaves_an_index_that_serves_and_the_next_one_goes_on": 1,
        "test_a_watched_run_that_sleeps_wakes_when_documents_come": 0,
        "test_a_worse_encoder_is_refused_and_the_old_index_serves_on": 0,
    },
    "integration/test_judging_models.py": {
        "test_every_family_is_judged": 3,
    },
    "integration/test_killed_moves.py": {
        "test_a_move_has_happened_by_its_entry_or_not_at_all": 6,
        "test_what_is_freed_was_said_to_be_before": 3,
    },
    "integration/test_newcomers.py": {
        "test_a_slip_of_the_pen_begins_no_state": 3,
        "test_two_nodes_with_the_same_settings_begin_with_one_version_and_two_seeds": 0,
        "test_what_it_is_trained_on_judges_nothing": 0,
    },
    "integration/test_outputs_on_a_full_disk.py": {
        "test_nothing_half_written_lies_under_the_name": 6,
    },
    "integration/test_pulling.py": {
        "test_a_mirror_has_what_the_peer_has_each_time_it_has_grown": 1,
        "test_two_histories_are_proven_to_anybody_and_nothing_here_changes": 2,
        "test_what_was_not_signed_changes_nothing_and_accuses_nobody": 3,
    },
    "integration/test_quiet_contract.py": {
        "test_one_answer_that_was_tampered_with_neither_breaks_a_contract_nor_dates_anything": 1,
    },
    "integration/test_rounds.py": {
        "test_a_round_that_is_killed_has_one_record_and_one_look": 3,
        "test_what_a_dead_round_composed_is_made_again_or_nothing_is_said": 0,
    },
    "integration/test_run_with_agent.py": {
        "test_a_daemon_does_the_same_job_as_the_embedded_meter": 0,
    },
    "integration/test_watched_runs.py": {
        "test_a_run_outlasts_its_daemon_and_an_empty_bucket": 0,
        "test_what_a_crash_leaves_of_a_grown_set_is_thrown_away_and_joins_again": 0,
    },
    "unit/data/test_any_bytes.py": {
        "test_files_that_were_spoiled": 5,
    },
    "unit/decision/test_holdout_lives.py": {
        "test_a_life_has_the_verdicts_of_the_projects_own_functions": 10,
    },
    "unit/decoder/test_decoder_exact.py": {
        "test_neither_batch_nor_order_nor_threads_change_an_integer": 2,
        "test_the_processors_kernels_do_not_change_an_integer": 1,
    },
    "unit/encoder/test_encoder.py": {
        "test_every_gradient_is_the_one_that_peft_computes": 6,
    },
    "unit/energy/account/test_ledger.py": {
        "test_a_kill_at_any_statement_of_the_upgrade_leaves_the_old_account_or_the_new": 1,
    },
    "unit/energy/test_children_coverage.py": {
        "test_the_interval_of_a_process_with_children_holds_the_truth": 1,
    },
    "unit/energy/test_coverage.py": {
        "test_a_95_percent_interval_holds_the_truth_in_93_to_97_of_100_windows": 2,
    },
    "unit/energy/test_fault_matrix.py": {
        "test_a_settlement_of_a_real_daemon_holds_the_truth_and_carries_the_flag": 1,
    },
    "unit/energy/test_idle_noise.py": {
        "test_an_hour_at_rest_mints_no_more_than_a_thousandth_of_the_idle_energy": 1,
        "test_a_baseline_that_is_off_mints_just_its_own_error_and_the_interval_says_so": 1,
    },
    "unit/evaluation/test_identity.py": {
        "test_the_instruction_set_does_not_change_an_integer": 2,
    },
    "unit/runs/test_dry_run.py": {
        "test_a_run_and_its_plan_are_refused_alike_and_write_nothing": 4,
    },
    "unit/tasks/index/test_likeness.py": {
        "test_a_cosine_is_rounded_down_to_thousandths_exactly": 6,
    },
    "unit/tasks/lora/test_chain.py": {
        "test_a_chain_that_was_cut_holds_the_same_bits_as_one_that_was_not": 3,
    },
}
"""file → its tests, with how many of their cases `make test` runs; none where one is passed over"""


def passed_over(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """The tests that are not run, of all that were collected: what is kept of a matrix lies evenly in it."""
    cases: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        test = getattr(item, "originalname", item.name)
        cases.setdefault((item.path.relative_to(TESTS).as_posix(), test), []).append(item)
    over: set[pytest.Item] = set()
    for file, tests in CASES.items():
        for test, count in tests.items():
            every = cases.get((file, test), [])
            over |= {*every} - {*_spread(every, count)}
    return over


def _spread(every: Sequence[pytest.Item], count: int) -> list[pytest.Item]:
    """So many of them, from the first to the last."""
    if count >= len(every):
        return [*every]
    return [every[(2 * number + 1) * len(every) // (2 * count)] for number in range(count)]
