//! How fast a count grows, and when it will have grown by a given number. Does not measure it.

use std::time::Duration;

use super::drain::TIME_WAIT_SECONDS;

/// Changes per second, measured over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Sockets opened. Those opened and closed between two snapshots are not counted.
    pub opened_per_second: f64,
    /// Sockets that disappeared, those in TIME-WAIT included.
    pub closed_per_second: f64,
    pub into_time_wait_per_second: f64,
    /// Growth of the ports used; for a destination, without the ports that connect() may reuse.
    pub per_second: f64,
    /// The true growth is within `per_second ± uncertainty` in 19 cases of 20.
    pub uncertainty: f64,
    /// Growth of the used ports that are not in TIME-WAIT: the growth that remains once the present
    /// TIME-WAIT sockets have ended.
    pub lasting_per_second: f64,
    /// Ports in TIME-WAIT now.
    pub draining: u32,
    pub window: Duration,
}

/// Longest forecast, in seconds: growth measured over ten seconds does not continue for days.
const FORESEEABLE: f64 = 172_800.0;

/// Times in seconds from the last snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub seconds: f64,
    pub earliest: f64,
    /// None: it may never happen.
    pub latest: Option<f64>,
}

impl Trend {
    /// Forecasts when `available` more ports are used; None: never at this rate, or not within two
    /// days.
    ///
    /// TIME-WAIT ends after 60 s, so connections that only pass through it stop adding ports then:
    /// beyond 60 s the lasting growth decides.
    pub fn until(&self, available: u32) -> Option<Forecast> {
        if available == 0 {
            return Some(Forecast { seconds: 0.0, earliest: 0.0, latest: Some(0.0) });
        }
        if self.per_second <= 0.0 {
            return None;
        }
        let wanted = f64::from(available);
        let mut seconds = wanted / self.per_second;
        if seconds > f64::from(TIME_WAIT_SECONDS) {
            seconds = seconds.max(self.lasting_until(wanted, self.lasting_per_second)?);
        }
        let (earliest, latest) = self.bounds(wanted);
        let slowest = self.lasting_per_second - self.uncertainty;
        let latest = latest.zip(self.lasting_until(wanted, slowest)).map(|(a, b)| a.max(b));
        (seconds <= FORESEEABLE).then_some(Forecast { seconds, earliest, latest })
    }

    /// Seconds until `wanted` more ports are used if the ports not in TIME-WAIT grow by `lasting`
    /// per second; 0: within the 60 s in which all present TIME-WAIT sockets end.
    fn lasting_until(&self, wanted: f64, lasting: f64) -> Option<f64> {
        let period = f64::from(TIME_WAIT_SECONDS);
        let came = (lasting + self.into_time_wait_per_second) * period;
        let left = wanted - (came - f64::from(self.draining));
        if left <= 0.0 {
            return Some(0.0);
        }
        (lasting > 0.0).then(|| period + left / lasting)
    }

    /// The interval in which it happens in 19 cases of 20, if the growth stays as it is.
    ///
    /// In `t` seconds the growth `g ± u` adds up to `g t ± u t`. The noise continues meanwhile:
    /// over the window `w` it caused the uncertainty `u`, so over `t` it adds `u √(w t)`. Both
    /// together: `g t ± u √(t² + w t) = wanted`, a quadratic equation in `t`.
    fn bounds(&self, wanted: f64) -> (f64, Option<f64>) {
        let (growth, noise) = (self.per_second, self.uncertainty.powi(2));
        let half = 2.0 * wanted * growth + noise * self.window.as_secs_f64();
        let slope = growth.powi(2) - noise;
        let root = (half.powi(2) - 4.0 * slope * wanted.powi(2)).max(0.0).sqrt();
        let earliest = 2.0 * wanted.powi(2) / (half + root);
        let latest = (slope > 0.0).then(|| (half + root) / (2.0 * slope));
        (earliest, latest)
    }
}
