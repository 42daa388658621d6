//! One count over the last seconds, and its rates by least squares. Not what is counted.

use std::{collections::VecDeque, time::Duration};

use super::{
    WINDOW,
    forecast::Trend,
    recent::{Interval, LastMinute, Recent},
    series::Series,
};

/// Samples are no closer than this, but for the newest: some 50 fill the window.
const STEP: Duration = Duration::from_millis(200);

/// The normal quantile of 95 %, two-sided.
const QUANTILE: f64 = 1.959_964;

/// As many degrees of freedom the noise of a Poisson process weighs beside the scatter seen.
const PRIOR_FREEDOM: f64 = 2.0;

/// What one snapshot shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// What opens and closes.
    pub sockets: u32,
    /// Ports that are used.
    pub taken: u32,
    /// Of these, not in TIME-WAIT.
    pub lasting: u32,
    /// Ports that are left; None: not watched.
    pub left: Option<u32>,
    /// Used and left together.
    pub size: u32,
}

/// What came since the sample before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    pub opened: u32,
    /// Ports of these that no other socket was on.
    pub ports: u32,
    pub into_time_wait: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Since the first snapshot of the run.
    at: Duration,
    count: Count,
    arrivals: Arrivals,
}

/// As many seconds a rate is taken over at least.
const LEAST_SPAN: f64 = 0.5;

/// 13 KB at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    /// Oldest first, each later than the one before.
    window: VecDeque<Sample>,
    /// Since the newest sample.
    pub waiting: Arrivals,
    series: Series,
    recent: Recent,
}

impl Followed {
    /// `at` is later than the newest sample.
    pub fn sample(&mut self, at: Duration, count: Count) {
        let mut arrivals = std::mem::take(&mut self.waiting);
        if self.window.is_empty() {
            arrivals = Arrivals::default();
        }
        let newest = self.window.back();
        let from = newest.map_or(at, |newest| newest.at);
        let grown = newest.map_or(0, |newest| count.taken.saturating_sub(newest.count.taken));
        let taken = arrivals.ports.max(grown);
        if let Some([before, newest]) = self.newest_two()
            && newest.at < before.at + STEP
        {
            arrivals.opened += newest.arrivals.opened;
            arrivals.ports += newest.arrivals.ports;
            arrivals.into_time_wait += newest.arrivals.into_time_wait;
            self.window.pop_back();
        }
        self.window.push_back(Sample { at, count, arrivals });
        while self.window.len() > 2 && self.window[0].at + WINDOW < at {
            self.window.pop_front();
        }
        self.series.push(at, count.taken);
        let taken_per_second = self.taken_per_second();
        self.recent.sample(at, Interval { from, taken, taken_per_second }, &count);
    }

    /// What comes is not to be compared with what was.
    pub fn restart(&mut self) {
        self.window.clear();
        self.waiting = Arrivals::default();
    }

    /// What was seen is about other ports.
    pub fn forget(&mut self) {
        self.recent = Recent::default();
    }

    pub fn last_minute(&self, now: Duration) -> Option<LastMinute> {
        self.recent.last_minute(now)
    }

    fn taken_per_second(&self) -> f64 {
        let taken: u32 = self.steps().map(|step| step.taken()).sum();
        f64::from(taken) / self.span().as_secs_f64().max(LEAST_SPAN)
    }

    pub fn taken(&self) -> u32 {
        self.window.back().map_or(0, |sample| sample.count.taken)
    }

    pub fn is_sampled_at(&self, at: Duration) -> bool {
        self.window.back().is_some_and(|sample| sample.at == at)
    }

    /// Nothing was there over the whole window.
    pub fn is_idle(&self) -> bool {
        self.window.len() > 1
            && self.span() + STEP > WINDOW
            && self.window.iter().all(|sample| sample.count.sockets == 0)
    }

    /// Oldest first: time before `now`, ports.
    pub fn series(&self, now: Duration) -> Vec<(Duration, u32)> {
        self.series.before(now)
    }

    /// None: fewer than two samples, or none for longer than the window.
    pub fn trend(&self, now: Duration) -> Option<Trend> {
        let newest = self.window.back()?;
        if self.window.len() < 2 || newest.at + WINDOW < now {
            return None;
        }
        let line = Line::through(&self.window);
        let seconds = self.span().as_secs_f64();
        let came = |of: fn(&Arrivals) -> u32| self.steps().map(|step| of(&step.arrivals)).sum();
        let (into_time_wait, opened): (u32, u32) = (
            came(|arrivals| arrivals.into_time_wait),
            self.steps().map(|step| step.opened()).sum(),
        );
        let grown = f64::from(newest.count.sockets) - f64::from(self.window[0].count.sockets);
        let opened = f64::from(opened);
        Some(Trend {
            opened_per_second: opened / seconds,
            closed_per_second: (opened - grown).max(0.0) / seconds,
            into_time_wait_per_second: f64::from(into_time_wait) / seconds,
            per_second: line.slope(&self.window, |count| count.taken),
            uncertainty: self.uncertainty(&line),
            lasting_per_second: line.slope(&self.window, |count| count.lasting),
            draining: newest.count.taken.saturating_sub(newest.count.lasting),
            window: self.span(),
        })
    }

    /// Half the 95 % interval of the growth a second: by the noise of a Poisson process with as many
    /// comings and goings, or by the scatter of the growths seen, whichever is wider.
    fn uncertainty(&self, line: &Line) -> f64 {
        let seconds = self.span().as_secs_f64();
        let events: f64 = self.steps().map(|step| step.events()).sum();
        // One event more and half the square of the quantile: Wilson's interval, which holds for
        // few events and for none.
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
        let variance = (PRIOR_FREEDOM * poisson + scatter) / (PRIOR_FREEDOM + freedom);
        by_poisson.max(student(PRIOR_FREEDOM + freedom) * (variance * line.spread).sqrt())
    }

    fn span(&self) -> Duration {
        match (self.window.front(), self.window.back()) {
            (Some(oldest), Some(newest)) => newest.at.saturating_sub(oldest.at),
            _ => Duration::ZERO,
        }
    }

    fn newest_two(&self) -> Option<[Sample; 2]> {
        let before = self.window.len().checked_sub(2)?;
        Some([self.window[before], self.window[before + 1]])
    }

    fn steps(&self) -> impl Iterator<Item = Step> {
        let pairs = self.window.iter().zip(self.window.iter().skip(1));
        pairs.map(|(from, to)| Step { from: *from, to: *to, arrivals: to.arrivals })
    }
}

/// From one sample to the next.
struct Step {
    from: Sample,
    to: Sample,
    arrivals: Arrivals,
}

impl Step {
    fn seconds(&self) -> f64 {
        seconds_between(&self.from, &self.to)
    }

    /// After a snapshot that could not list a table some arrivals are not told as such.
    fn opened(&self) -> u32 {
        self.arrivals.opened.max(self.to.count.sockets.saturating_sub(self.from.count.sockets))
    }

    /// As `opened`, in ports.
    fn taken(&self) -> u32 {
        self.arrivals.ports.max(self.to.count.taken.saturating_sub(self.from.count.taken))
    }

    fn grown(&self) -> f64 {
        f64::from(self.to.count.taken) - f64::from(self.from.count.taken)
    }

    /// Comings and goings.
    fn events(&self) -> f64 {
        let opened = f64::from(self.opened());
        opened + (opened - self.grown()).abs()
    }
}

fn seconds_between(earlier: &Sample, later: &Sample) -> f64 {
    later.at.saturating_sub(earlier.at).as_secs_f64()
}

/// The line of least squares: its slope is a weighted sum of the counts.
struct Line {
    /// Of each sample.
    weights: Vec<f64>,
    /// The slope's variance, when what is counted varies by 1 a second: a count carries on what was
    /// before, so each growth counts with the weights of all samples after it.
    spread: f64,
}

impl Line {
    /// Through two samples or more, at different times.
    fn through(window: &VecDeque<Sample>) -> Self {
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

    fn slope(&self, window: &VecDeque<Sample>, count: fn(&Count) -> u32) -> f64 {
        let counts = window.iter().map(|sample| f64::from(count(&sample.count)));
        self.weights.iter().zip(counts).map(|(weight, count)| weight * count).sum()
    }
}

/// Student's t of 95 %, two-sided, by the expansion of Abramowitz and Stegun 26.7.5: 1 % too low at
/// 3 degrees of freedom, less above.
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
