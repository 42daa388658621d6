//! Decides when the next frame is due: at once for input, later for reports. Reads no clock, draws
//! nothing.

use std::time::{Duration, Instant};

/// Minimum time between two frames for reports, because most screens show 60 frames per second.
const MIN_GAP: Duration = Duration::from_millis(16);
/// Maximum pause after a frame, even if the terminal was slow or blocked for longer.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Determines when each frame is drawn.
pub struct FramePace {
    /// When the next frame is due; None: nothing has changed.
    due: Option<Instant>,
    /// When the last frame began.
    began: Instant,
    /// The end of the pause after the last frame. The pause is as long as writing the frame took,
    /// at most `MAX_PAUSE`, so that writing takes at most half of the time, unless the terminal is
    /// very slow.
    rested: Instant,
}

impl FramePace {
    /// Creates a pace whose first frame is due at once.
    pub fn new(now: Instant) -> Self {
        Self { due: Some(now), began: now, rested: now }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Time until the next frame is due, 0 if it is due already; None: nothing has changed.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }

    /// Makes a frame due at once, because the user waits for it.
    pub fn answer(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// Makes a frame due at `at` or later, for a change that the user does not wait for. Such
    /// frames are at least `gap` apart. If a frame is already due earlier, that time is kept.
    pub fn schedule_frame(&mut self, at: Instant, gap: Duration) {
        let due = at.max(self.began + gap.max(MIN_GAP)).max(self.rested);
        self.due = Some(self.due.map_or(due, |other| other.min(due)));
    }

    /// Records that a frame was begun at `began` and was complete at `now`. `writing` is the time
    /// that the terminal took to read it.
    pub fn drawn(&mut self, began: Instant, now: Instant, writing: Duration) {
        self.due = None;
        self.began = began;
        self.rested = now + writing.min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(100);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Returns a pace whose first frame was drawn within a millisecond.
    fn drawn() -> (FramePace, Instant) {
        let start = Instant::now();
        let mut pace = FramePace::new(start);
        assert!(pace.is_due(start));
        pace.drawn(start, start + ms(1), ms(1));
        (pace, start)
    }

    #[test]
    fn no_frame_is_due_without_news() {
        let (pace, start) = drawn();
        assert_eq!(pace.wait(start + ms(1)), None);
        assert!(!pace.is_due(start + ms(9_000)));
    }

    #[test]
    fn reports_are_spaced_and_input_is_answered_at_once() {
        let (mut pace, start) = drawn();
        pace.schedule_frame(start + ms(5), GAP);
        assert_eq!(pace.wait(start + ms(5)), Some(ms(95)));
        pace.answer(start + ms(6));
        assert!(pace.is_due(start + ms(6)));
    }

    #[test]
    fn the_earliest_of_several_scheduled_frames_is_used() {
        let (mut pace, start) = drawn();
        pace.schedule_frame(start + ms(700), ms(0));
        pace.schedule_frame(start + ms(30), ms(0));
        pace.schedule_frame(start + ms(600), ms(0));
        assert_eq!(pace.wait(start + ms(30)), Some(ms(0)));
    }

    #[test]
    fn frames_pause_as_long_as_a_slow_terminal_took_to_read() {
        let (mut pace, start) = drawn();
        pace.drawn(start, start + ms(300), ms(280));
        pace.schedule_frame(start + ms(300), GAP);
        assert_eq!(pace.wait(start + ms(300)), Some(ms(280)));
        pace.drawn(start, start + ms(60_000), ms(59_000));
        pace.schedule_frame(start + ms(60_000), GAP);
        assert_eq!(pace.wait(start + ms(60_000)), Some(MAX_PAUSE));
    }
}
