//! A model on a kind of GPU: the physics behind the analytic step cost and the KV capacity.
//!
//! Everything here is floating point in SI units (seconds, bytes, FLOP) and runs once, when a run is set up. The
//! [`Analytic`](super::Analytic) model turns it into whole picoseconds.

use serde::{Deserialize, Serialize};

use super::StepShape;

/// Storage type of the layer weights. Embeddings, activations and KV stay in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// 16 bits.
    #[default]
    Bf16,
    /// 8 bits; the GEMMs run at the card's fp8 peak where it has one, otherwise at its 16-bit peak.
    Fp8,
}

impl WeightType {
    /// Bytes of one weight.
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 => 1.0,
        }
    }
}

/// Bytes of one embedding, activation or KV element.
const ELEMENT_BYTES: f64 = 2.0;

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

/// A transformer with grouped-query attention, dense or mixture-of-experts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Catalogue name.
    pub name: String,
    /// Other names that mean this model.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// Transformer layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key-value heads.
    pub kv_heads: u32,
    /// Width of one head.
    pub head_dim: u32,
    /// Width of the dense feed-forward block.
    pub intermediate: u32,
    /// Vocabulary size.
    pub vocab: u32,
    /// Whether the feed-forward block has a gate: three matrices instead of two.
    #[serde(default = "yes")]
    pub gated: bool,
    /// Whether input embedding and output head share their weights.
    #[serde(default)]
    pub tied_embeddings: bool,
    /// Whether the query, key and value projections have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Whether queries and keys are normalised per head.
    #[serde(default)]
    pub qk_norm: bool,
    /// Storage type of the layer weights.
    #[serde(default)]
    pub weights: WeightType,
    /// Present for a mixture of experts; its blocks then replace the dense ones.
    pub moe: Option<Experts>,
    /// Where the numbers come from.
    pub source: String,
}

/// The expert blocks of a mixture-of-experts model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Routed experts in a layer.
    pub experts: u32,
    /// Routed experts that each token visits.
    pub active: u32,
    /// Width of one routed expert.
    pub intermediate: u32,
    /// Width of the experts that every token visits; 0 for none.
    #[serde(default)]
    pub shared_intermediate: u32,
}

const fn yes() -> bool {
    true
}

impl Model {
    /// Attention and feed-forward matrices that every token passes, in all layers: `P` without routed experts.
    pub fn dense_params(&self) -> f64 {
        let (h, d) = (f64::from(self.hidden), f64::from(self.head_dim));
        let attention = 2.0 * h * d * (f64::from(self.heads) + f64::from(self.kv_heads));
        let width = match self.moe {
            None => f64::from(self.intermediate),
            Some(moe) => f64::from(moe.shared_intermediate),
        };
        let router = self.moe.map_or(0.0, |moe| h * f64::from(moe.experts));
        f64::from(self.layers) * (attention + router + self.matrices() * h * width)
    }

    /// All routed experts, in all layers.
    pub fn expert_params(&self) -> f64 {
        self.moe.map_or(0.0, |moe| {
            let one = self.matrices() * f64::from(self.hidden) * f64::from(moe.intermediate);
            f64::from(self.layers) * f64::from(moe.experts) * one
        })
    }

    /// Layer weights that one token multiplies with: `P` of the formula.
    pub fn active_params(&self) -> f64 {
        self.dense_params() + self.expert_params() * self.expert_share()
    }

    /// Share of the routed experts that one token visits.
    fn expert_share(&self) -> f64 {
        self.moe.map_or(0.0, |moe| f64::from(moe.active) / f64::from(moe.experts))
    }

    /// Share of the routed experts that a step over `tokens` tokens reads, if tokens choose independently and evenly.
    fn experts_touched(&self, tokens: f64) -> f64 {
        1.0 - libm::pow(1.0 - self.expert_share(), tokens)
    }

    const fn matrices(&self) -> f64 {
        if self.gated { 3.0 } else { 2.0 }
    }

    /// Parameters of the output head, or of the input embedding: `V*h`.
    pub fn embedding_params(&self) -> f64 {
        f64::from(self.vocab) * f64::from(self.hidden)
    }

    /// All parameters, norms and biases included.
    pub fn total_params(&self) -> f64 {
        let (l, h, d) = (f64::from(self.layers), f64::from(self.hidden), f64::from(self.head_dim));
        let mut small = h * (2.0 * l + 1.0);
        if self.qkv_bias {
            small += l * d * (f64::from(self.heads) + 2.0 * f64::from(self.kv_heads));
        }
        if self.qk_norm {
            small += l * 2.0 * d;
        }
        let embeddings = if self.tied_embeddings { 1.0 } else { 2.0 } * self.embedding_params();
        self.dense_params() + self.expert_params() + embeddings + small
    }

    /// Bytes of all weights: layers in their storage type, the rest in 16 bits.
    pub fn weight_bytes(&self) -> f64 {
        let layers = self.dense_params() + self.expert_params();
        layers * self.weights.bytes() + (self.total_params() - layers) * ELEMENT_BYTES
    }

    /// KV bytes of one token over all GPUs of an instance that does not replicate heads.
    pub fn kv_bytes_per_token(&self) -> f64 {
        2.0 * f64::from(self.layers) * f64::from(self.kv_heads) * f64::from(self.head_dim) * ELEMENT_BYTES
    }
}

/// How far real kernels stay below the data sheet, and what a step costs besides: the fitted parameters.
///
/// Efficiencies are shares of the rated peak; a card that boosts above its rating may exceed 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Memory efficiency of reading weights.
    pub weight_read: f64,
    /// Arithmetic efficiency of the matrix products.
    pub gemm: f64,
    /// Arithmetic efficiency of prefill attention.
    pub attention: f64,
    /// Memory efficiency of reading KV in a pure decode or prefill.
    pub kv_read: f64,
    /// Memory efficiency of reading the decodes' KV in a step that also prefills.
    pub kv_read_mixed: f64,
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
            attention: 0.44,
            kv_read: 0.87,
            kv_read_mixed: 0.47,
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
    pub const fn fields(&self) -> [(&'static str, f64); 13] {
        [
            ("weight_read", self.weight_read),
            ("gemm", self.gemm),
            ("attention", self.attention),
            ("kv_read", self.kv_read),
            ("kv_read_mixed", self.kv_read_mixed),
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
    fn fault(&self) -> Option<String> {
        for (name, value) in self.fields() {
            let efficiency = matches!(
                name,
                "weight_read" | "gemm" | "attention" | "kv_read" | "kv_read_mixed" | "all_reduce" | "expert_imbalance"
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
        (self.expert_imbalance < 1.0)
            .then(|| format!("tuning field `expert_imbalance` is {}; the least is 1", self.expert_imbalance))
    }
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

/// The parts of one step's time, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// Whether the step prefills and so reads its decodes' KV with the mixed efficiency.
    pub prefills: bool,
    /// Reading the weights.
    pub weights: f64,
    /// The matrix products, routed experts apart. These overlap with `weights`: the two count as the root of their
    /// squares' sum.
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

impl Terms {
    /// The whole step.
    pub fn total(&self) -> f64 {
        let host = self.host_seqs + self.host_layers + self.host_step;
        self.of_tokens() + self.prefill_attention() + self.decode_kv + self.head + host
    }

    /// Weight read and matrix products together.
    pub fn dense(&self) -> f64 {
        let gemm = self.gemm + self.expert_gemm;
        libm::sqrt(self.weights * self.weights + gemm * gemm)
    }

    /// Prefill attention: arithmetic, KV traffic or the pass over the longest sequence, whichever takes longest.
    pub fn prefill_attention(&self) -> f64 {
        self.attention.max(self.prefill_kv).max(self.prefill_scan)
    }

    /// The parts that depend on the number of tokens alone.
    fn of_tokens(&self) -> f64 {
        self.dense() + self.activations + self.all_reduce_start + self.all_reduce_bytes
    }

    /// From the terms of an ideal machine (every field of the tuning 1) to those under `tuning`.
    pub fn under(&self, tuning: &Tuning) -> Self {
        let kv_read = if self.prefills { tuning.kv_read_mixed } else { tuning.kv_read };
        Self {
            prefills: self.prefills,
            weights: self.weights / tuning.weight_read,
            gemm: self.gemm / tuning.gemm,
            expert_gemm: self.expert_gemm * tuning.expert_imbalance / tuning.gemm,
            activations: self.activations * tuning.activation_passes,
            all_reduce_start: self.all_reduce_start * tuning.all_reduce_us,
            all_reduce_bytes: self.all_reduce_bytes / tuning.all_reduce,
            attention: self.attention / tuning.attention,
            prefill_kv: self.prefill_kv / tuning.kv_read,
            prefill_scan: self.prefill_scan * tuning.prefill_scan_ns,
            decode_kv: self.decode_kv / kv_read,
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
        let fault =
            hardware_fault(&hardware).or_else(|| model_fault(&model)).or_else(|| tuning.fault()).or_else(|| {
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

    /// KV bytes of one token on each GPU: heads beyond the degree are split, but never below one head.
    pub fn kv_bytes_per_token(&self) -> f64 {
        let heads = self.model.kv_heads.div_ceil(self.tp);
        2.0 * f64::from(self.model.layers) * f64::from(heads) * f64::from(self.model.head_dim) * ELEMENT_BYTES
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
        let (pure, mixed) = (one(StepShape { prefill_seqs: 0, ..unit }), one(unit));
        Rates {
            pair: mixed.attention,
            kv: pure.decode_kv,
            scan: mixed.prefill_scan,
            kv_mixed: mixed.decode_kv,
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
                // The start-up time is stated for 4 GPUs. It grows like the root of the peers: between not at all and by
                // one message each, this predicts measured steps at a left-out degree best.
                terms.all_reduce_start = 2.0 * l * 1e-6 * libm::sqrt((t - 1.0) / 3.0);
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

fn model_fault(model: &Model) -> Option<String> {
    let experts = model.moe.map_or([1; 3], |moe| [moe.experts, moe.active, moe.intermediate]);
    let fields = [
        ("layers", model.layers),
        ("hidden", model.hidden),
        ("heads", model.heads),
        ("kv_heads", model.kv_heads),
        ("head_dim", model.head_dim),
        ("intermediate", if model.moe.is_some() { 1 } else { model.intermediate }),
        ("vocab", model.vocab),
        ("moe.experts", experts[0]),
        ("moe.active", experts[1]),
        ("moe.intermediate", experts[2]),
    ];
    let name = &model.name;
    if let Some((field, _)) = fields.into_iter().find(|(_, value)| *value == 0) {
        return Some(format!("model `{name}`: `{field}` is 0"));
    }
    if !model.heads.is_multiple_of(model.kv_heads) {
        return Some(format!("model `{name}`: {} heads do not share {} kv_heads", model.heads, model.kv_heads));
    }
    (experts[1] > experts[0]).then(|| format!("model `{name}`: {} active experts of {} in all", experts[1], experts[0]))
}
