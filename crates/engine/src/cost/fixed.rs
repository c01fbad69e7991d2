//! Fixed pass times, as in dynamo-mocker's `fixed` timing: for theory and for comparisons with that simulator.

use trimtab_core::PS_PER_MS;

use super::{Line, StepCost, StepShape};

/// A step takes `prefill` if any sequence prefills, plus `decode` if any sequence decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Picoseconds of the prefill part, whatever its size.
    pub prefill: u64,
    /// Picoseconds of the decode part, whatever its size.
    pub decode: u64,
}

impl Default for Fixed {
    /// 20 ms and 10 ms.
    fn default() -> Self {
        Self { prefill: 20 * PS_PER_MS, decode: 10 * PS_PER_MS }
    }
}

impl StepCost for Fixed {
    fn step(&self, shape: &StepShape) -> u64 {
        let prefill = if shape.prefill_seqs > 0 { self.prefill } else { 0 };
        let decode = if shape.decode_seqs > 0 { self.decode } else { 0 };
        (prefill + decode).max(1)
    }

    fn line(&self, seqs: u32, context: u64) -> Line {
        Line { first: self.step(&StepShape::decode(seqs, context)), delta: 0, steps: u64::MAX }
    }
}
