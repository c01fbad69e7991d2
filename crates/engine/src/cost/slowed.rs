//! An instance that runs at another pace for a while.

use std::sync::Arc;

use super::{Line, StepCost, StepShape};

/// The thousandths of a pace that is as usual.
pub(crate) const UNSLOWED: u64 = 1000;

/// Another cost, times a number of thousandths and rounded down, at least 1 ps.
pub(crate) struct Slowed {
    usual: Arc<dyn StepCost>,
    thousandths: u64,
}

impl Slowed {
    pub(crate) fn new(usual: Arc<dyn StepCost>, thousandths: u64) -> Self {
        Self { usual, thousandths }
    }
}

impl StepCost for Slowed {
    fn step(&self, shape: &StepShape) -> u64 {
        let time = u128::from(self.usual.step(shape).max(1)) * u128::from(self.thousandths) / u128::from(UNSLOWED);
        u64::try_from(time).unwrap_or(u64::MAX).max(1)
    }

    fn line(&self, seqs: u32, context: u64) -> Line {
        let (whole, rest) = (self.thousandths / UNSLOWED, self.thousandths % UNSLOWED);
        if rest != 0 || whole == 0 {
            // Rounded down, the durations are no progression.
            return Line { first: self.step(&StepShape::decode(seqs, context)), delta: 0, steps: 1 };
        }
        let line = self.usual.line(seqs, context);
        Line { first: line.first.saturating_mul(whole), delta: line.delta.saturating_mul(whole), steps: line.steps }
    }
}
