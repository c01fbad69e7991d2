//! A transformer by its dimensions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Storage type of the layer weights. Embeddings, activations and KV stay in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
pub(super) const ELEMENT_BYTES: f64 = 2.0;

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
    pub(super) fn expert_share(&self) -> f64 {
        self.moe.map_or(0.0, |moe| f64::from(moe.active) / f64::from(moe.experts))
    }

    /// Share of the routed experts that a step over `tokens` tokens reads, if tokens choose independently and evenly.
    pub(super) fn experts_touched(&self, tokens: f64) -> f64 {
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

    /// The first field that no model can have, with the reason.
    pub(super) fn fault(&self) -> Option<String> {
        let experts = self.moe.map_or([1; 3], |moe| [moe.experts, moe.active, moe.intermediate]);
        let fields = [
            ("layers", self.layers),
            ("hidden", self.hidden),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("intermediate", if self.moe.is_some() { 1 } else { self.intermediate }),
            ("vocab", self.vocab),
            ("moe.experts", experts[0]),
            ("moe.active", experts[1]),
            ("moe.intermediate", experts[2]),
        ];
        let name = &self.name;
        if let Some((field, _)) = fields.into_iter().find(|(_, value)| *value == 0) {
            return Some(format!("model `{name}`: `{field}` is 0"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Some(format!("model `{name}`: {} heads do not share {} kv_heads", self.heads, self.kv_heads));
        }
        (experts[1] > experts[0])
            .then(|| format!("model `{name}`: {} active experts of {} in all", experts[1], experts[0]))
    }
}
