//! LBGR's parameters.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ParamError, ParamsDoc, params_doc, preset, require, typed};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    preset: String,
    pub(super) miss_ms_per_token: Option<f64>,
    pub(super) hit_ms_per_token: f64,
    pub(super) queue_weight: f64,
    pub(super) margin_ms: f64,
    pub(super) features: Features,
    pub(super) forgetting: f64,
    pub(super) initial_variance: f64,
    pub(super) floor_error: bool,
    pub(super) max_tree_characters: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Features {
    Bias,
    All,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: "as-coded".into(),
            miss_ms_per_token: Some(4.0),
            hit_ms_per_token: 0.0,
            queue_weight: 1.0,
            margin_ms: 1.0,
            features: Features::Bias,
            forgetting: 0.992,
            initial_variance: 1e6,
            floor_error: true,
            max_tree_characters: 1 << 24,
        }
    }
}

impl Params {
    /// What is given, and the rest as the preset says.
    pub(super) fn read(given: &Value) -> Result<Self, ParamError> {
        let calibrated = json!({ "miss_ms_per_token": null, "features": "all", "floor_error": false });
        let params: Self = typed(&preset(given, &[("as-coded", json!({})), ("calibrated", calibrated)])?)?;
        params.check()?;
        Ok(params)
    }

    fn check(&self) -> Result<(), ParamError> {
        require(self.miss_ms_per_token.is_none_or(|ms| ms >= 0.0), "miss_ms_per_token", "at least 0, or null")?;
        require(self.hit_ms_per_token >= 0.0, "hit_ms_per_token", "at least 0")?;
        require(self.forgetting > 0.0 && self.forgetting <= 1.0, "forgetting", "above 0 and at most 1")?;
        require(self.initial_variance > 0.0, "initial_variance", "positive")
    }
}

pub(super) fn doc() -> ParamsDoc {
    params_doc::<Params>(&[
        (
            "preset",
            "`as-coded`: 1 ms a character, which overstates time 10 to 30 times, so that nothing is learned; `calibrated`: \
             the instances' own speed, and a regression on hits, misses and load",
        ),
        ("miss_ms_per_token", "milliseconds of an uncached token; the code: 4 (1 a character); null: the instance's own speed"),
        ("hit_ms_per_token", "milliseconds of a cached token; the code: 0"),
        ("queue_weight", "of assigned work; the code: 1"),
        ("margin_ms", "a later instance must be better by more than this; the code: 1"),
        ("features", "what is learned from: `bias` (the code) or `all`: hits, misses and load too (the paper)"),
        ("forgetting", "of recursive least squares; the code: 0.992"),
        ("initial_variance", "of the coefficients; the code: 1e6"),
        ("floor_error", "whether what is learned is at least 1 ms; the code: yes"),
        ("max_tree_characters", "characters remembered for each instance, trimmed every 60 s; the code: 2^24"),
    ])
}
