//! Settings of a spec that would have no effect: something else in it says the same.

use crate::tree::{At, Fault, Node, Value};

/// Refuses them. `tree` is the scenario of a point as written, `settings` are what its case and the grid set, and `rate` is
/// what of the search gives the rate, with its place.
pub(crate) fn check(tree: &Node, settings: &[(String, At, Node)], rate: Option<(&str, At)>) -> Result<(), Fault> {
    for (path, at, _) in settings {
        if path.starts_with("scheduler") && !format!("{path}.").starts_with("scheduler.params.") {
            return Err(Fault::new(
                *at,
                "list the schedulers as `[[scheduler]]`: tables and figures name them by that",
            ));
        }
        if let Some(key) = path.strip_prefix("cluster.").filter(|key| said_by_groups(tree, key)) {
            return Err(Fault::new(*at, format!("has no effect: every `[[cluster.group]]` has its own `{key}`")));
        }
    }
    let said = |path: &'static str| tree.find(path).map(|entry| (path, entry.at));
    let in_groups = tree.find("cluster.group").is_some();
    for (path, other) in [
        ("workload.params.rate", rate.or(said("workload.rate"))),
        ("cluster.memory_share", said("cluster.kv_tokens").filter(|_| !in_groups)),
    ] {
        let (Some(entry), Some((other, at))) = (tree.find(path), other) else { continue };
        let varied = |path: &str| settings.iter().any(|(set, ..)| set == path);
        // What a case, the grid or a flag says takes the place of what stands in the spec.
        let replaced = !varied(path) && entry.at.is_some() && (varied(other) || at.is_none());
        if !replaced {
            return Err(Fault::new(entry.at, format!("{path} has no effect where `{other}` says it")));
        }
    }
    Ok(())
}

/// Whether the groups of instances say this themselves. Models and cards of the cluster have a part in other things.
fn said_by_groups(tree: &Node, key: &str) -> bool {
    let groups = match tree.find("cluster.group").map(|entry| &entry.node.value) {
        Some(Value::Array(groups)) if !groups.is_empty() => groups,
        _ => return false,
    };
    let all_have = |key: &str| groups.iter().all(|group| group.get(key).is_some());
    match key {
        // A group without a size of its cache has what its model and card leave.
        "instances" | "kv_tokens" => true,
        "memory_share" => all_have("kv_tokens"),
        "max_batched_tokens" | "max_seqs" => all_have(key),
        _ => false,
    }
}
