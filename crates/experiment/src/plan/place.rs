//! Where the value stands that was refused once everything had been resolved.

use crate::build::ScenarioError;
use crate::catalog::CatalogError;
use crate::simulate::RunError;
use crate::spec::Source;
use crate::tree::{At, Node};

/// The parameter that an error names, or all of them.
fn parameter(tree: &Node, of: &str, detail: &str) -> At {
    let params = tree.get(of).and_then(|s| s.get("params"));
    let named = params.into_iter().flat_map(Node::entries).find(|e| detail.contains(&format!("`{}`", e.key)));
    named.map_or_else(|| tree.locate(&format!("{of}.params")), |e| e.at)
}

/// Where the value stands that an error is about.
pub(super) fn place(source: &Source, tree: &Node, error: &RunError) -> At {
    match error {
        // The tree has one, with the rate that a search gave it.
        RunError::Workload(_) => source.at("workload"),
        RunError::Field { field: "workload.params", detail } => parameter(tree, "workload", detail),
        RunError::Scenario(ScenarioError::Invalid { field, .. }) | RunError::Field { field, .. } => tree.locate(field),
        RunError::Scenario(ScenarioError::Scheduler { .. }) => tree.locate("scheduler.kind"),
        RunError::Scenario(ScenarioError::Params { detail, .. }) => parameter(tree, "scheduler", detail),
        RunError::Scenario(ScenarioError::Catalog(CatalogError::Unknown { kind, .. })) => {
            tree.locate(&format!("cluster.{kind}"))
        }
        RunError::Scenario(ScenarioError::Catalog(_)) => tree.locate("cluster.model"),
        RunError::Scenario(ScenarioError::Signals(_)) => tree.locate("signals"),
        _ => tree.locate("workload"),
    }
}
