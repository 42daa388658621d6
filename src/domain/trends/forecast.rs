//! How fast something grows, and when it will have grown by so much. Not how that was measured.

use std::time::Duration;

use super::drain::TIME_WAIT_SECONDS;

/// How something changes, a second, over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Sockets that came. What came and went between two snapshots is not seen.
    pub opened_per_second: f64,
    /// Sockets that went, TIME-WAIT included.
    pub closed_per_second: f64,
    pub into_time_wait_per_second: f64,
    /// Growth of the ports used; of a destination, without those that connect() may take again.
    pub per_second: f64,
    /// The true growth lies within `per_second ± uncertainty` 19 times of 20.
    pub uncertainty: f64,
    /// Growth of the ports used that are not in TIME-WAIT: the growth that remains once what is in
    /// TIME-WAIT now has ended.
    pub lasting_per_second: f64,
    /// Ports in TIME-WAIT now.
    pub draining: u32,
    pub window: Duration,
}

/// Seconds: nothing grows for days as it did in the last ten seconds.
const FORESEEABLE: f64 = 172_800.0;

/// Seconds from the last snapshot on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub seconds: f64,
    pub earliest: f64,
    /// None: it may never happen.
    pub latest: Option<f64>,
}

impl Trend {
    /// When so many more ports are used; None: at this rate never, or not within two days.
    ///
    /// TIME-WAIT ends after 60 s, so connections that only pass through it stop adding ports then:
    /// what would take longer is told of the lasting growth alone.
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

    /// When so many ports are used, if what does not end in TIME-WAIT grows by `lasting` a second;
    /// 0: within the 60 s in which all that is in TIME-WAIT now ends.
    fn lasting_until(&self, wanted: f64, lasting: f64) -> Option<f64> {
        let period = f64::from(TIME_WAIT_SECONDS);
        let came = (lasting + self.into_time_wait_per_second) * period;
        let left = wanted - (came - f64::from(self.draining));
        if left <= 0.0 {
            return Some(0.0);
        }
        (lasting > 0.0).then(|| period + left / lasting)
    }

    /// Within which it happens 19 times of 20, if the growth stays as it is.
    ///
    /// In `t` seconds the growth `g ± u` adds up to `g t ± u t`. The same noise goes on meanwhile:
    /// over the window `w` it made the uncertainty `u`, so over `t` it adds `u √(w t)`. Both
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
