//! Measures the cost of a command, and formats the lines of a bench's table. Knows nothing about
//! ports.

#![allow(dead_code, reason = "each bench uses a part of this file")]

use std::{
    ffi::{c_int, c_long},
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What one run of a command cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// User and system time of the process and its threads.
    pub cpu: Duration,
    pub wall: Duration,
    /// Largest resident memory; never below that of this process when it started the command.
    pub peak_kib: u64,
}

/// `struct rusage` of getrusage(2) on 64-bit Linux: two timevals, ru_maxrss, 13 more.
#[repr(C)]
struct Usage([c_long; 18]);

#[expect(unsafe_code, reason = "std and rustix have no wait that tells the resources used")]
unsafe extern "C" {
    fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut Usage) -> c_int;
}

/// Runs the command to its end, output thrown away.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut status, mut usage) = (0, Usage([0; 18]));
    #[expect(unsafe_code, reason = "both pointers are to locals that outlive the call")]
    let reaped = unsafe { wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    if reaped < 0 {
        return Err(io::Error::last_os_error());
    }
    // Of `diagnose`, 1 and 2 tell of findings.
    let is_verdict = command.get_args().next().is_some_and(|first| first == "diagnose");
    if status != 0 && !(is_verdict && [1 << 8, 2 << 8].contains(&status)) {
        return Err(io::Error::other(format!("{command:?} ended with wait status {status}")));
    }
    let [seconds, micros, system_seconds, system_micros, peak, ..] = usage.0.map(|n| n as u64);
    Ok(Cost {
        cpu: Duration::from_secs(seconds + system_seconds)
            + Duration::from_micros(micros + system_micros),
        wall: started.elapsed(),
        peak_kib: peak,
    })
}

/// Runs all commands in turn, `rounds` times, and gives the medians of each.
pub fn interleaved(commands: &mut [Command], rounds: usize) -> io::Result<Vec<Cost>> {
    let mut runs = vec![Vec::new(); commands.len()];
    for _ in 0..rounds {
        for (command, costs) in commands.iter_mut().zip(&mut runs) {
            costs.push(run(command)?);
        }
    }
    Ok(runs.iter().map(|costs| median_cost(costs)).collect())
}

fn median_cost(costs: &[Cost]) -> Cost {
    Cost {
        cpu: median(costs.iter().map(|cost| cost.cpu)),
        wall: median(costs.iter().map(|cost| cost.wall)),
        peak_kib: median(costs.iter().map(|cost| cost.peak_kib)),
    }
}

/// The middle one, of an odd number at best; the default of nothing.
pub fn median<T: Ord + Copy + Default>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One line of the table: what, how much, how much is allowed.
pub fn line(what: &str, measured: f64, unit: &str, allowed: Option<f64>) -> String {
    let verdict = match allowed {
        None => String::new(),
        Some(limit) if measured <= limit => format!("<= {limit} {unit}  met"),
        Some(limit) => format!("<= {limit} {unit}  MISSED"),
    };
    format!("{what:<58} {measured:>10.3} {unit:<9} {verdict}")
}

/// As `line`, where less than `least` is too little.
pub fn shortfall(what: &str, measured: f64, unit: &str, least: f64) -> String {
    let verdict = if measured >= least { "met" } else { "MISSED" };
    format!("{what:<58} {measured:>10.3} {unit:<9} >= {least} {unit}  {verdict}")
}

/// Milliseconds, for tables.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
