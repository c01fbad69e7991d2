//! Rows that cannot be true, and rows that the fit does not explain.

use serde::Serialize;
use trimtab_engine::cost::Deployment;

use super::{Row, Sample};

/// Cards boost above their rated clock, and data sheets round: a row is impossible from here on.
const BEYOND_PEAK: f64 = 1.25;
/// A residual below this is never called an outlier, however tight the others are.
const LEAST_OUTLIER: f64 = 0.25;

/// A row that stands out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// Line in the file.
    pub line: u64,
    /// The row, in words.
    pub row: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Suspect {
    pub(super) fn new(row: &Row, reason: String) -> Self {
        let text = format!(
            "{} {} tp {} {} {} batch {} new {} context {}",
            row.hardware,
            row.model,
            row.tp,
            row.engine,
            row.kind.name(),
            row.batch,
            row.new_tokens,
            row.context_tokens
        );
        Self { line: row.line, row: text, reason }
    }
}

/// Why a row is physically impossible, if it is.
pub(super) fn impossible(row: &Row, sample: &Sample, deployment: &Deployment) -> Option<String> {
    let ideal = &sample.ideal;
    let compute = (ideal.gemm + ideal.expert_gemm + ideal.attention + ideal.head) / row.seconds;
    if compute > BEYOND_PEAK {
        return Some(format!("implies {compute:.1} times the card's peak arithmetic rate"));
    }
    let memory = (ideal.weights + ideal.prefill_kv.max(ideal.decode_kv)) / row.seconds;
    if memory > BEYOND_PEAK {
        return Some(format!("implies {memory:.1} times the card's memory bandwidth"));
    }
    let shape = row.shape();
    let tokens = (shape.prefill_context + shape.decode_context) as f64;
    let held = deployment.weight_bytes() + tokens * deployment.kv_bytes_per_token();
    let memory_bytes = deployment.hardware().memory_bytes as f64;
    (held > memory_bytes).then(|| {
        format!("needs {:.1} GB per GPU for weights and KV, the card has {:.1} GB", held / 1e9, memory_bytes / 1e9)
    })
}

/// Rows that the prediction misses by far more than the others, worst first.
pub(super) fn outliers(rows: &[&Row], predicted: &[f64]) -> Vec<Suspect> {
    let residual: Vec<f64> = rows.iter().zip(predicted).map(|(row, p)| libm::log(p / row.seconds)).collect();
    let mut sizes: Vec<f64> = residual.iter().map(|r| r.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // 1.4826 times the median deviation estimates the standard deviation of the bulk; five of them are no chance.
    let limit = sizes.get(sizes.len() / 2).map_or(LEAST_OUTLIER, |mad| (5.0 * 1.4826 * mad).max(LEAST_OUTLIER));
    let mut found: Vec<usize> = (0..rows.len()).filter(|&i| residual[i].abs() > limit).collect();
    found.sort_by(|&a, &b| residual[b].abs().total_cmp(&residual[a].abs()).then(rows[a].line.cmp(&rows[b].line)));
    let describe = |&i: &usize| {
        let row = rows[i];
        let (measured, fit) = (row.seconds * 1e3, predicted[i] * 1e3);
        let error = 100.0 * (predicted[i] / row.seconds - 1.0);
        Suspect::new(row, format!("measured {measured:.3} ms, fitted {fit:.3} ms ({error:+.0} %)"))
    };
    found.iter().map(describe).collect()
}
