//! Preble's rebalancing after a placement: prefixes of the most loaded instance are redirected to the least loaded one, or
//! a single hot one is given to both. Only requests to come follow; nothing that is queued moves.

use trimtab_core::InstanceId;

use super::tree::NodeId;
use super::window::StatId;
use super::{E2, decode_ps};
use crate::ClusterView;

/// Buffers of the rebalancing step.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    loads: Vec<(u64, InstanceId)>,
    /// Large nodes with repeated requests: where they are assigned, what they cost there.
    hot: Vec<(InstanceId, u64, StatId)>,
    subtree: Vec<NodeId>,
}

impl E2 {
    /// The load of an instance from nodes asked for at least twice.
    fn repeated_ps(&self, at: InstanceId) -> u64 {
        let load = self.window.repeated_load(at);
        load.prefill_ps.saturating_add(decode_ps(load.active, self.mean_output, self.speeds.get(at)))
    }

    pub(super) fn rebalance(&mut self, view: &ClusterView<'_>) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let loads = &mut buffers.loads;
        loads.clear();
        loads.extend(view.members().iter().map(|&i| (self.repeated_ps(i), i)));
        let (most, least) = (loads.iter().max(), loads.iter().min());
        if most.zip(least).is_some_and(|(most, least)| self.unbalanced(most.0, least.0)) {
            loads.sort_unstable_by_key(|&(load, i)| (std::cmp::Reverse(load), i));
            self.find_hot(&mut buffers.hot);
            self.even_out(&mut buffers, view);
        }
        self.buffers = buffers;
    }

    fn unbalanced(&self, big: u64, small: u64) -> bool {
        big > 0 && big as f64 >= self.params.balance_ratio * small as f64
    }

    fn find_hot(&self, hot: &mut Vec<(InstanceId, u64, StatId)>) {
        hot.clear();
        for (id, stat) in self.window.all().filter(|(_, stat)| stat.count > 1) {
            let node = self.tree.node(stat.node);
            if node.is_large() {
                hot.extend(node.assigned.iter().map(|&at| (at, self.share_ps(id, at), id)));
            }
        }
        hot.sort_unstable();
    }

    /// What a node costs an instance it is assigned to.
    fn share_ps(&self, id: StatId, at: InstanceId) -> u64 {
        let share = self.window.share(id, at);
        share.prefill_ps.saturating_add(decode_ps(share.active, self.mean_output, self.speeds.get(at)))
    }

    /// The heaviest instance against the lightest, then the next heaviest against the same.
    fn even_out(&mut self, buffers: &mut Buffers, view: &ClusterView<'_>) {
        let Buffers { loads, hot, subtree } = buffers;
        let Some((&mut (ref mut small_load, small), heavier)) = loads.split_last_mut() else { return };
        for &mut (mut big_load, big) in heavier {
            if !self.unbalanced(big_load, *small_load) {
                break;
            }
            let from = hot.partition_point(|&(at, _, _)| at < big);
            let to = hot.partition_point(|&(at, _, _)| at <= big);
            match hot[from..to] {
                [] => {}
                [(_, cost, id)] => {
                    if self.share_with(id, big, small, view) {
                        *small_load += cost / 2;
                    }
                }
                ref several => {
                    for &(_, cost, id) in several {
                        // An earlier step may have taken it along with a node above it.
                        if !self.tree.node(self.window.get(id).node).assigned.contains(&big) {
                            continue;
                        }
                        if big_load.saturating_sub(cost) < *small_load + cost {
                            break;
                        }
                        self.redirect(id, small, subtree, view);
                        big_load -= cost;
                        *small_load += cost;
                        if !self.unbalanced(big_load, *small_load) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Autoscaling: the only hot node of an instance is assigned to another one too, when its first tokens slow down.
    fn share_with(&mut self, id: StatId, big: InstanceId, small: InstanceId, view: &ClusterView<'_>) -> bool {
        let stat = self.window.get(id);
        let node = stat.node;
        let Err(place) = self.tree.node(node).assigned.binary_search(&small) else { return false };
        if !stat.overloaded(big, self.window.middle(view.now()), self.params.overload_ratio) {
            return false;
        }
        self.tree.node_mut(node).assigned.insert(place, small);
        self.window.get_mut(id).clear_ttfts();
        self.window.refresh(id, &self.tree, view);
        true
    }

    /// A node and everything below it is assigned to one other instance.
    fn redirect(&mut self, id: StatId, to: InstanceId, subtree: &mut Vec<NodeId>, view: &ClusterView<'_>) {
        self.tree.subtree(self.window.get(id).node, subtree);
        for &node in subtree.iter() {
            let node = self.tree.node_mut(node);
            node.assigned.clear();
            node.assigned.push(to);
            if let Some(stat) = node.stat {
                self.window.refresh(stat, &self.tree, view);
            }
        }
    }
}
