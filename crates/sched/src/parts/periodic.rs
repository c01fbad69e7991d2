//! Work that a product does in the background.

use trimtab_core::SimTime;

/// Tells whether a period ended since it was last asked. What is only looked at by decisions can be done at the first
/// decision after its time, with the same effect as on time.
#[derive(Clone, Copy, Debug)]
pub struct Periodic {
    period: SimTime,
    next: SimTime,
}

impl Periodic {
    /// Due once in each period, the first time after one period. A period of zero is never due.
    pub fn new(period: SimTime) -> Self {
        Self { period, next: period }
    }

    /// Whether it has become due by now.
    pub fn due(&mut self, now: SimTime) -> bool {
        if self.period == SimTime::ZERO || now < self.next {
            return false;
        }
        let behind = (now.0 - self.next.0) / self.period.0;
        self.next = SimTime(self.next.0.saturating_add((behind + 1).saturating_mul(self.period.0)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_once_in_a_period() {
        let mut it = Periodic::new(SimTime(10));
        let asked = [0, 9, 10, 11, 19, 20, 55, 59, 60].map(|at| it.due(SimTime(at)));
        assert_eq!(asked, [false, false, true, false, false, true, true, false, true]);
        assert!(!Periodic::new(SimTime::ZERO).due(SimTime(1 << 60)));
    }
}
