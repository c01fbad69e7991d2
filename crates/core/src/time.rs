//! The integer clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Picoseconds in a microsecond.
pub const PS_PER_US: u64 = 1_000_000;
/// Picoseconds in a millisecond.
pub const PS_PER_MS: u64 = 1_000_000_000;
/// Picoseconds in a second.
pub const PS_PER_S: u64 = 1_000_000_000_000;

/// A point in simulated time, or the span between two, in picoseconds since the start of the run.
///
/// A `u64` of picoseconds lasts 213 days. Floating point is never added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(pub u64);

impl SimTime {
    /// The start of the run, and the empty span.
    pub const ZERO: Self = Self(0);
    /// Later than any event.
    pub const MAX: Self = Self(u64::MAX);
    /// The latest arrival that is accepted: 200 days, which leaves 13 days for the run to finish.
    pub const LATEST_ARRIVAL: Self = Self(200 * 86_400 * PS_PER_S);

    /// From whole milliseconds; `None` beyond the clock's range.
    pub const fn from_ms(ms: u64) -> Option<Self> {
        match ms.checked_mul(PS_PER_MS) {
            Some(ps) => Some(Self(ps)),
            None => None,
        }
    }

    /// From seconds, rounded to the nearest picosecond; `None` when negative, not finite or beyond the clock's range.
    pub fn from_secs_f64(seconds: f64) -> Option<Self> {
        let ps = libm::round(seconds * PS_PER_S as f64);
        // 2^64 as a float: the first value that does not fit.
        if !(0.0..18_446_744_073_709_551_616.0).contains(&ps) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        Some(Self(ps as u64))
    }

    /// In seconds, for reports.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / PS_PER_S as f64
    }

    /// In seconds, to the picosecond, for files: no rounding, no trailing zeros.
    pub fn exact_seconds(self) -> String {
        let (whole, rest) = (self.0 / PS_PER_S, self.0 % PS_PER_S);
        if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:012}").trim_end_matches('0').to_owned() }
    }

    /// The span since `earlier`, or zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// The sum, or `None` beyond the clock's range.
    pub fn checked_add(self, span: Self) -> Option<Self> {
        self.0.checked_add(span.0).map(Self)
    }
}

/// A run needs more simulated time than the clock holds. Steps that last for days do this, or a load that never ends: the
/// program is right. So it is thrown, past everything in between, to whoever started the run, and costs nothing before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRanOut;

impl ClockRanOut {
    /// Unwinds with this value; no panic is reported on the way.
    #[cold]
    pub fn throw() -> ! {
        std::panic::resume_unwind(Box::new(Self))
    }
}

impl fmt::Display for ClockRanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated clock ran past its range of 213 days")
    }
}

impl std::error::Error for ClockRanOut {}

impl Add for SimTime {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        // Wrapping here would reorder events silently: the check stays on in release builds.
        self.checked_add(span).unwrap_or_else(|| ClockRanOut::throw())
    }
}

impl AddAssign for SimTime {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl Sub for SimTime {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self(self.0.checked_sub(earlier.0).expect("a span of simulated time cannot be negative"))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_seconds_lose_nothing() {
        for (ps, text) in
            [(0, "0"), (1, "0.000000000001"), (1_500_000_000_000, "1.5"), (u64::MAX, "18446744.073709551615")]
        {
            assert_eq!(SimTime(ps).exact_seconds(), text);
        }
    }

    #[test]
    fn seconds_enter_and_leave() {
        for (seconds, expected) in [
            (0.0, Some(0)),
            (1.5, Some(1_500_000_000_000)),
            (0.000_000_000_001, Some(1)),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e8, None),
        ] {
            assert_eq!(SimTime::from_secs_f64(seconds), expected.map(SimTime), "{seconds}");
        }
        assert_eq!(SimTime::from_ms(3_000), Some(SimTime(3 * PS_PER_S)));
        assert_eq!(SimTime::from_ms(u64::MAX), None);
    }
}
