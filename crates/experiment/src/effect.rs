//! Settings of a spec that would have no effect: something else in it says the same.

use crate::tree::{At, Fault, Node, Value};

/// Refuses them. `tree` is the scenario of a point as written, `settings` are what its case and the grid set, and with
/// `searched` a rate will be chosen.
pub(crate) fn check(tree: &Node, settings: &[(String, At, Node)], searched: bool) -> Result<(), Fault> {
    for (path, at, _) in settings {
        if path.split('.').next() == Some("scheduler") && !path.starts_with("scheduler.params.") {
            return Err(Fault::new(
                *at,
                "list the schedulers as `[[scheduler]]`: tables and figures name them by that",
            ));
        }
        if let Some(key) = path.strip_prefix("cluster.").filter(|key| said_by_groups(tree, key)) {
            return Err(Fault::new(*at, format!("has no effect: every `[[cluster.group]]` has its own `{key}`")));
        }
    }
    for (path, other, given) in [
        ("workload.params.rate", "workload.rate", tree.find("workload.rate").is_some() || searched),
        ("cluster.memory_share", "cluster.kv_tokens", tree.find("cluster.kv_tokens").is_some()),
    ] {
        if let Some(entry) = tree.find(path).filter(|_| given) {
            let other = if given && tree.find(other).is_none() { "search" } else { other };
            return Err(Fault::new(entry.at, format!("{path} has no effect where `{other}` says it")));
        }
    }
    Ok(())
}

/// Whether all groups of instances say this themselves.
fn said_by_groups(tree: &Node, key: &str) -> bool {
    match tree.find("cluster.group").map(|entry| &entry.node.value) {
        Some(Value::Array(groups)) => {
            let key = key.split('.').next().unwrap_or(key);
            !groups.is_empty() && groups.iter().all(|group| group.get(key).is_some())
        }
        _ => false,
    }
}
