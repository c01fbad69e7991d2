//! Who stands before the router, as written.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_core::nearest_name;
use trimtab_engine::{AdmissionConfig, ClusterConfig, build_context};
use trimtab_sched::BuildContext;
use trimtab_sched::admissions::{ADMISSIONS, AdmissionDef, admission_by_name};

use crate::build::{ScenarioError, invalid};

/// An admission policy. Several stand one behind the other, in the order of the spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// By name.
    pub kind: String,
    /// Its parameters; the rest have their defaults.
    #[serde(default)]
    pub params: Value,
}

impl Admission {
    fn def(&self) -> Result<&'static AdmissionDef, ScenarioError> {
        admission_by_name(&self.kind).ok_or_else(|| {
            let near = nearest_name(&self.kind, ADMISSIONS.iter().map(|def| def.name));
            let near = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            invalid(
                "admission.kind",
                format!("unknown admission policy `{}`{near}; `trimtab list admissions` shows all", self.kind),
            )
        })
    }
}

/// The admission policies of a cluster.
pub(crate) fn gate(all: &[Admission], cluster: &ClusterConfig) -> Result<Vec<AdmissionConfig>, ScenarioError> {
    let one = |(number, admission): (usize, &Admission)| {
        let def = admission.def()?;
        cluster.signals.check_reader(def.name, def.signals)?;
        let context = build_context(cluster);
        let context = BuildContext { streams: context.streams.within(&format!("admission-{number}")), ..context };
        let params = admission.params.clone();
        (def.build)(&params, &context)
            .map_err(|error| invalid("admission.params", format!("`{}`: {error}", def.name)))?;
        let make = move || (def.build)(&params, &context).expect("it was built before");
        Ok(AdmissionConfig { name: def.name, signals: def.signals, make: Arc::new(make) })
    };
    all.iter().enumerate().map(one).collect()
}
