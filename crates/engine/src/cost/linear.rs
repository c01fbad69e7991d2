//! The plain linear model, for tests and queueing theory: `a + b*prefill_tokens + c*batch + d*context`.

use super::{Line, StepCost, StepShape};

/// A step takes `step + per_prefill_token * prefill tokens + per_seq * sequences + per_context * decode context`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linear {
    /// Picoseconds of every step.
    pub step: u64,
    /// Picoseconds for each new prompt token.
    pub per_prefill_token: u64,
    /// Picoseconds for each sequence of the batch, prefilling or decoding.
    pub per_seq: u64,
    /// Picoseconds for each token whose KV a decode reads.
    pub per_context: u64,
}

impl StepCost for Linear {
    fn step(&self, shape: &StepShape) -> u64 {
        let seqs = u64::from(shape.prefill_seqs) + u64::from(shape.decode_seqs);
        let of = |coefficient: u64, n: u64| u128::from(coefficient) * u128::from(n);
        let total = u128::from(self.step)
            + of(self.per_prefill_token, shape.prefill_tokens)
            + of(self.per_seq, seqs)
            + of(self.per_context, shape.decode_context);
        u64::try_from(total).unwrap_or(u64::MAX).max(1)
    }

    fn line(&self, seqs: u32, context: u64) -> Line {
        let first = self.step(&StepShape::decode(seqs, context));
        // A progression that starts at the floor of 1 ps is not linear from its first step on.
        let steps = if first == 1 { 1 } else { u64::MAX };
        Line { first, delta: self.per_context.saturating_mul(u64::from(seqs)), steps }
    }
}
