//! Nanoseconds an event: what the benchmarks of this folder have in common.

use std::time::Instant;

/// Events of one pass.
pub const EVENTS: usize = 1_000;
/// Events of a page.
pub const PAGE: usize = 500;
/// Runs, of which the median counts.
pub const RUNS: usize = 5;
/// Passes over the events in a run; the clock of CPU time ticks in milliseconds.
pub const ROUNDS: usize = 1_000;

/// CPU time of this thread, where the system tells it: neighbours do not count.
fn cpu_nanos() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}

/// Whether a figure was asked for.
pub fn wanted(name: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|part| !part.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}

pub fn measure(name: &str, mut work: impl FnMut()) {
    if !wanted(name) {
        return;
    }
    work();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let rounds = ROUNDS;
            let (wall, cpu) = (Instant::now(), cpu_nanos());
            (0..rounds).for_each(|_| work());
            let spent = match (cpu, cpu_nanos()) {
                (Some(before), Some(after)) => after - before,
                _ => wall.elapsed().as_nanos() as f64,
            };
            spent / (rounds * EVENTS) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{name:<44} {:>8.1} ns an event ({:.1} to {:.1})",
        times[RUNS / 2],
        times[0],
        times[RUNS - 1]
    );
}
