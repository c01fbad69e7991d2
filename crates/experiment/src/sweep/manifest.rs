//! What a results folder says about its making: everything that may differ between two runs of one plan.

use std::collections::BTreeMap;

use serde_json::json;

use super::runner::lock;
use super::{Outcome, Runner, SweepOptions};
use crate::results::SweepError;
use crate::traces::text_sha256;

impl Runner<'_> {
    pub(super) fn manifest(&self, status: &str, outcome: &Outcome, options: &SweepOptions) -> Result<(), SweepError> {
        let mut traces: BTreeMap<String, String> = BTreeMap::new();
        for group in &self.plan.groups {
            if let (Some(path), Some(hash)) = (&group.scenario.workload.trace, &group.scenario.workload.sha256) {
                traces.insert(path.display().to_string(), hash.clone());
            }
        }
        let shard = options.shard.map(|shard| shard.to_string());
        let state = outcome.state;
        let plan = serde_json::to_string(self.plan).expect("a plan is plain data");
        let manifest = json!({
            "schema": 1,
            "name": self.plan.name,
            "status": status,
            "trimtab": env!("CARGO_PKG_VERSION"),
            "rng": "ChaCha8",
            "plan_sha256": text_sha256(&plan),
            "trace_sha256": traces,
            "trace_requests": self.traces.requests(),
            "seeds": self.plan.seeds,
            "shard": shard,
            "cells": { "total": state.total, "done": state.done, "reused": state.reused, "failed": state.failed },
            "requests": state.requests,
            "failures": outcome.failures,
            "warnings": outcome.warnings,
            "wall_s": *lock(&self.wall),
            "provenance": options.provenance,
        });
        let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        text.push(b'\n');
        self.store.write("manifest.json", &text)
    }
}
