//! Every number that follows from a model on some hardware.

use std::fmt::Write as _;

use serde::Serialize;
use trimtab_engine::cost::{Deployment, DeploymentError, StepShape, Terms};

/// Prompt lengths at which the prefill rate is stated.
const PROMPTS: [u32; 3] = [1_024, 8_192, 32_768];
/// Batches at which the decode step is stated.
const BATCHES: [u32; 3] = [1, 32, 256];
/// Context of each decoding sequence there.
const CONTEXT: u32 = 1_024;

/// A deployment in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Model name.
    pub model: String,
    /// Hardware name.
    pub hardware: String,
    /// GPUs of an instance.
    pub tp: u32,
    /// All parameters.
    pub parameters: f64,
    /// Parameters of the layers that one token passes.
    pub active_layer_parameters: f64,
    /// Weights on each GPU, in bytes.
    pub weight_bytes: f64,
    /// KV of one token on each GPU, in bytes.
    pub kv_bytes_per_token: f64,
    /// KV blocks, or why there are none.
    pub kv_blocks: Result<u64, String>,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step, which sizes the blocks and cuts the prompts.
    pub max_batched_tokens: u32,
    /// Prefill of one prompt alone.
    pub prefill: Vec<PrefillFact>,
    /// Decode steps.
    pub decode: Vec<DecodeFact>,
}

/// Prefill of one prompt, in steps of the token budget.
#[derive(Clone, Debug, Serialize)]
pub struct PrefillFact {
    /// Prompt tokens.
    pub tokens: u32,
    /// Time, in seconds.
    pub seconds: f64,
    /// Rate.
    pub tokens_per_s: f64,
    /// Which term takes most of it.
    pub bound: &'static str,
}

/// One decode step.
#[derive(Clone, Debug, Serialize)]
pub struct DecodeFact {
    /// Sequences.
    pub batch: u32,
    /// Context of each.
    pub context: u32,
    /// Time, in seconds.
    pub seconds: f64,
    /// Output tokens per second.
    pub tokens_per_s: f64,
    /// Which term takes most of it.
    pub bound: &'static str,
    /// Whether the KV cache holds such a batch.
    pub fits: bool,
}

/// Everything that follows from a deployment and a server's settings.
pub fn facts(
    deployment: &Deployment,
    block_tokens: u32,
    max_batched_tokens: u32,
    memory_share: f64,
) -> Result<Facts, DeploymentError> {
    let kv_blocks = match deployment.kv_blocks(block_tokens, max_batched_tokens, memory_share) {
        Ok(blocks) => Ok(blocks),
        Err(error @ DeploymentError::DoesNotFit { .. }) => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    let kv_tokens = kv_blocks.as_ref().map_or(0, |blocks| blocks * u64::from(block_tokens));
    let model = deployment.model();
    Ok(Facts {
        model: model.name.clone(),
        hardware: deployment.hardware().name.clone(),
        tp: deployment.tp(),
        parameters: model.total_params(),
        active_layer_parameters: model.active_params(),
        weight_bytes: deployment.weight_bytes(),
        kv_bytes_per_token: deployment.kv_bytes_per_token(),
        kv_blocks,
        block_tokens,
        max_batched_tokens,
        prefill: PROMPTS.map(|tokens| prefill(deployment, tokens, max_batched_tokens)).into(),
        decode: BATCHES
            .map(|batch| {
                let context = u64::from(batch) * u64::from(CONTEXT);
                let terms = deployment.terms(&StepShape::decode(batch, context));
                let seconds = terms.total();
                DecodeFact {
                    batch,
                    context: CONTEXT,
                    seconds,
                    tokens_per_s: f64::from(batch) / seconds,
                    bound: terms.bound(),
                    fits: context <= kv_tokens,
                }
            })
            .into(),
    })
}

fn prefill(deployment: &Deployment, tokens: u32, budget: u32) -> PrefillFact {
    let (mut done, mut seconds) = (0, 0.0);
    let mut sum = Terms::default();
    while done < tokens {
        let chunk = budget.max(1).min(tokens - done);
        let mut shape = StepShape::default();
        shape.add_chunk(chunk, done);
        let terms = deployment.terms(&shape);
        seconds += terms.total();
        sum = sum.plus(&terms);
        done += chunk;
    }
    PrefillFact { tokens, seconds, tokens_per_s: f64::from(tokens) / seconds, bound: sum.bound() }
}

/// The facts as text.
pub fn text(facts: &Facts) -> String {
    let mut out = format!("{} on {} x {}\n\n", facts.model, facts.tp, facts.hardware);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<28} {value}");
    };
    line("parameters", format!("{:.2} billion", facts.parameters / 1e9));
    line("layers, active per token", format!("{:.2} billion", facts.active_layer_parameters / 1e9));
    line("weights per GPU", format!("{:.2} GB", facts.weight_bytes / 1e9));
    line("KV per token and GPU", format!("{:.0} bytes", facts.kv_bytes_per_token));
    match &facts.kv_blocks {
        Ok(blocks) => line(
            "KV cache",
            format!(
                "{blocks} blocks of {} tokens = {} tokens",
                facts.block_tokens,
                blocks * u64::from(facts.block_tokens)
            ),
        ),
        Err(why) => line("KV cache", format!("none: {why}")),
    }
    let _ = writeln!(out, "\n  prompt tokens      time    tokens/s  bound by");
    for p in &facts.prefill {
        let ms = p.seconds * 1e3;
        let _ = writeln!(out, "  {:>13} {ms:>7.1} ms {:>9.0}  {}", p.tokens, p.tokens_per_s, p.bound);
    }
    let _ = writeln!(out, "\n  decode batch       step    tokens/s  bound by   ({CONTEXT} tokens of context each)");
    for d in &facts.decode {
        let note = if d.fits { "" } else { "; more than the KV cache holds" };
        let ms = d.seconds * 1e3;
        let _ = writeln!(out, "  {:>12} {ms:>8.2} ms {:>9.0}  {}{note}", d.batch, d.tokens_per_s, d.bound);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Overrides, resolve};

    #[test]
    fn numbers_follow_from_model_and_hardware() {
        let of = |model: &str, hardware: &str| {
            facts(&resolve(model, hardware, 1, Overrides::default()).unwrap(), 16, 2048, 0.9).unwrap()
        };
        let small = of("llama-3.1-8b", "rtx-4090");
        assert!((small.weight_bytes / 1e9 - 16.06).abs() < 0.01);
        assert!((small.kv_bytes_per_token - 131_072.0).abs() < 0.5);
        assert_eq!(small.decode.iter().map(|d| d.fits).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!((small.decode[0].bound, small.prefill[1].bound), ("weight read", "matrix products"));
        assert!(small.prefill[0].tokens_per_s > small.prefill[2].tokens_per_s);
        let large = of("llama-3.1-70b", "h100");
        assert!(large.kv_blocks.unwrap_err().contains("does not fit"));
        let report = text(&small);
        for part in ["llama-3.1-8b on 1 x rtx-4090", "131072 bytes", "32768", "more than the KV cache holds"] {
            assert!(report.contains(part), "{report}");
        }
    }
}
