//! Which parameters a set of rows can tell: the others keep their default.

use std::collections::BTreeSet;

use serde::Serialize;
use trimtab_engine::cost::Tuning;

use super::fit::{COUNT, PARAMS, place, shares};
use super::{Kind, Row, Sample};

/// Rows that each fitted parameter needs.
const ROWS_PER_PARAM: usize = 3;
/// Below this many rows, `activation_passes` and `overlap` cannot be told from `gemm`: all change with the tokens.
const ROWS_FOR_SHAPE: usize = 200;
/// With more KV heads than this on each GPU, no kernel is short of them.
const FEW_HEADS: f64 = 2.0;
/// A parameter that moves the times by less than this share is invisible.
const VISIBLE: f64 = 1e-3;

/// A parameter that was not fitted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Field of the tuning.
    pub parameter: &'static str,
    /// The rule that applied.
    pub reason: String,
}

/// Where the fit starts, what it may change, and why it may not change the rest.
pub(super) struct Scope {
    pub(super) start: Tuning,
    pub(super) free: [bool; COUNT],
    pub(super) kept: Vec<Kept>,
}

/// Kernel sums carry almost no host time, so that is where every fit starts.
pub(super) fn start() -> Tuning {
    Tuning { step_us: 50.0, ..Tuning::default() }
}

/// Applies the rules to the rows of one hardware and engine.
pub(super) fn scope(rows: &[&Row], samples: &[Sample]) -> Scope {
    let mut start = start();
    let kinds: BTreeSet<Kind> = rows.iter().map(|r| r.kind).collect();
    let models: BTreeSet<&str> = rows.iter().map(|r| r.model.as_str()).collect();
    let decode_only = kinds.iter().all(|k| *k == Kind::Decode);
    let reduces = samples.iter().any(|s| s.ideal.all_reduce_start > 0.0);
    if models.len() == 1 {
        // With one model this time is the same in every step; `step_us` takes it.
        start.layer_us = 0.0;
    }
    let decodes = samples.iter().filter(|s| s.ideal.decode_kv > 0.0);
    let least_ways = decodes.map(|s| s.ideal.kv_ways).fold(f64::INFINITY, f64::min);
    if least_ways <= FEW_HEADS {
        // Where it binds; at its default nothing would move it.
        start.kv_read_head = 0.5 * start.kv_read / least_ways;
    }
    let seen = shares(samples, &start);
    let rule = |name: &str, share: f64| -> Option<String> {
        match name {
            "all_reduce" | "all_reduce_us" if !reduces => Some("no row includes an all-reduce".into()),
            "kv_read_mixed" if !kinds.contains(&Kind::Mixed) => Some("no mixed rows".into()),
            "layer_us" if models.len() == 1 => Some("one model: `step_us` takes this time".into()),
            "gemm" | "overlap" | "attention" | "activation_passes" | "seq_us" if decode_only => {
                Some("decode rows only: memory rates and the step overhead are all they tell".into())
            }
            "kv_read_head" if least_ways > FEW_HEADS => Some("no decodes with one or two KV heads on a GPU".into()),
            "activation_passes" | "overlap" if rows.len() < ROWS_FOR_SHAPE => {
                Some(format!("{} rows are too few to tell it from `gemm`", rows.len()))
            }
            "step_us" => None,
            _ if share < VISIBLE => Some(format!("it moves these times by {:.2} % only", 100.0 * share)),
            _ => None,
        }
    };
    let mut kept: Vec<(usize, String)> = Vec::new();
    for (i, param) in PARAMS.iter().enumerate() {
        if let Some(reason) = rule(param.name, seen[i]) {
            kept.push((i, reason));
        }
    }
    let mut free: [bool; COUNT] = std::array::from_fn(|i| kept.iter().all(|(k, _)| *k != i));
    // Few rows: give up the least visible parameters first.
    let allowed = (rows.len() / ROWS_PER_PARAM).max(1);
    while free.iter().filter(|f| **f).count() > allowed {
        let least = (0..COUNT).filter(|&i| free[i]).min_by(|&a, &b| seen[a].total_cmp(&seen[b]));
        let Some(least) = least else { break };
        free[least] = false;
        kept.push((least, format!("{} rows carry at most {allowed} parameters", rows.len())));
    }
    kept.sort();
    if !free[place("kv_read_head")] {
        start.kv_read_head = Tuning::default().kv_read_head;
    }
    let kept = kept.into_iter().map(|(i, reason)| Kept { parameter: PARAMS[i].name, reason }).collect();
    Scope { start, free, kept }
}
