//! How many requests each instance was sent lately: production-stack's measure of load.

use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

/// Requests sent to each instance within a sliding window.
#[derive(Debug)]
pub struct SendRates {
    window: SimTime,
    sent: Vec<VecDeque<SimTime>>,
    ever: Vec<bool>,
}

impl SendRates {
    /// Nothing sent yet.
    pub fn new(window: SimTime) -> Self {
        Self { window, sent: Vec::new(), ever: Vec::new() }
    }

    /// A request goes to an instance.
    pub fn record(&mut self, now: SimTime, to: InstanceId) {
        if self.sent.len() <= to.index() {
            self.sent.resize_with(to.index() + 1, VecDeque::new);
            self.ever.resize(to.index() + 1, false);
        }
        self.sent[to.index()].push_back(now);
        self.ever[to.index()] = true;
    }

    /// The first that was never sent anything, or else the one that was sent the fewest within the window, the first
    /// among equals. `among` must not be empty.
    pub fn lowest(&mut self, now: SimTime, among: &[InstanceId]) -> InstanceId {
        for sent in &mut self.sent {
            while sent.front().is_some_and(|&at| now.saturating_since(at) >= self.window) {
                sent.pop_front();
            }
        }
        let never = among.iter().find(|i| !self.ever.get(i.index()).is_some_and(|&ever| ever));
        let fewest = || among.iter().min_by_key(|i| self.sent[i.index()].len());
        *never.or_else(fewest).expect("there is an instance to choose")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ones_first_then_the_fewest_in_the_window() {
        let all: Vec<_> = (0..3).map(InstanceId).collect();
        let mut rates = SendRates::new(SimTime(100));
        for (now, to) in [(0, 0), (1, 0), (2, 1), (50, 1), (60, 1), (70, 2), (80, 2)] {
            rates.record(SimTime(now), InstanceId(to));
        }
        for (now, expected) in [(80, 0), (99, 0), (102, 0), (149, 0), (150, 0), (165, 0)] {
            assert_eq!(rates.lowest(SimTime(now), &all), InstanceId(expected), "{now}");
        }
        rates.record(SimTime(165), InstanceId(0));
        // Instance 1 sent its last at 60, instance 2 at 70 and 80.
        assert_eq!(rates.lowest(SimTime(165), &all), InstanceId(1));
        assert_eq!(rates.lowest(SimTime(165), &[InstanceId(0), InstanceId(2)]), InstanceId(0));
        assert_eq!(rates.lowest(SimTime(165), &[InstanceId(0), InstanceId(7)]), InstanceId(7), "never used");
    }
}
