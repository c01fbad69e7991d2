//! The fitted parameters of the step cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far real kernels stay below the data sheet, and what a step costs besides: the fitted parameters.
///
/// Efficiencies are shares of the rated peak; a card that boosts above its rating may exceed 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Memory efficiency of reading weights.
    pub weight_read: f64,
    /// Arithmetic efficiency of the matrix products.
    pub gemm: f64,
    /// How far reading the weights and multiplying overlap: the exponent of the norm that combines their times. At 1 they
    /// take turns, at 2 their squares add up, beyond about 6 only the longer one counts.
    pub overlap: f64,
    /// Arithmetic efficiency of prefill attention.
    pub attention: f64,
    /// Memory efficiency of reading KV in a pure decode or prefill.
    pub kv_read: f64,
    /// Memory efficiency of reading the decodes' KV in a step that also prefills.
    pub kv_read_mixed: f64,
    /// Memory efficiency of reading KV through one KV head of a GPU while at most 16 sequences decode. It grows with the
    /// heads, and with the sequences beyond 16, until another efficiency binds: kernels that do not split long contexts
    /// leave most of a GPU idle otherwise.
    pub kv_read_head: f64,
    /// Time in which one layer's prefill attention passes one KV token of a sequence, in nanoseconds, however few query
    /// tokens and heads there are: what bounds a small chunk after a long context.
    pub prefill_scan_ns: f64,
    /// Link efficiency of all-reduces.
    pub all_reduce: f64,
    /// Start-up time of one all-reduce between 4 GPUs, in microseconds.
    pub all_reduce_us: f64,
    /// How often each layer reads or writes its activations.
    pub activation_passes: f64,
    /// Host and launch time of one layer, in microseconds.
    pub layer_us: f64,
    /// Host time of one sequence, in microseconds.
    pub seq_us: f64,
    /// Host time of one step, in microseconds.
    pub step_us: f64,
    /// Load of the busiest GPU's experts over the mean: multiplies the arithmetic of the routed experts.
    pub expert_imbalance: f64,
}

impl Default for Tuning {
    /// One fit over measured steps of seven cards, rounded, plus the 1,000 us that a live server's host takes per step.
    fn default() -> Self {
        Self {
            weight_read: 0.78,
            gemm: 0.85,
            overlap: 2.0,
            attention: 0.44,
            kv_read: 0.87,
            kv_read_mixed: 0.47,
            kv_read_head: 1.0,
            prefill_scan_ns: 20.0,
            all_reduce: 0.97,
            all_reduce_us: 8.7,
            activation_passes: 30.0,
            layer_us: 14.0,
            seq_us: 2.0,
            step_us: 1_000.0,
            expert_imbalance: 1.0,
        }
    }
}

impl Tuning {
    /// The parameters by name, for reports and checks.
    pub const fn fields(&self) -> [(&'static str, f64); 15] {
        [
            ("weight_read", self.weight_read),
            ("gemm", self.gemm),
            ("overlap", self.overlap),
            ("attention", self.attention),
            ("kv_read", self.kv_read),
            ("kv_read_mixed", self.kv_read_mixed),
            ("kv_read_head", self.kv_read_head),
            ("prefill_scan_ns", self.prefill_scan_ns),
            ("all_reduce", self.all_reduce),
            ("all_reduce_us", self.all_reduce_us),
            ("activation_passes", self.activation_passes),
            ("layer_us", self.layer_us),
            ("seq_us", self.seq_us),
            ("step_us", self.step_us),
            ("expert_imbalance", self.expert_imbalance),
        ]
    }

    /// The first field that no machine can have, with the reason.
    pub(super) fn fault(&self) -> Option<String> {
        for (name, value) in self.fields() {
            let efficiency = matches!(
                name,
                "weight_read"
                    | "gemm"
                    | "attention"
                    | "kv_read"
                    | "kv_read_mixed"
                    | "kv_read_head"
                    | "all_reduce"
                    | "expert_imbalance"
            );
            if !value.is_finite() || value < 0.0 || (efficiency && value < 1e-3) || value > 1e6 {
                return Some(format!("tuning field `{name}` is {value}; it must be finite and positive"));
            }
        }
        if self.kv_read_mixed > self.kv_read {
            return Some(format!(
                "tuning field `kv_read_mixed` ({}) exceeds `kv_read` ({}): a step would get faster by prefilling more",
                self.kv_read_mixed, self.kv_read
            ));
        }
        let least = [("overlap", self.overlap), ("expert_imbalance", self.expert_imbalance)];
        let low = least.into_iter().find(|(_, value)| *value < 1.0)?;
        Some(format!("tuning field `{}` is {}; the least is 1", low.0, low.1))
    }
}
