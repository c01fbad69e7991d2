//! The network between instances: when a transfer of cached KV ends.

use trimtab_core::SimTime;

use crate::config::{Link, TransferConfig};

/// The links of all instances, each with the time at which it is free again, as a sender and as a receiver.
pub(crate) struct Links {
    /// By instance.
    ends: Vec<Link>,
    sends_until: Vec<SimTime>,
    receives_until: Vec<SimTime>,
}

impl Links {
    pub(crate) fn new(config: Option<&TransferConfig>, instances: usize) -> Self {
        let links = config.map_or(Vec::new(), |config| config.links.clone());
        assert!(links.is_empty() || links.len() == instances, "every instance has a link, or none");
        let free = vec![SimTime::ZERO; links.len()];
        Self { ends: links, sends_until: free.clone(), receives_until: free }
    }

    /// When a transfer that is asked for at `now` lets go of its links, and when its last byte arrives.
    fn times(&self, from: usize, to: usize, tokens: u32, now: SimTime) -> Option<(SimTime, SimTime)> {
        let (a, b) = (self.ends.get(from)?, self.ends.get(to)?);
        if from == to {
            return None;
        }
        let start = now.max(self.sends_until[from]).max(self.receives_until[to]);
        let sent = start + SimTime(a.ps_per_token.max(b.ps_per_token).checked_mul(u64::from(tokens))?);
        Some((sent, sent + a.latency.max(b.latency)))
    }

    /// When such a transfer would end; `None` without links.
    pub(crate) fn end(&self, from: usize, to: usize, tokens: u32, now: SimTime) -> Option<SimTime> {
        self.times(from, to, tokens, now).map(|(_, end)| end)
    }

    /// Takes both links, after all transfers booked before, and returns the end.
    pub(crate) fn book(&mut self, from: usize, to: usize, tokens: u32, now: SimTime) -> Option<SimTime> {
        let (sent, end) = self.times(from, to, tokens, now)?;
        self.sends_until[from] = sent;
        self.receives_until[to] = sent;
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_over_a_link_follow_one_another() {
        let link = |ps_per_token| Link { ps_per_token, latency: SimTime(ps_per_token) };
        let config = TransferConfig { links: vec![link(2), link(3), link(5), link(5)], overlapped: false };
        let mut links = Links::new(Some(&config), 4);
        // from, to, tokens, asked for at, ends at
        for (from, to, tokens, now, end) in [
            (0, 1, 10, 100, Some(100 + 30 + 3)),
            (0, 1, 10, 100, Some(130 + 30 + 3)),
            // Sends and receives do not disturb each other.
            (1, 0, 10, 100, Some(100 + 30 + 3)),
            (0, 2, 10, 100, Some(160 + 50 + 5)),
            (3, 2, 1, 100, Some(210 + 5 + 5)),
            (3, 2, 1, 500, Some(500 + 5 + 5)),
            (1, 1, 10, 0, None),
        ] {
            assert_eq!(links.end(from, to, tokens, SimTime(now)), end.map(SimTime));
            assert_eq!(links.book(from, to, tokens, SimTime(now)), end.map(SimTime), "{from} to {to} at {now}");
        }
        assert_eq!(Links::new(None, 2).end(0, 1, 1, SimTime::ZERO), None);
    }
}
