//! The analytic model: the terms of [`Deployment`] in whole picoseconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::deployment::FEW_SEQS;
use super::{Deployment, Line, StepCost, StepShape};

/// Fractional bits of the prefill-attention coefficient, which can be as small as 20 ps.
const PAIR_BITS: u32 = 20;
/// Picoseconds in a second, as a float.
const PS: f64 = 1e12;

/// A closed form in the numbers of tokens, sequences, KV tokens and query-key pairs of a step.
///
/// Exact: each coefficient is rounded once here, the pair term once per step, and nothing else is rounded.
#[derive(Debug)]
pub struct Analytic {
    deployment: Deployment,
    /// Weight reads, matrix products, element-wise traffic and all-reduces, by number of tokens; 0 where nobody has asked
    /// yet. Whoever asks first computes the same number, so that it does not matter who that is.
    by_tokens: Vec<AtomicU64>,
    pair_fixed: u128,
    kv: u64,
    scan: u64,
    kv_mixed: u64,
    kv_few: u64,
    seq: u64,
    step: u64,
}

impl Analytic {
    /// With a table for steps of up to `max_batched_tokens` tokens, 65,536 at most; larger steps are computed each time.
    pub fn new(deployment: Deployment, max_batched_tokens: u32) -> Self {
        let rates = deployment.rates();
        Self {
            by_tokens: (0..=max_batched_tokens.min(1 << 16)).map(|_| AtomicU64::new(0)).collect(),
            pair_fixed: u128::from(ps(rates.pair * f64::from(1_u32 << PAIR_BITS))),
            kv: ps(rates.kv),
            scan: ps(rates.scan),
            kv_mixed: ps(rates.kv_mixed),
            kv_few: ps(rates.kv_few),
            seq: ps(rates.seq),
            step: ps(rates.step),
            deployment,
        }
    }

    /// What it was built from.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Reading `context` KV tokens for `seqs` decodes when one token takes `read` at full bandwidth. In a run of steps the
    /// context grows by `seqs`, so the division leaves the same remainder each time: the run stays a progression.
    fn kv_read(&self, read: u64, seqs: u32, context: u64) -> u64 {
        let few = u64::from(FEW_SEQS);
        let seqs = u64::from(seqs).max(few);
        if self.kv_few * few <= read.saturating_mul(seqs) {
            read.saturating_mul(context)
        } else {
            (self.kv_few * few).saturating_mul(context) / seqs
        }
    }

    fn of_tokens(&self, tokens: u64) -> u64 {
        let place = usize::try_from(tokens).ok().and_then(|n| self.by_tokens.get(n));
        let known = place.map_or(0, |place| place.load(Relaxed));
        if known > 0 {
            return known;
        }
        let computed = ps(self.deployment.token_seconds(tokens));
        if let Some(place) = place {
            place.store(computed, Relaxed);
        }
        computed
    }
}

/// Seconds as whole picoseconds. Every caller passes a finite, non-negative time: `Deployment::new` checks its inputs.
fn ps(seconds: f64) -> u64 {
    let rounded = libm::round(seconds * PS);
    debug_assert!((0.0..1.8e19).contains(&rounded), "{seconds} s is no duration");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
    let whole = rounded as u64;
    whole
}

impl StepCost for Analytic {
    fn step(&self, shape: &StepShape) -> u64 {
        let seqs = u64::from(shape.prefill_seqs) + u64::from(shape.decode_seqs);
        let tokens = self.of_tokens(shape.prefill_tokens + u64::from(shape.decode_seqs));
        let total = tokens.saturating_add(self.step).saturating_add(self.seq.saturating_mul(seqs));
        if shape.prefill_seqs == 0 {
            return total.saturating_add(self.kv_read(self.kv, shape.decode_seqs, shape.decode_context)).max(1);
        }
        let half = 1_u128 << (PAIR_BITS - 1);
        let pairs = u64::try_from((self.pair_fixed * shape.prefill_pairs + half) >> PAIR_BITS).unwrap_or(u64::MAX);
        let attention = pairs
            .max(self.kv.saturating_mul(shape.prefill_context))
            .max(self.scan.saturating_mul(shape.prefill_longest));
        let decodes = self.kv_read(self.kv_mixed, shape.decode_seqs, shape.decode_context);
        total.saturating_add(attention).saturating_add(decodes).max(1)
    }

    fn line(&self, seqs: u32, context: u64) -> Line {
        let first = self.step(&StepShape::decode(seqs, context));
        // A progression that starts at the floor of 1 ps is not linear from its first step on.
        let steps = if first == 1 { 1 } else { u64::MAX };
        Line { first, delta: self.kv_read(self.kv, seqs, u64::from(seqs)), steps }
    }
}
