//! Requests per second that `portscope serve` answers, and its cost per request. `cargo bench
//! --bench serve`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints its table")]

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/lease_server.rs"]
mod lease_server;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/outputs.rs"]
mod outputs;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use folder::Folder;
use lease_server::{LeaseHolder, Server};
use namespace::in_new_namespace;

/// All ports of the default range but some, so that none is refused.
const REQUESTS: u32 = 16_000;
const WANTED: f64 = 5_000.0;

/// USER_HZ, the unit of proc_pid_stat(5), is 100 on every architecture but alpha.
const TICK: Duration = Duration::from_millis(10);

fn main() {
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    in_new_namespace(|| {
        println!(
            "{REQUESTS} requests, a connection each, 49152-65535, tcp and udp on [::]\n\
             {:<44} {:>10} {:>12} {:>14}",
            "", "a second", "server CPU", "a CPU second"
        );
        for clients in [1, 4, 16] {
            let folder = Folder::new();
            let server = Server::start(&folder.path("s"), &[]);
            print_row(&format!("leases, {clients} clients at once"), &server, clients, true);
        }
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &[]);
        let _silent: Vec<_> = (0..400).map(|_| server.connect()).collect();
        print_row("leases, 16 clients, 400 others say nothing", &server, 16, true);

        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20063"]);
        let lease_holders: Vec<LeaseHolder> = (0..64).map(|_| LeaseHolder::new()).collect();
        assert!(lease_holders.iter().all(|holder| server.lease(holder.pid()).is_some()));
        print_row("refusals, all of 64 ports leased to 64", &server, 16, false);
    });
}

fn print_row(what: &str, server: &Server, clients: u32, is_leased: bool) {
    let lease_holders: Vec<LeaseHolder> = (0..clients).map(|_| LeaseHolder::new()).collect();
    let (begin, used) = (Instant::now(), cpu_time(server));
    thread::scope(|scope| {
        for holder in &lease_holders {
            scope.spawn(move || {
                for _ in 0..REQUESTS / clients {
                    assert_eq!(server.lease(holder.pid()).is_some(), is_leased);
                }
            });
        }
    });
    let (took, used) = (begin.elapsed(), cpu_time(server).saturating_sub(used));
    let a_second = f64::from(REQUESTS) / took.as_secs_f64();
    let each = used / REQUESTS;
    let on_one_core = 1.0 / each.as_secs_f64();
    let verdict = if on_one_core >= WANTED { "" } else { "  too slow" };
    println!("{what:<44} {a_second:>10.0} {each:>12.1?} {on_one_core:>14.0}{verdict}");
}

/// Of the server so far, user and system.
fn cpu_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    TICK * ticks.sum::<u32>()
}
