//! Keeps the samples of one range or destination over the last seconds, and computes its trend: the
//! growth by least squares, the other rates as means. Does not count sockets.

use std::{collections::VecDeque, time::Duration};

use super::{
    MIN_WINDOW, WINDOW,
    forecast::Trend,
    recent::{Interval, Recent},
    series::Series,
};

/// Minimum interval between samples, so that about 50 fill the window. The newest sample may be
/// closer to the one before.
const STEP: Duration = Duration::from_millis(200);

/// Quantile of the normal distribution for a two-sided 95 % interval.
const QUANTILE: f64 = 1.959_964;

/// Weight, in degrees of freedom, of the variance of a Poisson process when it is averaged with the
/// measured variance.
const PRIOR_DEGREES_OF_FREEDOM: f64 = 2.0;

/// The counts of one snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// All sockets. Their number gives the rates of opening and closing.
    pub sockets: u32,
    /// Ports in use.
    pub taken: u32,
    /// Ports of `taken` that are not in TIME-WAIT.
    pub lasting: u32,
    /// Ports left; None: not counted.
    pub left: Option<u32>,
    /// Used and left ports together.
    pub size: u32,
}

/// What was added since the previous sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    /// Sockets opened.
    pub opened: u32,
    /// For a range: number of ports on which all sockets are new. For a destination: number of the
    /// opened sockets. 0 for `Subject::ProtocolFamily`, for which it is not counted.
    pub ports: u32,
    /// Sockets that entered TIME-WAIT, or appeared in that state.
    pub into_time_wait: u32,
}

#[derive(Clone, Copy, Debug)]
struct TrendSample {
    /// Time since the first snapshot of the run.
    at: Duration,
    count: Count,
    arrivals: Arrivals,
}

/// Minimum time span for a rate of ports taken, in seconds: a shorter span would exaggerate the
/// rate.
const MIN_SPAN: f64 = 0.5;

/// The samples of one `Subject`: a range, a protocol and family in it, or a destination. Takes at
/// most 13 KB.
#[derive(Clone, Debug, Default)]
pub(super) struct TrackedSubject {
    /// Sorted by time, oldest first; no two samples have the same time.
    window: VecDeque<TrendSample>,
    /// Arrivals since the newest sample.
    pub waiting: Arrivals,
    pub series: Series,
    pub recent: Recent,
}

impl TrackedSubject {
    /// Adds a sample. `at` must be later than the newest sample.
    pub fn sample(&mut self, at: Duration, count: Count) {
        let mut arrivals = std::mem::take(&mut self.waiting);
        if self.window.is_empty() {
            arrivals = Arrivals::default();
        }
        let newest = self.window.back().copied();
        let from = newest.map_or(at, |newest| newest.at);
        let grown = newest.map_or(0, |newest| count.taken.saturating_sub(newest.count.taken));
        let taken = arrivals.ports.max(grown);
        if let Some(newest) = newest
            && self.window.iter().nth_back(1).is_some_and(|before| newest.at < before.at + STEP)
        {
            arrivals.opened += newest.arrivals.opened;
            arrivals.ports += newest.arrivals.ports;
            arrivals.into_time_wait += newest.arrivals.into_time_wait;
            self.window.pop_back();
        }
        self.window.push_back(TrendSample { at, count, arrivals });
        while self.window.len() > 2 && self.window[0].at + WINDOW < at {
            self.window.pop_front();
        }
        self.series.push(at, count.taken);
        let taken_per_second = self.taken_per_second();
        self.recent.sample(at, Interval { from, taken, taken_per_second }, &count);
    }

    /// Clears the window, because new counts cannot be compared with the old ones.
    pub fn restart(&mut self) {
        self.window.clear();
        self.waiting = Arrivals::default();
    }

    fn taken_per_second(&self) -> f64 {
        let taken: u32 = self.steps().map(|step| step.taken()).sum();
        f64::from(taken) / self.span().as_secs_f64().max(MIN_SPAN)
    }

    pub fn taken(&self) -> u32 {
        self.window.back().map_or(0, |sample| sample.count.taken)
    }

    pub fn is_sampled_at(&self, at: Duration) -> bool {
        self.window.back().is_some_and(|sample| sample.at == at)
    }

    /// Returns whether there was no socket over the whole window.
    pub fn is_idle(&self) -> bool {
        self.window.len() > 1
            && self.span() + STEP > WINDOW
            && self.window.iter().all(|sample| sample.count.sockets == 0)
    }

    /// Returns the trend over the window. None: the samples cover less than `MIN_WINDOW`, or the
    /// newest one is older than the window.
    pub fn trend(&self, now: Duration) -> Option<Trend> {
        let newest = self.window.back()?;
        if self.span() < MIN_WINDOW || newest.at + WINDOW < now {
            return None;
        }
        let line = TrendLine::through(&self.window);
        let seconds = self.span().as_secs_f64();
        let opened: u32 = self.steps().map(|step| step.opened()).sum();
        let into_time_wait: u32 = self.steps().map(|step| step.to.arrivals.into_time_wait).sum();
        Some(Trend {
            opened_per_second: f64::from(opened) / seconds,
            into_time_wait_per_second: f64::from(into_time_wait) / seconds,
            per_second: line.slope(&self.window, |count| count.taken),
            uncertainty: self.uncertainty(&line),
            lasting_per_second: line.slope(&self.window, |count| count.lasting),
            draining: newest.count.taken.saturating_sub(newest.count.lasting),
            window: self.span(),
        })
    }

    /// Returns half the width of the 95 % interval of the growth per second. Uses the wider of two
    /// intervals: that of a Poisson process with the same number of arrivals and departures, and
    /// that of the measured scatter of the growth.
    fn uncertainty(&self, line: &TrendLine) -> f64 {
        let seconds = self.span().as_secs_f64();
        let events: f64 = self.steps().map(|step| step.events()).sum();
        // One event and half the square of the quantile are added, similar to Wilson's interval, so
        // that the interval is also valid for few events and for none.
        let poisson = (events + 1.0) / seconds;
        let by_poisson =
            QUANTILE * (poisson * line.spread).sqrt() + QUANTILE.powi(2) / 2.0 / seconds;
        let freedom = self.window.len() as f64 - 2.0;
        if freedom < 1.0 {
            return by_poisson;
        }
        let mean = self.steps().map(|step| step.grown()).sum::<f64>() / seconds;
        let scatter: f64 =
            self.steps().map(|s| (s.grown() - mean * s.seconds()).powi(2) / s.seconds()).sum();
        let variance =
            (PRIOR_DEGREES_OF_FREEDOM * poisson + scatter) / (PRIOR_DEGREES_OF_FREEDOM + freedom);
        by_poisson
            .max(student(PRIOR_DEGREES_OF_FREEDOM + freedom) * (variance * line.spread).sqrt())
    }

    fn span(&self) -> Duration {
        match (self.window.front(), self.window.back()) {
            (Some(oldest), Some(newest)) => newest.at.saturating_sub(oldest.at),
            _ => Duration::ZERO,
        }
    }

    fn steps(&self) -> impl Iterator<Item = SampleStep> {
        let pairs = self.window.iter().zip(self.window.iter().skip(1));
        pairs.map(|(from, to)| SampleStep { from: *from, to: *to })
    }
}

/// The change from one sample to the next.
struct SampleStep {
    from: TrendSample,
    to: TrendSample,
}

impl SampleStep {
    fn seconds(&self) -> f64 {
        seconds_between(&self.from, &self.to)
    }

    /// Returns the number of sockets opened, at least the growth: too few arrivals are counted
    /// after a snapshot that could not list a table.
    fn opened(&self) -> u32 {
        self.to.arrivals.opened.max(self.to.count.sockets.saturating_sub(self.from.count.sockets))
    }

    /// Returns the number of ports taken, at least the growth, for the same reason as `opened`.
    fn taken(&self) -> u32 {
        self.to.arrivals.ports.max(self.to.count.taken.saturating_sub(self.from.count.taken))
    }

    fn grown(&self) -> f64 {
        f64::from(self.to.count.taken) - f64::from(self.from.count.taken)
    }

    /// Returns the number of arrivals and departures together.
    fn events(&self) -> f64 {
        let opened = f64::from(self.opened());
        opened + (opened - self.grown()).abs()
    }
}

fn seconds_between(earlier: &TrendSample, later: &TrendSample) -> f64 {
    later.at.saturating_sub(earlier.at).as_secs_f64()
}

/// A least-squares line: its slope is a weighted sum of the counts.
struct TrendLine {
    /// The weight of each sample.
    weights: Vec<f64>,
    /// The variance of the slope if the variance of the count grows by 1 per second. A count
    /// includes all earlier growth, so the growth of each step is weighted with the sum of the
    /// weights of all later samples.
    spread: f64,
}

impl TrendLine {
    /// Fits a line through two or more samples at different times.
    fn through(window: &VecDeque<TrendSample>) -> Self {
        let times = || window.iter().map(|sample| seconds_between(&window[0], sample));
        let mean = times().sum::<f64>() / window.len() as f64;
        let squares: f64 = times().map(|time| (time - mean).powi(2)).sum();
        let weights: Vec<f64> = times().map(|time| (time - mean) / squares).collect();
        let (mut spread, mut later) = (0.0, 0.0);
        for step in (1..window.len()).rev() {
            later += weights[step];
            spread += later * later * seconds_between(&window[step - 1], &window[step]);
        }
        Self { weights, spread }
    }

    fn slope(&self, window: &VecDeque<TrendSample>, count: fn(&Count) -> u32) -> f64 {
        let counts = window.iter().map(|sample| f64::from(count(&sample.count)));
        self.weights.iter().zip(counts).map(|(weight, count)| weight * count).sum()
    }
}

/// Returns the quantile of Student's t distribution for a two-sided 95 % interval, by the expansion
/// 26.7.5 of Abramowitz and Stegun. The result is 1 % too low for 3 degrees of freedom, and more
/// accurate for more.
fn student(freedom: f64) -> f64 {
    let z = QUANTILE;
    let terms = [
        z,
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / freedom + term)
}
