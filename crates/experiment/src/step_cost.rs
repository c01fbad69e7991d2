//! How long steps take, as written, and the model that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_US, SimTime};
use trimtab_engine::cost::{Analytic, Deployment, Fixed, Linear, Polynomial, StepCost, Tuning};

use crate::build::{ScenarioError, invalid};
use crate::calibrate::{ProfileFile, Selection};
use crate::catalog::{self, Overrides};
use crate::scenario::Cluster;
use crate::table_profile;
use crate::traces::file_sha256;

/// How long a step takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cost {
    /// From model and hardware.
    Analytic {
        /// Parameters fitted by `trimtab calibrate`: a profile file, or `fitted` for the profiles that come with trimtab.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// Whose profile, where the file has several for the hardware; the one with the most rows unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// Host microseconds of a step, instead of those of the profile: profiles of summed kernel times have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step_us: Option<f64>,
        /// The parameters themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tuning: Option<Tuning>,
    },
    /// `step + per_prefill_token * tokens + per_seq * batch + per_context * context`.
    Linear {
        /// Microseconds of every step.
        #[serde(default)]
        step_us: f64,
        /// Microseconds for each new prompt token.
        #[serde(default)]
        per_prefill_token_us: f64,
        /// Microseconds for each sequence.
        #[serde(default)]
        per_seq_us: f64,
        /// Microseconds for each token of decode context.
        #[serde(default)]
        per_context_us: f64,
    },
    /// The same for every pass of a kind.
    Fixed {
        /// Milliseconds added by any prefill.
        prefill_ms: f64,
        /// Milliseconds added by any decode.
        decode_ms: f64,
    },
    /// The polynomial that dynamo-mocker 1.6.1 ships as its default.
    Polynomial,
    /// Interpolated between measured step times of this model, hardware and degree.
    Table {
        /// A CSV of step times as for calibration, or a folder with Vidur's `mlp.csv` and `attention.csv`.
        path: PathBuf,
        /// Whose rows, where the file has several for the hardware and model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// SHA-256 of the file (of both files, one after the other); another is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
}

impl Default for Cost {
    fn default() -> Self {
        Self::Analytic { profile: None, engine: None, step_us: None, tuning: None }
    }
}

impl Cost {
    /// With everything that it takes from files or defaults written out.
    pub(crate) fn resolved(&self, hardware: &str) -> Result<Self, ScenarioError> {
        match self {
            Self::Analytic { .. } => {
                let tuning = Some(self.tuning(hardware)?);
                Ok(Self::Analytic { profile: None, engine: None, step_us: None, tuning })
            }
            Self::Table { path, engine, sha256 } => {
                let found = table_sha256(path)?;
                if let Some(expected) = sha256.as_ref().filter(|e| !e.eq_ignore_ascii_case(&found)) {
                    let detail = format!("{}: its SHA-256 is {found}, but the spec says {expected}", path.display());
                    return Err(invalid("cluster.cost.sha256", detail));
                }
                Ok(Self::Table { path: path.clone(), engine: engine.clone(), sha256: Some(found) })
            }
            _ => Ok(self.clone()),
        }
    }

    /// The parameters of the analytic model; the defaults for all others, which do not use them.
    fn tuning(&self, hardware: &str) -> Result<Tuning, ScenarioError> {
        let Self::Analytic { profile, engine, step_us, tuning } = self else { return Ok(Tuning::default()) };
        if profile.is_some() && tuning.is_some() {
            return Err(invalid("cluster.cost.tuning", "give a profile or the parameters themselves, not both"));
        }
        if profile.is_none() && engine.is_some() {
            return Err(invalid("cluster.cost.engine", "has an effect with `cluster.cost.profile` only"));
        }
        let mut chosen = match profile {
            Some(name) => fitted(name, &catalog::hardware(hardware)?.name, engine.as_deref())?,
            None => tuning.unwrap_or_default(),
        };
        if let Some(us) = *step_us {
            chosen.step_us = us;
        }
        Ok(chosen)
    }
}

/// The profile file `name`, or the one that comes with trimtab.
fn fitted(name: &str, hardware: &str, engine: Option<&str>) -> Result<Tuning, ScenarioError> {
    let fail = |error: &dyn std::error::Error| invalid("cluster.cost.profile", error.to_string());
    let path = Path::new(name);
    let file =
        if name == "fitted" { ProfileFile::built_in() } else { ProfileFile::load(path).map_err(|e| fail(&e))? };
    Ok(file.pick(path, hardware, engine).map_err(|e| fail(&e))?.tuning)
}

fn table_sha256(path: &Path) -> Result<String, ScenarioError> {
    let files =
        if path.is_dir() { vec![path.join("mlp.csv"), path.join("attention.csv")] } else { vec![path.to_owned()] };
    file_sha256(&files).map_err(|error| invalid("cluster.cost.path", error.to_string()))
}

impl Cluster {
    /// What may differ from the catalogue.
    fn overrides(&self) -> Result<Overrides, ScenarioError> {
        Ok(Overrides { weights: self.weights, tuning: Some(self.cost.tuning(&self.hardware)?) })
    }

    /// Model and hardware of an instance.
    pub fn deployment(&self) -> Result<Deployment, ScenarioError> {
        Ok(catalog::resolve(&self.model, &self.hardware, self.tp, self.overrides()?)?)
    }

    pub(crate) fn step_cost(&self, kv_blocks: u64) -> Result<Arc<dyn StepCost>, ScenarioError> {
        let ps = |field, us: f64| {
            let time = SimTime::from_secs_f64(us / 1e6).filter(|t| t.0 < 3_600_000_000 * PS_PER_US);
            time.map(|t| t.0).ok_or_else(|| invalid(field, format!("`{us}` us is not a time between 0 and an hour")))
        };
        Ok(match &self.cost {
            Cost::Analytic { .. } => Arc::new(Analytic::new(self.deployment()?, self.max_batched_tokens)),
            &Cost::Linear { step_us, per_prefill_token_us, per_seq_us, per_context_us } => Arc::new(Linear {
                step: ps("cluster.cost.step_us", step_us)?,
                per_prefill_token: ps("cluster.cost.per_prefill_token_us", per_prefill_token_us)?,
                per_seq: ps("cluster.cost.per_seq_us", per_seq_us)?,
                per_context: ps("cluster.cost.per_context_us", per_context_us)?,
            }),
            &Cost::Fixed { prefill_ms, decode_ms } => Arc::new(Fixed {
                prefill: ps("cluster.cost.prefill_ms", prefill_ms * 1e3)?,
                decode: ps("cluster.cost.decode_ms", decode_ms * 1e3)?,
            }),
            Cost::Polynomial => Arc::new(Polynomial { kv_tokens: kv_blocks * u64::from(self.block_tokens) }),
            Cost::Table { path, engine, .. } => {
                let selection = Selection {
                    hardware: Some(self.hardware.clone()),
                    model: Some(self.model.clone()),
                    tp: Some(self.tp),
                    engine: engine.clone(),
                };
                let table = table_profile::load(path, &self.deployment()?, &selection);
                Arc::new(table.map_err(|error| invalid("cluster.cost.path", error.to_string()))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::scenario::Scenario;

    fn scenario(cost: &str) -> Scenario {
        toml::from_str(&format!("[cluster]\nhardware = \"h100\"\nmodel = \"llama-3.1-8b\"\ncost = {cost}")).unwrap()
    }

    #[test]
    fn costs_are_resolved_or_refused() {
        let (none, both) = ("cluster.cost.profile: fitted: no profile for h100 with x", "not both");
        for (cost, step_us, refusal) in [
            (r#"{ kind = "analytic" }"#, 1000.0_f64, ""),
            (r#"{ kind = "analytic", step_us = 5.0 }"#, 5.0, ""),
            (r#"{ kind = "analytic", tuning = { step_us = 7.0 } }"#, 7.0, ""),
            (r#"{ kind = "analytic", profile = "fitted", step_us = 800.0 }"#, 800.0, ""),
            (r#"{ kind = "analytic", profile = "fitted", engine = "x" }"#, 0.0, none),
            (r#"{ kind = "analytic", profile = "fitted", tuning = {} }"#, 0.0, both),
            (r#"{ kind = "analytic", engine = "x" }"#, 0.0, "with `cluster.cost.profile` only"),
            (r#"{ kind = "analytic", profile = "nowhere.toml" }"#, 0.0, "cluster.cost.profile: nowhere.toml"),
            (r#"{ kind = "analytic", tuning = { gemm = 0.0 } }"#, 0.0, "tuning field `gemm` is 0"),
            (r#"{ kind = "table", path = "nowhere.csv" }"#, 0.0, "cluster.cost.path: nowhere.csv"),
        ] {
            let written = scenario(cost);
            match written.resolved() {
                Ok(resolved) => {
                    assert_eq!(refusal, "", "{cost}");
                    let Cost::Analytic { profile: None, tuning: Some(tuning), .. } = resolved.cluster.cost else {
                        panic!("{cost}: {:?}", resolved.cluster.cost)
                    };
                    assert_eq!(tuning.step_us.to_bits(), step_us.to_bits(), "{cost}");
                    assert_eq!(resolved.resolved().unwrap(), resolved, "{cost}");
                }
                Err(error) => {
                    assert!(!refusal.is_empty() && error.to_string().contains(refusal), "{cost}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_profile_changes_the_step() {
        let step = |cost: &str| scenario(cost).cluster.step_cost(1000).unwrap().prefill_time(4096, 0, 8192);
        let fitted = r#"{ kind = "analytic", profile = "fitted", step_us = 1000.0 }"#;
        assert_ne!(step(r#"{ kind = "analytic" }"#), step(fitted));
    }

    #[test]
    fn weights_in_8_bits_leave_room_for_kv() {
        let full = scenario(r#"{ kind = "analytic" }"#).cluster;
        let half = Cluster { weights: Some(trimtab_engine::cost::WeightType::Fp8), ..full.clone() };
        assert!(half.kv_blocks().unwrap() > full.kv_blocks().unwrap());
    }

    #[test]
    fn a_measured_table_is_a_step_cost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.csv");
        let mut text = String::from("hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms\n");
        for (tokens, ms) in [(128, 2.0), (1024, 12.0), (8192, 100.0)] {
            writeln!(text, "h100,llama-3.1-8b,1,mine,prefill,1,{tokens},0,{ms}").unwrap();
        }
        for (batch, context, ms) in [(1, 128, 5.0), (1, 8192, 6.0), (64, 128, 8.0), (64, 8192, 30.0)] {
            writeln!(text, "h100,llama-3.1-8b,1,mine,decode,{batch},{batch},{context},{ms}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
        let scenario = scenario(&format!("{{ kind = \"table\", path = {path:?} }}")).resolved().unwrap();
        let Cost::Table { sha256: Some(sha256), .. } = &scenario.cluster.cost else { panic!("a table") };
        assert_eq!(sha256.len(), 64);
        let cost = scenario.cluster.step_cost(1000).unwrap();
        assert_eq!(cost.prefill_time(1024, 0, 8192), 12_000_000_000);
        std::fs::write(&path, "hardware\n").unwrap();
        assert!(scenario.resolved().unwrap_err().to_string().contains("its SHA-256 is"));
    }
}
