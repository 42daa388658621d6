//! 16 processes race for 64 ports, 1,000 rounds: with `exec`, and for comparison with close and
//! rebind. `cargo bench --bench handover`, with `-- ROUNDS` for another number.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/handover.rs"]
mod handover;
#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;

use std::io;

use handover::{HandoverMethod, PORT_CLIENTS, race};
use measure::line;
use portscope::domain::PortRange;

const ROUNDS: u32 = 1000;

fn main() -> io::Result<()> {
    // Cargo adds --bench.
    let rounds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let range = PortRange::new(40_000, 40_063).map_err(io::Error::other)?;
    println!("{PORT_CLIENTS} processes at once for {} ports, {rounds} rounds each", range.len());
    for (method, name, most) in [
        (HandoverMethod::Exec, "exec", Some(0.0)),
        (HandoverMethod::CloseThenRebind, "pick, close, bind again", None),
    ] {
        let Some(tally) =
            namespace::in_new_namespace(|| race(method, range, rounds)).transpose()?
        else {
            return Ok(());
        };
        println!("\n{name}");
        println!("{}", line("processes", f64::from(tally.port_clients), "", None));
        println!("{}", line("ports told twice", f64::from(tally.duplicates), "", most));
        println!("{}", line("processes that lost their port", f64::from(tally.lost), "", most));
        let leaked = f64::from(tally.leaked);
        println!("{}", line("ports left behind, half of them killed", leaked, "", Some(0.0)));
        let each = tally.took.as_secs_f64() * 1e3 / f64::from(tally.rounds);
        println!("{}", line("a round", each, "ms", None));
    }
    Ok(())
}
