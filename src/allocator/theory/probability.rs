//! Computes probabilities of equal draws and of stolen ports. Does not model attempts.

use std::time::Duration;

/// Returns the probability (0 to 1) that at least two of `draws` ports are the same, if each is
/// drawn at random from F = `ports` ports: 1 - product of (1 - i/F) for i from 0 to `draws` - 1.
pub fn birthday(draws: u32, ports: u32) -> f64 {
    let ports = f64::from(ports);
    1.0 - (0..draws).map(|drawn| (1.0 - f64::from(drawn) / ports).max(0.0)).product::<f64>()
}

/// Returns the lowest number of draws from `ports` ports with which at least two are the same with
/// at least this probability (0 to 1).
pub fn draws_for_collision(probability: f64, ports: u32) -> u32 {
    let mut no_collision = 1.0;
    (0..=ports)
        .find(|&drawn| {
            no_collision *= 1.0 - f64::from(drawn) / f64::from(ports.max(1));
            1.0 - no_collision >= probability
        })
        .map_or(ports + 1, |drawn| drawn + 1)
}

/// Returns the probability (0 to 1) that a competitor has bound a port within `window` (w) after
/// the port was closed: 1 - e^(-lambda w / F). The competitor binds on average `per_second`
/// (lambda) ports per second, each time one of `free` (F) ports at random.
pub fn stolen_probability(per_second: f64, window: Duration, free: f64) -> f64 {
    -(-per_second * window.as_secs_f64() / free).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birthday_and_stolen_probabilities_match_the_verified_values() {
        for (free, draws) in [(16_384, 151), (1_638, 48), (164, 16)] {
            assert_eq!(draws_for_collision(0.5, free), draws, "{free}");
            assert!(birthday(draws, free) >= 0.5 && birthday(draws - 1, free) < 0.5);
        }
        assert!((stolen_probability(100.0, Duration::from_secs(1), 164.0) - 0.4565).abs() < 1e-4);
    }

    #[test]
    fn more_draws_than_ports_always_collide() {
        assert!((birthday(6, 5) - 1.0).abs() < f64::EPSILON);
        assert_eq!((draws_for_collision(1.0, 5), draws_for_collision(0.0, 5)), (6, 1));
    }
}
