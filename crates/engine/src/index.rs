//! The router's prefix index: for each node of the prefix forest, the instances that are believed to hold blocks of it.
//!
//! What an instance holds of a prompt are leading blocks, so the holders of a node hold everything before it, unless a report
//! was lost: one walk along a prompt finds the longest match on every instance, at a cost of the nodes that are held and their
//! holders.

use rustc_hash::FxHashMap;

use crate::cache::Chain;
use crate::config::InstanceConfig;
use crate::seq::Seq;

/// The holders of each node, by the key of [`Chain::spans`].
#[derive(Debug, Default)]
pub(crate) struct PrefixIndex {
    /// Instances with how many leading blocks of the node they hold, ascending; never empty.
    holders: FxHashMap<u64, Vec<(u32, u32)>>,
}

impl PrefixIndex {
    /// An instance holds `resident` leading blocks of a node.
    pub(crate) fn set(&mut self, key: u64, instance: u32, resident: u32) {
        let holders = self.holders.entry(key).or_default();
        match (holders.binary_search_by_key(&instance, |&(holder, _)| holder), resident) {
            (Ok(at), 0) => {
                holders.remove(at);
            }
            (Ok(at), _) => holders[at].1 = resident,
            (Err(_), 0) => {}
            (Err(at), _) => holders.insert(at, (instance, resident)),
        }
        if holders.is_empty() {
            self.holders.remove(&key);
        }
    }

    /// An instance holds nothing.
    pub(crate) fn forget(&mut self, instance: u32) {
        self.holders.retain(|_, holders| {
            holders.retain(|&(holder, _)| holder != instance);
            !holders.is_empty()
        });
    }

    fn holders(&self, key: u64) -> &[(u32, u32)] {
        self.holders.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The leading blocks of a chain that one instance holds, at most `limit`.
    pub(crate) fn blocks(&self, chain: &Chain<'_>, block: u32, instance: u32, limit: u32) -> u32 {
        let mut blocks = 0;
        for (key, first, last) in chain.spans(block) {
            let holders = self.holders(key);
            let Ok(at) = holders.binary_search_by_key(&instance, |&(holder, _)| holder) else { break };
            let wanted = last.min(limit).saturating_sub(first);
            let found = holders[at].1.min(wanted);
            blocks += found;
            if found < last - first {
                break;
            }
        }
        blocks
    }

    /// Calls `found` with each instance that holds blocks of a node of a request's prompt, the tokens before these, and those
    /// with them; of several calls for an instance the last one counts that continues what was found before. `kind_of` maps instances to `kinds`, the different
    /// configurations among them.
    pub(crate) fn matches(
        &self,
        seq: &Seq,
        kinds: &[InstanceConfig],
        kind_of: &[u32],
        mut found: impl FnMut(u32, u32, u32),
    ) {
        for (kind, config) in kinds.iter().enumerate() {
            let block = config.block_tokens;
            let chain = seq.chain(config);
            let limit = seq.hit_limit(&chain, block);
            for (key, first, last) in chain.spans(block) {
                let holders = self.holders(key);
                if holders.is_empty() || first >= limit {
                    break;
                }
                let wanted = last.min(limit) - first;
                for &(instance, resident) in holders {
                    if kinds.len() == 1 || kind_of[instance as usize] as usize == kind {
                        found(instance, first * block, seq.hit_tokens(&chain, first + resident.min(wanted), block));
                    }
                }
            }
        }
    }
}
