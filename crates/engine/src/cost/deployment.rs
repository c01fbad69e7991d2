//! A model on a kind of GPU: the physics behind the analytic step cost and the KV capacity.
//!
//! Everything here is floating point in SI units (seconds, bytes, FLOP) and runs once, when a run is set up. The
//! [`Analytic`](super::Analytic) model turns it into whole picoseconds.

use serde::{Deserialize, Serialize};

use super::model::ELEMENT_BYTES;
use super::{Model, StepShape, Terms, Tuning, WeightType};

/// One accelerator, by its data sheet. Rates are dense peaks (no sparsity).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Catalogue name.
    pub name: String,
    /// Other names that mean this card.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// Dense 16-bit peak, in TFLOP/s.
    pub bf16_tflops: f64,
    /// Dense fp8 peak, in TFLOP/s; absent where the card has no fp8 units.
    pub fp8_tflops: Option<f64>,
    /// Memory that the driver reports, in bytes.
    pub memory_bytes: u64,
    /// Memory bandwidth, in TB/s (10^12 bytes).
    pub memory_tb_per_s: f64,
    /// Link to the other GPUs of the node, one direction, in GB/s (10^9 bytes).
    pub link_gb_per_s: f64,
    /// Where the numbers come from.
    pub source: String,
}

/// Why a model cannot run on some hardware.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeploymentError {
    /// A field is out of range.
    #[error("{0}")]
    Invalid(String),
    /// The weights leave no room for a single KV block.
    #[error(
        "model `{model}` does not fit on {tp} x `{hardware}`: its weights take {weights_gb:.1} GB per GPU and {usable_gb:.1} GB \
         are usable; {remedy}"
    )]
    DoesNotFit {
        /// The model.
        model: String,
        /// The hardware.
        hardware: String,
        /// Tensor-parallel degree.
        tp: u32,
        /// Weights per GPU, in GB.
        weights_gb: f64,
        /// Memory for weights and KV per GPU, in GB.
        usable_gb: f64,
        /// What to do.
        remedy: String,
    },
}

/// Up to so many sequences, kernels with few KV heads read KV no faster than one sequence does; beyond, in proportion
/// (measured on H200s: 16 and 32 sequences of one length take the same time).
pub(super) const FEW_SEQS: u32 = 16;

/// Constant costs per unit of work, in seconds: what is linear in the shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// A query-key pair of prefill attention.
    pub(super) pair: f64,
    /// A KV token read with the pure-step efficiency.
    pub(super) kv: f64,
    /// A KV token of the longest prefilling sequence.
    pub(super) scan: f64,
    /// A KV token read with the mixed-step efficiency.
    pub(super) kv_mixed: f64,
    /// A KV token read by at most [`FEW_SEQS`] sequences.
    pub(super) kv_few: f64,
    /// A sequence in the step.
    pub(super) seq: f64,
    /// A step.
    pub(super) step: f64,
}

/// A model on `tp` GPUs of one kind, with its fitted parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    model: Model,
    hardware: Hardware,
    tp: u32,
    tuning: Tuning,
}

impl Deployment {
    /// Checks that every number is usable and that the model can be split over `tp` GPUs.
    pub fn new(model: Model, hardware: Hardware, tp: u32, tuning: Tuning) -> Result<Self, DeploymentError> {
        let fault = hardware_fault(&hardware).or_else(|| model.fault()).or_else(|| tuning.fault()).or_else(|| {
            (tp == 0 || !model.heads.is_multiple_of(tp)).then(|| {
                format!("`{}` has {} query heads, which {tp} GPUs cannot share evenly", model.name, model.heads)
            })
        });
        match fault {
            Some(fault) => Err(DeploymentError::Invalid(fault)),
            None => Ok(Self { model, hardware, tp, tuning }),
        }
    }

    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The hardware.
    pub const fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// Tensor-parallel degree: GPUs per instance.
    pub const fn tp(&self) -> u32 {
        self.tp
    }

    /// The fitted parameters.
    pub const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The same deployment with other parameters.
    pub fn with_tuning(&self, tuning: Tuning) -> Result<Self, DeploymentError> {
        Self::new(self.model.clone(), self.hardware.clone(), self.tp, tuning)
    }

    fn bf16_flops(&self) -> f64 {
        self.hardware.bf16_tflops * 1e12
    }

    /// Peak rate of the matrix products over the layer weights.
    pub fn gemm_flops(&self) -> f64 {
        let bf16 = self.bf16_flops();
        match self.model.weights {
            WeightType::Bf16 => bf16,
            WeightType::Fp8 => self.hardware.fp8_tflops.map_or(bf16, |fp8| fp8 * 1e12),
        }
    }

    fn bandwidth(&self) -> f64 {
        self.hardware.memory_tb_per_s * 1e12
    }

    /// KV heads on each GPU: split between the GPUs, but never below one.
    fn kv_heads(&self) -> f64 {
        f64::from(self.model.kv_heads.div_ceil(self.tp))
    }

    /// KV bytes of one token on each GPU.
    pub fn kv_bytes_per_token(&self) -> f64 {
        2.0 * f64::from(self.model.layers) * self.kv_heads() * f64::from(self.model.head_dim) * ELEMENT_BYTES
    }

    /// Weight bytes on each GPU.
    pub fn weight_bytes(&self) -> f64 {
        self.model.weight_bytes() / f64::from(self.tp)
    }

    /// The coefficients of everything that is linear in the shape.
    pub(super) fn rates(&self) -> Rates {
        let one = |shape: StepShape| self.terms(&shape);
        let step = one(StepShape::default());
        let unit = StepShape {
            prefill_seqs: 1,
            prefill_pairs: 1,
            prefill_longest: 1,
            decode_context: 1,
            ..StepShape::default()
        };
        let mixed = one(unit);
        let kv = |prefill_seqs, decode_seqs| one(StepShape { prefill_seqs, decode_seqs, ..unit }).decode_kv;
        Rates {
            pair: mixed.attention,
            kv: kv(0, u32::MAX),
            scan: mixed.prefill_scan,
            kv_mixed: kv(1, u32::MAX),
            kv_few: kv(0, FEW_SEQS),
            seq: mixed.head + mixed.host_seqs,
            step: step.host_step + step.host_layers,
        }
    }

    /// The time that depends on the number of tokens alone, in seconds.
    pub(super) fn token_seconds(&self, tokens: u64) -> f64 {
        self.terms(&StepShape { prefill_tokens: tokens, ..StepShape::default() }).of_tokens()
    }

    /// The time of one step, in parts.
    pub fn terms(&self, shape: &StepShape) -> Terms {
        self.ideal_terms(shape).under(&self.tuning)
    }

    /// The same on an ideal machine: efficiencies of 1, one activation pass, 1 us wherever the host takes time.
    pub fn ideal_terms(&self, shape: &StepShape) -> Terms {
        let (m, t) = (&self.model, f64::from(self.tp));
        let tokens = shape.prefill_tokens + u64::from(shape.decode_seqs);
        let (l, h, n) = (f64::from(m.layers), f64::from(m.hidden), tokens as f64);
        let seqs = f64::from(shape.prefill_seqs) + f64::from(shape.decode_seqs);
        let pair_flop = 4.0 * l * f64::from(m.heads) * f64::from(m.head_dim) / t;
        let kv = self.kv_bytes_per_token() / self.bandwidth();
        let gemm = 2.0 * n / (t * self.gemm_flops());
        let mut terms = Terms {
            prefills: shape.prefill_seqs > 0,
            kv_ways: self.kv_heads() * (f64::from(shape.decode_seqs) / f64::from(FEW_SEQS)).max(1.0),
            gemm: gemm * m.dense_params(),
            expert_gemm: gemm * m.expert_params() * m.expert_share(),
            activations: l * n * h * ELEMENT_BYTES / self.bandwidth(),
            attention: shape.prefill_pairs as f64 * pair_flop / self.bf16_flops(),
            prefill_kv: shape.prefill_context as f64 * kv,
            prefill_scan: shape.prefill_longest as f64 * l * 1e-9,
            decode_kv: shape.decode_context as f64 * kv,
            head: seqs * 2.0 * m.embedding_params() / (t * self.gemm_flops()),
            host_seqs: seqs * 1e-6,
            host_layers: l * 1e-6,
            host_step: 1e-6,
            ..Terms::default()
        };
        if tokens > 0 {
            let read = (m.dense_params() + m.expert_params() * m.experts_touched(n)) * m.weights.bytes()
                + m.embedding_params() * ELEMENT_BYTES;
            terms.weights = read / (t * self.bandwidth());
            if self.tp > 1 {
                // Two all-reduces in each layer; a ring sends and receives 2(t-1)/t of the bytes.
                let bytes = 2.0 * (t - 1.0) / t * n * h * ELEMENT_BYTES;
                // The start-up time is stated for 4 GPUs. How it grows with the peers lies between not at all (0) and by
                // one message each (1): this exponent predicts measured steps at a left-out degree best.
                terms.all_reduce_start = 2.0 * l * 1e-6 * libm::pow((t - 1.0) / 3.0, 0.4);
                terms.all_reduce_bytes = 2.0 * l * bytes / (self.hardware.link_gb_per_s * 1e9);
            }
        }
        terms
    }

    /// KV blocks of `block_tokens` tokens that fit beside the weights on each GPU.
    ///
    /// `utilisation` is the share of the memory that the server may use; `max_batched_tokens` sizes the activations.
    pub fn kv_blocks(
        &self,
        block_tokens: u32,
        max_batched_tokens: u32,
        utilisation: f64,
    ) -> Result<u64, DeploymentError> {
        if block_tokens == 0 || !(utilisation > 0.0 && utilisation <= 1.0) {
            return Err(DeploymentError::Invalid(format!(
                "a block of {block_tokens} tokens and a memory share of {utilisation} cannot be: blocks need at least one \
                 token and the share lies above 0 and at most at 1"
            )));
        }
        let usable = self.hardware.memory_bytes as f64 * utilisation - overhead_bytes(max_batched_tokens);
        let blocks =
            libm::floor((usable - self.weight_bytes()) / (f64::from(block_tokens) * self.kv_bytes_per_token()));
        if blocks < 1.0 {
            let left = (usable - self.weight_bytes()) / self.kv_bytes_per_token();
            if left >= 1.0 {
                return Err(DeploymentError::Invalid(format!(
                    "a block of {block_tokens} tokens is more than the {} that fit beside the weights of `{}`",
                    libm::floor(left),
                    self.model.name
                )));
            }
            return Err(self.does_not_fit(usable));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, far below 2^53")]
        Ok(blocks as u64)
    }

    fn does_not_fit(&self, usable: f64) -> DeploymentError {
        // The next power of two that leaves a fifth of the memory for KV.
        let mut tp = self.tp;
        while tp <= self.model.heads && self.model.weight_bytes() / f64::from(tp) > 0.8 * usable {
            tp *= 2;
        }
        let remedy = if usable > 0.0 && self.model.heads.is_multiple_of(tp) && tp > self.tp {
            format!("use tensor parallelism over at least {tp} GPUs, or a card with more memory")
        } else {
            "use a card with more memory or a smaller model".to_owned()
        };
        DeploymentError::DoesNotFit {
            model: self.model.name.clone(),
            hardware: self.hardware.name.clone(),
            tp: self.tp,
            weights_gb: self.weight_bytes() / 1e9,
            usable_gb: usable.max(0.0) / 1e9,
            remedy,
        }
    }
}

/// Memory of a vLLM worker besides weights and KV: context, communication buffers and the activation peak.
///
/// From block counts that real servers logged: at 2,048 batched tokens 1.23 to 1.54 GB, the median rounded to 1.3; and
/// 36 kB for each token more (this slope rests on one pair of runs).
fn overhead_bytes(max_batched_tokens: u32) -> f64 {
    1.3e9 + 36e3 * (f64::from(max_batched_tokens) - 2048.0)
}

fn hardware_fault(hardware: &Hardware) -> Option<String> {
    let fields = [
        ("bf16_tflops", hardware.bf16_tflops),
        ("fp8_tflops", hardware.fp8_tflops.unwrap_or(1.0)),
        ("memory_tb_per_s", hardware.memory_tb_per_s),
        ("link_gb_per_s", hardware.link_gb_per_s),
        ("memory_bytes", hardware.memory_bytes as f64),
    ];
    let bad = fields.into_iter().find(|(_, value)| !value.is_finite() || *value <= 0.0)?;
    Some(format!("hardware `{}`: `{}` is {}; it must be finite and above 0", hardware.name, bad.0, bad.1))
}
