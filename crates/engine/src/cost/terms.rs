//! The parts of a step's time.

use super::Tuning;

/// The parts of one step's time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Whether the step prefills and so reads its decodes' KV with the mixed efficiency.
    pub prefills: bool,
    /// How far `weights` and the matrix products overlap: see [`Tuning::overlap`].
    pub overlap: f64,
    /// Ways in which a GPU reads KV of decodes at the same time: its KV heads, times the sequences beyond 16.
    pub kv_ways: f64,
    /// Reading the weights.
    pub weights: f64,
    /// The matrix products, routed experts apart. These overlap with `weights`.
    pub gemm: f64,
    /// The routed experts' matrix products; they add to `gemm`.
    pub expert_gemm: f64,
    /// Element-wise traffic.
    pub activations: f64,
    /// Starting the all-reduces between the GPUs.
    pub all_reduce_start: f64,
    /// Moving the all-reduces' bytes.
    pub all_reduce_bytes: f64,
    /// Arithmetic of prefill attention.
    pub attention: f64,
    /// KV traffic of prefill attention. Overlaps with `attention`: the largest of the three counts.
    pub prefill_kv: f64,
    /// One pass over the longest prefilling sequence.
    pub prefill_scan: f64,
    /// KV traffic of decode attention.
    pub decode_kv: f64,
    /// The output head, once for each sequence.
    pub head: f64,
    /// Host overhead for each sequence.
    pub host_seqs: f64,
    /// Host overhead for each layer.
    pub host_layers: f64,
    /// Host overhead for the step.
    pub host_step: f64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            prefills: false,
            overlap: Tuning::default().overlap,
            kv_ways: 1.0,
            weights: 0.0,
            gemm: 0.0,
            expert_gemm: 0.0,
            activations: 0.0,
            all_reduce_start: 0.0,
            all_reduce_bytes: 0.0,
            attention: 0.0,
            prefill_kv: 0.0,
            prefill_scan: 0.0,
            decode_kv: 0.0,
            head: 0.0,
            host_seqs: 0.0,
            host_layers: 0.0,
            host_step: 0.0,
        }
    }
}

impl Terms {
    /// The whole step.
    pub fn total(&self) -> f64 {
        let host = self.host_seqs + self.host_layers + self.host_step;
        self.of_tokens() + self.prefill_attention() + self.decode_kv + self.head + host
    }

    /// Weight read and matrix products together.
    pub fn dense(&self) -> f64 {
        let gemm = self.gemm + self.expert_gemm;
        let (short, long) = (self.weights.min(gemm), self.weights.max(gemm));
        if short <= 0.0 {
            return long;
        }
        long * libm::pow(1.0 + libm::pow(short / long, self.overlap), 1.0 / self.overlap)
    }

    /// Prefill attention: arithmetic, KV traffic or the pass over the longest sequence, whichever takes longest.
    pub fn prefill_attention(&self) -> f64 {
        self.attention.max(self.prefill_kv).max(self.prefill_scan)
    }

    /// The parts that depend on the number of tokens alone.
    pub(super) fn of_tokens(&self) -> f64 {
        self.dense() + self.activations + self.all_reduce_start + self.all_reduce_bytes
    }

    /// From the terms of an ideal machine (every field of the tuning 1) to those under `tuning`.
    pub fn under(&self, tuning: &Tuning) -> Self {
        let kv_read = if self.prefills { tuning.kv_read_mixed } else { tuning.kv_read };
        Self {
            prefills: self.prefills,
            overlap: tuning.overlap,
            kv_ways: self.kv_ways,
            weights: self.weights / tuning.weight_read,
            gemm: self.gemm / tuning.gemm,
            expert_gemm: self.expert_gemm * tuning.expert_imbalance / tuning.gemm,
            activations: self.activations * tuning.activation_passes,
            all_reduce_start: self.all_reduce_start * tuning.all_reduce_us,
            all_reduce_bytes: self.all_reduce_bytes / tuning.all_reduce,
            attention: self.attention / tuning.attention,
            prefill_kv: self.prefill_kv / tuning.kv_read,
            prefill_scan: self.prefill_scan * tuning.prefill_scan_ns,
            decode_kv: self.decode_kv / kv_read.min(self.kv_ways * tuning.kv_read_head),
            head: self.head / tuning.gemm,
            host_seqs: self.host_seqs * tuning.seq_us,
            host_layers: self.host_layers * tuning.layer_us,
            host_step: self.host_step * tuning.step_us,
        }
    }

    /// The terms of two steps together.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            prefills: self.prefills || other.prefills,
            overlap: self.overlap,
            kv_ways: self.kv_ways.min(other.kv_ways),
            weights: self.weights + other.weights,
            gemm: self.gemm + other.gemm,
            expert_gemm: self.expert_gemm + other.expert_gemm,
            activations: self.activations + other.activations,
            all_reduce_start: self.all_reduce_start + other.all_reduce_start,
            all_reduce_bytes: self.all_reduce_bytes + other.all_reduce_bytes,
            attention: self.attention + other.attention,
            prefill_kv: self.prefill_kv + other.prefill_kv,
            prefill_scan: self.prefill_scan + other.prefill_scan,
            decode_kv: self.decode_kv + other.decode_kv,
            head: self.head + other.head,
            host_seqs: self.host_seqs + other.host_seqs,
            host_layers: self.host_layers + other.host_layers,
            host_step: self.host_step + other.host_step,
        }
    }

    /// The name of the largest part.
    pub fn bound(&self) -> &'static str {
        let parts = [
            ("weight read", self.weights),
            ("matrix products", self.gemm + self.expert_gemm),
            ("activations", self.activations),
            ("all-reduce", self.all_reduce_start + self.all_reduce_bytes),
            ("prefill attention", self.prefill_attention()),
            ("KV read", self.decode_kv),
            ("output head", self.head),
            ("host overhead", self.host_seqs + self.host_layers + self.host_step),
        ];
        parts.iter().fold(parts[0], |most, &part| if part.1 > most.1 { part } else { most }).0
    }
}
