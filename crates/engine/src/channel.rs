//! How reports get from engines to the router: when they are sent, how long they travel, and which are lost.

use rand::RngExt;
use trimtab_core::{SimTime, StreamRng, uniform01};

/// How the reports of one signal travel. The default: at once, and all arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lag {
    /// Reports are sent at whole multiples of this; at zero, whenever there is something to say.
    pub every: SimTime,
    /// How long a report travels.
    pub delay: SimTime,
    /// Up to this much longer, every time equally likely.
    pub jitter: SimTime,
    /// The share of reports that never arrive.
    pub loss: f64,
}

impl Lag {
    /// Reports that travel for this long.
    pub fn of(delay: SimTime) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Reports that are sent at whole multiples of this and arrive at once.
    pub fn each(every: SimTime) -> Self {
        Self { every, ..Self::default() }
    }

    /// Whether reports take no time and all arrive.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// When what is known at `at` is sent.
    pub(crate) fn sent(&self, at: SimTime) -> SimTime {
        if self.every == SimTime::ZERO { at } else { SimTime(at.0.next_multiple_of(self.every.0)) }
    }

    /// Before this nobody knows what happened at `at`.
    pub(crate) fn soonest(&self, at: SimTime) -> SimTime {
        if at == SimTime::MAX { at } else { self.sent(at).checked_add(self.delay).unwrap_or(SimTime::MAX) }
    }
}

/// The way of the reports of one sender. What becomes of a report depends on the seed and its number alone, not on what
/// else was drawn.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) lag: Lag,
    stream: StreamRng,
}

impl Channel {
    pub(crate) fn new(lag: Lag, stream: StreamRng) -> Self {
        Self { lag, stream }
    }

    /// When a report that is sent at `sent` arrives, if it does.
    pub(crate) fn arrival(&self, number: u64, sent: SimTime) -> Option<SimTime> {
        let Lag { delay, jitter, loss, .. } = self.lag;
        let mut longer = 0;
        if loss > 0.0 || jitter > SimTime::ZERO {
            let mut rng = self.stream.clone();
            // A block of 16 words for each report.
            rng.set_word_pos(u128::from(number) * 16);
            if uniform01(&mut rng) < loss {
                return None;
            }
            longer = rng.random_range(0..=jitter.0);
        }
        Some(sent + delay + SimTime(longer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::RngStreams;

    #[test]
    fn reports_are_sent_and_arrive_as_told() {
        let lag = |every, delay, jitter, loss| Lag {
            every: SimTime(every),
            delay: SimTime(delay),
            jitter: SimTime(jitter),
            loss,
        };
        // Lag, when it happened, when it is sent, how often of 10,000 it arrives, and the least and most it takes.
        for (lag, at, sent, arrive, least, most) in [
            (lag(0, 0, 0, 0.0), 7, 7, 10_000..=10_000, 0, 0),
            (lag(5, 3, 0, 0.0), 7, 10, 10_000..=10_000, 3, 3),
            (lag(5, 3, 0, 0.0), 10, 10, 10_000..=10_000, 3, 3),
            (lag(0, 2, 4, 0.0), 7, 7, 10_000..=10_000, 2, 6),
            (lag(0, 2, 4, 0.25), 7, 7, 7_350..=7_650, 2, 6),
            (lag(0, 0, 0, 1.0), 7, 7, 0..=0, u64::MAX, 0),
        ] {
            let channel = Channel::new(lag, RngStreams::new(1).stream("signals/test"));
            assert_eq!(lag.sent(SimTime(at)), SimTime(sent), "{lag:?}");
            let all = (0..10_000).filter_map(|n| channel.arrival(n, SimTime(sent)));
            let took: Vec<u64> = all.map(|arrival| arrival.0 - sent).collect();
            assert!(arrive.contains(&took.len()), "{lag:?}: {} arrive", took.len());
            let (min, max) = (took.iter().copied().min(), took.iter().copied().max());
            assert_eq!((min.unwrap_or(u64::MAX), max.unwrap_or(0)), (least, most), "{lag:?}");
            assert_eq!(channel.arrival(77, SimTime(sent)), channel.arrival(77, SimTime(sent)));
        }
    }
}
