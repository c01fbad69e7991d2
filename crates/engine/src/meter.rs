//! Time-weighted measurements: per instance, and the spread of load over instances.

use std::ops::Range;

use trimtab_core::{PS_PER_S, SimTime};

/// The width of a window of the series: 10 s.
pub const WINDOW: SimTime = SimTime(10 * PS_PER_S);

/// Integrals over one window (or over a whole run) of one instance's state, each value times picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integrals {
    /// Time with a step in progress.
    pub busy: u64,
    /// Requests in the batch.
    pub running: u128,
    /// Requests in the queue.
    pub waiting: u128,
    /// KV blocks held by requests in the batch.
    pub used_blocks: u128,
    /// Prompt tokens still to be computed.
    pub pending_tokens: u128,
    /// How many requests left the queue for another instance; a count.
    pub moved: u64,
}

/// What is being measured of an instance, constant for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) busy: bool,
    pub(crate) running: u32,
    pub(crate) waiting: u32,
    pub(crate) used_blocks: u64,
    pub(crate) pending_tokens: u64,
}

/// The measurements of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    pub(crate) total: Integrals,
    /// The first window with busy time.
    pub(crate) first_busy: usize,
    /// Busy time by window, from the first with any.
    pub(crate) busy: Vec<u64>,
    /// All integrals by window, when a series is wanted.
    pub(crate) windows: Option<Vec<Integrals>>,
    /// Up to when everything has been measured.
    upto: SimTime,
}

impl Meter {
    pub(crate) fn new(series: bool) -> Self {
        Self { windows: series.then(Vec::new), ..Self::default() }
    }

    /// One that goes on from here with nothing measured.
    pub(crate) fn fork(&self) -> Self {
        Self { upto: self.upto, ..Self::default() }
    }

    /// The level has been this since the last call.
    pub(crate) fn advance(&mut self, until: SimTime, level: Level) {
        let span = until.0 - self.upto.0;
        if span == 0 {
            return;
        }
        level.add_to(&mut self.total, span);
        if level.busy || self.windows.is_some() {
            windows_of(self.upto.0..until.0, |window, span| self.add_window(window, span, level));
        }
        self.upto = until;
    }

    /// One more block was used from `from` to the end of what has been measured.
    pub(crate) fn one_block_more(&mut self, from: SimTime) {
        self.total.used_blocks += u128::from(self.upto.0 - from.0);
        if let Some(windows) = &mut self.windows {
            windows_of(from.0..self.upto.0, |window, span| {
                at_least(windows, window).used_blocks += u128::from(span);
            });
        }
    }

    /// A request leaves the queue for another instance.
    pub(crate) fn moved(&mut self, now: SimTime) {
        self.total.moved += 1;
        if let Some(windows) = &mut self.windows {
            at_least(windows, index(now.0 / WINDOW.0)).moved += 1;
        }
    }

    fn add_window(&mut self, window: usize, span: u64, level: Level) {
        if level.busy {
            if self.busy.is_empty() {
                self.first_busy = window;
            }
            let at = window - self.first_busy;
            if self.busy.len() <= at {
                self.busy.resize(at + 1, 0);
            }
            self.busy[at] += span;
        }
        if let Some(windows) = &mut self.windows {
            level.add_to(at_least(windows, window), span);
        }
    }
}

/// Each window that a span of time touches, with how much of it.
fn windows_of(time: Range<u64>, mut each: impl FnMut(usize, u64)) {
    let mut from = time.start;
    while from < time.end {
        let window = from / WINDOW.0;
        let to = time.end.min((window + 1).saturating_mul(WINDOW.0));
        each(index(window), to - from);
        from = to;
    }
}

fn index(window: u64) -> usize {
    usize::try_from(window).expect("2 million windows at most")
}

/// A window, made with all before it if it is not there yet.
fn at_least(windows: &mut Vec<Integrals>, window: usize) -> &mut Integrals {
    if windows.len() <= window {
        windows.resize(window + 1, Integrals::default());
    }
    &mut windows[window]
}

impl Level {
    fn add_to(self, sum: &mut Integrals, span: u64) {
        let wide = u128::from(span);
        sum.busy += if self.busy { span } else { 0 };
        sum.running += u128::from(self.running) * wide;
        sum.waiting += u128::from(self.waiting) * wide;
        sum.used_blocks += u128::from(self.used_blocks) * wide;
        sum.pending_tokens += u128::from(self.pending_tokens) * wide;
    }
}

/// The time mean of the coefficient of variation of pending prefill tokens over instances, over the time when any are
/// pending.
#[derive(Clone, Debug)]
pub(crate) struct LoadSpread {
    instances: u64,
    sum: u128,
    squares: u128,
    since: SimTime,
    weighted: f64,
    time: u64,
}

impl LoadSpread {
    pub(crate) fn new(instances: usize) -> Self {
        Self { instances: instances as u64, sum: 0, squares: 0, since: SimTime::ZERO, weighted: 0.0, time: 0 }
    }

    /// One more instance serves.
    pub(crate) fn joins(&mut self, now: SimTime) {
        self.settle(now);
        self.instances += 1;
    }

    /// An instance, on which nothing is pending, serves no more.
    pub(crate) fn leaves(&mut self, now: SimTime) {
        self.settle(now);
        self.instances -= 1;
    }

    /// One instance's pending tokens change at `now`.
    pub(crate) fn change(&mut self, now: SimTime, before: u64, after: u64) {
        if before == after {
            return;
        }
        self.settle(now);
        let square = |x: u64| u128::from(x) * u128::from(x);
        self.sum = self.sum + u128::from(after) - u128::from(before);
        self.squares = self.squares + square(after) - square(before);
    }

    fn settle(&mut self, now: SimTime) {
        let span = now.0 - self.since.0;
        if span > 0 && self.sum > 0 {
            // variance / mean^2 = n * sum of squares / (sum)^2 - 1, the difference taken in integers.
            let n = u128::from(self.instances);
            let excess = (n * self.squares).saturating_sub(self.sum * self.sum);
            let cv = libm::sqrt(excess as f64) / self.sum as f64;
            self.weighted += cv * span as f64;
            self.time += span;
        }
        self.since = now;
    }

    /// The mean up to `now`; zero when nothing was ever pending.
    pub(crate) fn mean(&mut self, now: SimTime) -> f64 {
        self.settle(now);
        if self.time == 0 { 0.0 } else { self.weighted / self.time as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_add_up() {
        let mut meter = Meter::new(true);
        let level = Level { busy: true, running: 2, waiting: 3, used_blocks: 5, pending_tokens: 7 };
        meter.advance(SimTime(WINDOW.0 / 2), Level::default());
        meter.advance(SimTime(WINDOW.0 * 5 / 2), level);
        assert_eq!((meter.first_busy, &meter.busy[..]), (0, &[WINDOW.0 / 2, WINDOW.0, WINDOW.0 / 2][..]));
        assert_eq!(meter.total.busy, 2 * WINDOW.0);
        meter.one_block_more(SimTime(WINDOW.0 * 3 / 2));
        assert_eq!(meter.total.used_blocks, 11 * u128::from(WINDOW.0));
        meter.moved(SimTime(WINDOW.0));
        assert_eq!(meter.total.waiting, 6 * u128::from(WINDOW.0));
        assert_eq!(meter.total.pending_tokens, 14 * u128::from(WINDOW.0));
        let windows = meter.windows.expect("a series was asked for");
        assert_eq!(windows.iter().map(|w| w.moved).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(windows.iter().map(|w| w.running).sum::<u128>(), meter.total.running);
        let half = u128::from(WINDOW.0 / 2);
        assert_eq!(windows.iter().map(|w| w.used_blocks).collect::<Vec<_>>(), [5 * half, 11 * half, 6 * half]);
    }

    #[test]
    fn spread_of_one_loaded_instance_in_four() {
        let mut spread = LoadSpread::new(4);
        spread.change(SimTime(10), 0, 100);
        spread.change(SimTime(20), 100, 0);
        // One of n loaded: cv = sqrt(n - 1).
        assert!((spread.mean(SimTime(50)) - 3f64.sqrt()).abs() < 1e-12);
    }
}
