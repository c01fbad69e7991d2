//! Parts of a sharded run, put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use trimtab_sched::Registry;

use super::{Failure, Outcome, Progress, Runner, SweepOptions};
use crate::plan::Plan;
use crate::results::{Existing, Store, SweepError};

/// Puts the parts of a sharded run together: the results are those of one run of the whole plan. Nothing is simulated.
pub fn merge(
    parts: &[PathBuf],
    registry: &Registry,
    options: &SweepOptions,
    progress: &dyn Progress,
) -> Result<Outcome, SweepError> {
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if options.existing == Existing::Replace && parts.iter().any(|part| same(part, &options.out)) {
        return Err(SweepError::Merge(format!("{} is one of the parts", options.out.display())));
    }
    let (text, plan) = plan_text(parts)?;
    let mut known_failures = BTreeMap::new();
    for part in parts {
        if read(&part.join("plan.json"))? != text {
            let message = format!("{} and {} are parts of different plans", parts[0].display(), part.display());
            return Err(SweepError::Merge(message));
        }
        let manifest = part.join("manifest.json");
        let facts: Facts = serde_json::from_str(&read(&manifest)?)
            .map_err(|error| SweepError::Merge(format!("{}: {error}", manifest.display())))?;
        known_failures.extend(facts.failures.into_iter().map(|failure| (failure.id.clone(), failure)));
    }
    let spec = read(&parts[0].join("spec.toml"))?;
    let store = Store::open(&options.out, options.existing)?;
    let merged = parts.iter().try_for_each(|part| store.adopt(part)).and_then(|()| {
        let mut runner = Runner::new(&plan, registry, &store, progress, None);
        (runner.simulate, runner.known_failures) = (false, known_failures);
        let outcome = runner.run(&store.dir().join("spec.toml").display().to_string(), options)?;
        store.write("spec.toml", spec.as_bytes()).map(|()| outcome)
    });
    if matches!(merged, Err(SweepError::Merge(_))) && options.existing != Existing::Resume {
        // There were no results before, and half a merge would be in the way of the next one.
        store.abandon();
    }
    merged
}

/// The plan that results folders are parts of.
pub fn plan_of(parts: &[PathBuf]) -> Result<Plan, SweepError> {
    plan_text(parts).map(|(_, plan)| plan)
}

fn plan_text(parts: &[PathBuf]) -> Result<(String, Plan), SweepError> {
    let path = parts.first().ok_or_else(|| SweepError::Merge("nothing to merge".to_owned()))?.join("plan.json");
    let text = read(&path)?;
    let plan =
        serde_json::from_str(&text).map_err(|error| SweepError::Merge(format!("{}: {error}", path.display())))?;
    Ok((text, plan))
}

fn read(path: &Path) -> Result<String, SweepError> {
    std::fs::read_to_string(path).map_err(|source| SweepError::Io { doing: "read", path: path.into(), source })
}

/// What a merge needs of a manifest.
#[derive(Deserialize)]
struct Facts {
    failures: Vec<Failure>,
}
