//! The tests that mostly wait, side by side. Each is in the file of its subject.

use crate::{pty_flow, pty_storms, restore, side_by_side::side_by_side, tense_linux};

#[test]
fn programs_that_are_watched_for_seconds() {
    side_by_side![
        pty_storms::a_terminal_that_does_not_read_for_20_seconds_then_shows_the_latest_state,
        tense_linux::the_screen_shows_failing_or_exhausted_whenever_connect_fails,
        tense_linux::a_longer_sample_scans_each_second_and_counts_full_scans,
        pty_flow::a_refresh_without_change_writes_only_the_age,
        pty_flow::a_refresh_with_100_changed_ports_writes_at_most_6_kb,
        pty_flow::an_allocator_step_at_4_per_second_writes_at_most_2_kb,
        pty_flow::keys_are_answered_on_a_slow_terminal,
        restore::an_idle_program_uses_no_cpu_time,
    ];
}
