//! Step cost: how long one engine iteration takes, in whole picoseconds.
//!
//! Adding a model is one file here, its lines in this one, and an entry in `laws`, which holds all to the same laws.

mod analytic;
mod deployment;
mod fixed;
#[cfg(test)]
mod laws;
mod linear;
mod model;
mod polynomial;
mod predictor;
mod slowed;
mod table;
mod terms;
mod tuning;

pub use analytic::Analytic;
pub use deployment::{Deployment, DeploymentError, Hardware};
pub use fixed::Fixed;
pub use linear::Linear;
pub use model::{Experts, Model, WeightType};
pub use polynomial::Polynomial;
pub use predictor::{PredictionError, Predictor};
pub(crate) use slowed::{Slowed, UNSLOWED};
pub use table::{DecodePoint, PrefillPoint, Table, TableError};
pub use terms::Terms;
pub use tuning::Tuning;

/// What one engine iteration (a step) computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepShape {
    /// Sequences that prefill in this step.
    pub prefill_seqs: u32,
    /// New prompt tokens of all chunks: `sum q`.
    pub prefill_tokens: u64,
    /// Tokens of the prefilling sequences whose KV is read, cached and new: `sum (c + q)`.
    pub prefill_context: u64,
    /// The longest prefilling sequence after its chunk: `max (c + q)`.
    pub prefill_longest: u64,
    /// Query-key pairs of the prefill attention: `sum (q*c + q*(q+1)/2)`.
    pub prefill_pairs: u128,
    /// Sequences that decode one token each.
    pub decode_seqs: u32,
    /// Tokens whose KV the decodes read: for each sequence its prompt and all its output tokens so far.
    pub decode_context: u64,
}

impl StepShape {
    /// Adds a chunk of `new` prompt tokens after `cached` tokens that are already computed.
    pub fn add_chunk(&mut self, new: u32, cached: u32) {
        let (q, c) = (u64::from(new), u64::from(cached));
        self.prefill_seqs += 1;
        self.prefill_tokens += q;
        self.prefill_context += q + c;
        self.prefill_longest = self.prefill_longest.max(q + c);
        self.prefill_pairs += u128::from(q) * u128::from(c) + u128::from(q) * u128::from(q + 1) / 2;
    }

    /// The shape of a decode-only step.
    pub const fn decode(seqs: u32, context: u64) -> Self {
        Self {
            prefill_seqs: 0,
            prefill_tokens: 0,
            prefill_context: 0,
            prefill_longest: 0,
            prefill_pairs: 0,
            decode_seqs: seqs,
            decode_context: context,
        }
    }
}

/// The durations of consecutive decode-only steps over an unchanged batch, as an arithmetic progression: the j-th of the
/// next `steps` steps takes `first + j * delta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Duration of the next step, in picoseconds; at least 1.
    pub first: u64,
    /// How much longer each following step takes.
    pub delta: u64,
    /// For how many steps this holds; at least 1.
    pub steps: u64,
}

/// The time of one engine iteration.
///
/// Every answer is a whole number of picoseconds and depends on the shape alone. A model should be monotone: more work in
/// any field never takes less time; `laws` knows the one that is so in part only.
pub trait StepCost: Send + Sync {
    /// The duration of one step, in picoseconds; at least 1. One that no clock holds saturates: the run then ends, with
    /// [`trimtab_core::ClockRanOut`].
    fn step(&self, shape: &StepShape) -> u64;

    /// The progression that starts with a decode-only step over `seqs` sequences and `context` tokens; each step adds
    /// `seqs` to the context. `first` must equal `step` of that shape.
    ///
    /// Models that are linear in the context answer for all steps at once, tables up to their next knot, and any other
    /// one step at a time, which is what this default does.
    fn line(&self, seqs: u32, context: u64) -> Line {
        Line { first: self.step(&StepShape::decode(seqs, context)), delta: 0, steps: 1 }
    }

    /// The durations of consecutive decode-only steps, as many as there is room for; each step adds `seqs` to the
    /// context. One call for many steps, for models that are not linear in the context.
    fn durations(&self, seqs: u32, context: u64, each: &mut [u64]) {
        let mut context = context;
        for duration in each {
            *duration = self.step(&StepShape::decode(seqs, context));
            context += u64::from(seqs);
        }
    }

    /// The time to prefill `new` tokens of one sequence after `cached` ones in steps of at most `budget` tokens, with
    /// nothing else in the batch: what a latency predictor assumes.
    fn prefill_time(&self, new: u32, cached: u32, budget: u32) -> u64 {
        let (mut done, mut total) = (0, 0);
        while done < new {
            let chunk = budget.max(1).min(new - done);
            let mut shape = StepShape::default();
            shape.add_chunk(chunk, cached + done);
            total = self.step(&shape).saturating_add(total);
            done += chunk;
        }
        total
    }
}

impl Line {
    /// The time of the first `steps` steps of the progression.
    pub fn total(&self, steps: u64) -> u128 {
        let (first, delta, n) = (u128::from(self.first), u128::from(self.delta), u128::from(steps));
        first * n + delta * (n * n.saturating_sub(1) / 2)
    }

    /// The largest number of steps, at most `limit`, whose time does not exceed `span`.
    pub fn steps_within(&self, span: u64, limit: u64) -> u64 {
        if self.total(limit) <= u128::from(span) {
            return limit;
        }
        // Solve delta/2 n^2 + (first - delta/2) n = span for n in floating point, then correct by whole steps.
        let (first, delta, span_f) = (self.first as f64, self.delta as f64, span as f64);
        let guess = if self.delta == 0 {
            span_f / first
        } else {
            let b = first - delta / 2.0;
            2.0 * span_f / (b + libm::sqrt(b * b + 2.0 * delta * span_f))
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive estimate, corrected below"
        )]
        let mut n = (guess as u64).min(limit);
        while n > 0 && self.total(n) > u128::from(span) {
            n -= 1;
        }
        while n < limit && self.total(n + 1) <= u128::from(span) {
            n += 1;
        }
        n
    }
}
