//! Forecasts when a count will have grown by a given number. Does not measure the growth.

use std::time::Duration;

use super::drain::TIME_WAIT_SECONDS;

/// Changes per second, measured over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Sockets opened. Those opened and closed between two snapshots are not counted.
    pub opened_per_second: f64,
    /// Sockets that entered TIME-WAIT, or appeared in that state.
    pub into_time_wait_per_second: f64,
    /// Growth of the used ports; for a destination, without the ports that connect() may reuse.
    pub per_second: f64,
    /// Half the width of the 95 % interval of `per_second`: in 19 cases of 20, the true growth is
    /// within `per_second ± uncertainty`.
    pub uncertainty: f64,
    /// Growth of the used ports that are not in TIME-WAIT. This growth remains after the number of
    /// TIME-WAIT sockets has become constant.
    pub lasting_per_second: f64,
    /// Ports in TIME-WAIT now.
    pub draining: u32,
    /// Time between the oldest and the newest sample.
    pub window: Duration,
}

/// Maximum length of a forecast, in seconds (two days). Growth measured over ten seconds is no
/// evidence for a longer time.
const MAX_FORECAST_SECONDS: f64 = 172_800.0;

/// When the ports will be used up, in seconds from the latest snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The time at the measured rate.
    pub seconds: f64,
    /// The lower end of the 95 % interval.
    pub earliest: f64,
    /// The upper end. None: the ports may never be used up.
    pub latest: Option<f64>,
}

impl Trend {
    /// Forecasts when `available` more ports will be used. None: this never happens at this rate,
    /// or not within two days.
    ///
    /// TIME-WAIT ends after 60 s. From then on, TIME-WAIT at a constant rate adds no more ports, so
    /// only `lasting_per_second` counts.
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
        (seconds <= MAX_FORECAST_SECONDS).then_some(Forecast { seconds, earliest, latest })
    }

    /// Returns the seconds until `wanted` more ports are used if the ports not in TIME-WAIT grow by
    /// `lasting` per second. Returns 0 if this happens within 60 s, while the present TIME-WAIT
    /// sockets end. None: it never happens.
    fn lasting_until(&self, wanted: f64, lasting: f64) -> Option<f64> {
        let period = f64::from(TIME_WAIT_SECONDS);
        let arrived = (lasting + self.into_time_wait_per_second) * period;
        let left = wanted - (arrived - f64::from(self.draining));
        if left <= 0.0 {
            return Some(0.0);
        }
        (lasting > 0.0).then(|| period + left / lasting)
    }

    /// Returns the earliest and the latest time, in seconds, at which `wanted` more ports are used,
    /// with a probability of 95 % if the growth does not change. The latest time is None if the
    /// ports may never be used.
    ///
    /// In `t` seconds the growth `g ± u` adds up to `g t ± u t`. The future growth has noise, too:
    /// over the window `w` noise caused the uncertainty `u`, so over `t` it adds `u √(w t)`. Both
    /// together give `g t ± u √(t² + w t) = wanted`, a quadratic equation in `t`.
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
