//! The tests that mostly wait for a timeout of `serve`, side by side. Each is in the file of its
//! subject.

use crate::{serve, serve_abuse, side_by_side::side_by_side};

#[test]
fn servers_that_wait_for_seconds() {
    side_by_side![
        serve::a_drained_port_stays_bound_until_no_late_datagram_arrives,
        serve::a_pid_without_newline_is_answered_after_a_delay,
        serve::a_port_is_reclaimed_after_its_process_ended_unless_it_is_in_use,
        serve::a_released_port_is_quarantined_before_it_is_leased_again,
        serve::ports_are_reclaimed_without_requests,
        serve_abuse::a_server_with_few_descriptors_serves_on_among_silent_connections,
        serve_abuse::silent_clients_are_closed_after_5_seconds_and_delay_nobody,
    ];
}
