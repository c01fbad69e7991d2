//! dynamo-mocker's published default timing, for comparisons with that simulator (version 1.6.1).
//!
//! It describes one unnamed GPU and model, is blind to the context that a prefill attends to and to the decode batch
//! size, and adds the prefill and the decode part of a step.

use super::{StepCost, StepShape};

/// The polynomial, for an instance with a given KV capacity.
///
/// - Prefill: `T = n * (floor(sum(cached + new) / n) - floor(sum(cached) / n))` over the `n` prefilling sequences, then
///   `4.209989e-7 T^2 + 1.518344e-2 T + 16.50142` ms. The two floors are the original's: `T` can fall short of the new
///   tokens by less than `n`, or exceed them, so that this one model is monotone in its prefill only up to `n` tokens.
/// - Decode: `u` = share of the KV capacity that the decoding sequences' tokens (before this step's token) would take
///   without sharing, at most 1; `-25.74 u^2 + 54.01 u + 5.74` ms, at least 1 ms.
/// - Each part is rounded to whole nanoseconds, as the original does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polynomial {
    /// KV tokens that the instance can hold; at least 1.
    pub kv_tokens: u64,
}

impl Polynomial {
    /// A decode that reads so many tokens, a whole number.
    fn decode(self, context: f64) -> u64 {
        let share = context / self.kv_tokens as f64;
        // Comparisons become one instruction each, which `min` and `max` do not: they also tell numbers from NaN.
        let u = if share < 1.0 { share } else { 1.0 };
        let ms = -25.74 * (u * u) + 54.01 * u + 5.74;
        few_ns(if ms > 1.0 { ms } else { 1.0 })
    }
}

/// Milliseconds as picoseconds, rounded to whole nanoseconds.
fn whole_ns(ms: f64) -> u64 {
    // Through seconds, because that is how the original rounds.
    let ns = (ms / 1e3 * 1e9).round_ties_even();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
    let ns = ns as u64;
    ns * 1_000
}

/// The same without a call, for less than 2^32 ns: a decode takes at most 34.01 ms, for `u` is at most 1. A float of
/// 1.5 * 2^52 and more has no bits for fractions, so adding that much rounds, half to even, and leaves the whole number in
/// the low bits.
fn few_ns(ms: f64) -> u64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    ((ms / 1e3 * 1e9 + SHIFT).to_bits() & u64::from(u32::MAX)) * 1_000
}

impl StepCost for Polynomial {
    fn step(&self, shape: &StepShape) -> u64 {
        let mut total = 0;
        if shape.prefill_seqs > 0 {
            let n = u64::from(shape.prefill_seqs);
            let cached = shape.prefill_context - shape.prefill_tokens;
            let tokens = (n * (shape.prefill_context / n - cached / n)) as f64;
            total += whole_ns(4.209_989e-7 * (tokens * tokens) + 1.518_344e-2 * tokens + 1.650_142e1);
        }
        if shape.decode_seqs > 0 {
            total += self.decode(shape.decode_context as f64);
        }
        total.max(1)
    }

    fn durations(&self, seqs: u32, context: u64, each: &mut [u64]) {
        // No batch holds 2^53 tokens, so nothing here is rounded, and several steps are computed at once.
        let (context, seqs) = (context as f64, f64::from(seqs));
        for (step, duration) in (0_i32..).zip(each) {
            *duration = self.decode(context + f64::from(step) * seqs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_round_alike(ms in 0.0..4e3, ns in 0_u32..4_000_000_000) {
            // Also where the rounding is close: whole and half nanoseconds.
            for ms in [ms, f64::from(ns) / 1e6, (f64::from(ns) + 0.5) / 1e6] {
                prop_assert_eq!(few_ns(ms), whole_ns(ms));
            }
        }
    }
}
