//! A Hugging Face `config.json` as a model.

use std::path::Path;

use serde::Deserialize;
use trimtab_engine::cost::{Experts, Model, WeightType};

/// The fields that the cost depends on, under all the names that model families give them.
#[derive(Deserialize)]
struct HfModel {
    model_type: Option<String>,
    /// Multi-modal models keep the language model's fields here.
    text_config: Option<Box<HfModel>>,
    #[serde(alias = "n_layer")]
    num_hidden_layers: Option<u32>,
    #[serde(alias = "n_embed", alias = "n_embd")]
    hidden_size: Option<u32>,
    #[serde(alias = "n_head")]
    num_attention_heads: Option<u32>,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    #[serde(alias = "n_inner")]
    intermediate_size: Option<u32>,
    vocab_size: Option<u32>,
    #[serde(default)]
    tie_word_embeddings: bool,
    attention_bias: Option<bool>,
    #[serde(alias = "num_local_experts", alias = "n_routed_experts")]
    num_experts: Option<u32>,
    num_experts_per_tok: Option<u32>,
    moe_intermediate_size: Option<u32>,
    shared_expert_intermediate_size: Option<u32>,
    n_shared_experts: Option<u32>,
    first_k_dense_replace: Option<u32>,
    kv_lora_rank: Option<u32>,
    quantization_config: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    quant_method: Option<String>,
}

/// Reads a model from the text of a `config.json`; the error says which field is at fault.
pub(super) fn parse(path: &Path, text: &str) -> Result<Model, String> {
    let outer: HfModel = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let weights = weight_type(outer.quantization_config.as_ref())?;
    let config = match outer.text_config {
        Some(inner) if outer.num_hidden_layers.is_none() => *inner,
        _ => outer,
    };
    if config.kv_lora_rank.is_some() {
        return Err("`kv_lora_rank`: latent attention (MLA) is outside the cost formula".into());
    }
    let family = config.model_type.clone().unwrap_or_default();
    let heads = need("num_attention_heads", config.num_attention_heads)?;
    let hidden = need("hidden_size", config.hidden_size)?;
    let moe = experts(&config)?;
    // Families without a gate have feed-forward blocks four times as wide as the hidden size unless they say otherwise.
    let gated = !matches!(family.as_str(), "bloom" | "gpt2" | "gpt_neox" | "opt" | "falcon" | "phi");
    let intermediate = match config.intermediate_size {
        Some(width) => width,
        None if !gated => 4 * hidden,
        None if moe.is_some() => 0,
        None => return Err("`intermediate_size` is missing".into()),
    };
    let head_dim = match config.head_dim {
        Some(width) => width,
        None if heads > 0 => hidden / heads,
        None => return Err("`num_attention_heads` is 0".into()),
    };
    Ok(Model {
        name: name_of(path),
        aliases: Vec::new(),
        summary: format!("from {}", path.display()),
        layers: need("num_hidden_layers", config.num_hidden_layers)?,
        hidden,
        heads,
        kv_heads: config.num_key_value_heads.unwrap_or(heads),
        head_dim,
        intermediate,
        vocab: need("vocab_size", config.vocab_size)?,
        gated,
        tied_embeddings: config.tie_word_embeddings,
        // Qwen2 has these biases without saying so.
        qkv_bias: config.attention_bias.unwrap_or_else(|| family.starts_with("qwen2")),
        qk_norm: family.starts_with("qwen3"),
        weights,
        moe,
        source: "Hugging Face config.json".into(),
    })
}

fn need(field: &str, value: Option<u32>) -> Result<u32, String> {
    value.ok_or_else(|| format!("`{field}` is missing"))
}

fn weight_type(quantization: Option<&Quantization>) -> Result<WeightType, String> {
    match quantization.map(|q| q.quant_method.as_deref().unwrap_or("unnamed")) {
        None => Ok(WeightType::Bf16),
        Some("fp8" | "fbgemm_fp8") => Ok(WeightType::Fp8),
        Some(other) => {
            Err(format!("`quantization_config.quant_method` is `{other}`; 16-bit and fp8 weights are supported"))
        }
    }
}

fn experts(config: &HfModel) -> Result<Option<Experts>, String> {
    let Some(experts) = config.num_experts.filter(|n| *n > 1) else { return Ok(None) };
    if config.first_k_dense_replace.unwrap_or(0) > 0 {
        return Err("`first_k_dense_replace`: models that mix dense and expert layers are outside the formula".into());
    }
    let intermediate = need("moe_intermediate_size", config.moe_intermediate_size.or(config.intermediate_size))?;
    let shared = config.n_shared_experts.map(|n| n * intermediate).or(config.shared_expert_intermediate_size);
    Ok(Some(Experts {
        experts,
        active: need("num_experts_per_tok", config.num_experts_per_tok)?,
        intermediate,
        shared_intermediate: shared.unwrap_or(0),
    }))
}

/// `some/model/config.json` is called `model`, `some/net.json` is called `net`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name);
    let name = if stem == "config" { folder.unwrap_or(stem) } else { stem };
    name.to_string_lossy().to_lowercase()
}
