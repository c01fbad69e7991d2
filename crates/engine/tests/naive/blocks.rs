//! The KV blocks of one instance, one by one.

use std::collections::BTreeMap;

use trimtab_core::{PrefixForest, PrefixId, Prompt, Request};
use trimtab_engine::{CacheConfig, InstanceConfig};

/// What a cached block contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The `index`-th whole block of every prompt through `node`, in which its last token lies.
    Full { node: PrefixId, index: u32 },
    /// The final partial block of the prompt of `tokens` tokens that ends in `leaf`.
    Tail { leaf: PrefixId, tokens: u32 },
    /// Generated tokens that nobody can name: the `index`-th block of a request that was released so many times before.
    Anonymous { request: usize, times: u32, index: u32 },
}

/// One block of a running request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Its own.
    Private,
    /// Pinned in the cache.
    Shared(Name),
}

/// The blocks with a name that are resident, pinned or not.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// When each was last released: a serial number.
    pub(crate) released: BTreeMap<Name, u64>,
    /// Which of them a finished request generated, for the counters.
    pub(crate) generated: Vec<Name>,
    serial: u64,
    /// How often each request was released.
    pub(crate) releases: BTreeMap<usize, u32>,
}

impl Cache {
    pub(crate) fn contains(&self, name: Name) -> bool {
        self.released.contains_key(&name)
    }

    /// Makes a private block resident under this name, unless another one is already.
    pub(crate) fn insert(&mut self, name: Name) {
        self.released.entry(name).or_insert(0);
    }

    pub(crate) fn insert_anonymous(&mut self, request: usize, index: u32) -> Name {
        let times = self.releases.get(&request).copied().unwrap_or(0);
        let name = Name::Anonymous { request, times, index };
        self.insert(name);
        name
    }

    /// Notes the time of a release, deepest block first.
    pub(crate) fn release(&mut self, held: &[Held]) {
        for block in held.iter().rev() {
            if let Held::Shared(name) = block {
                self.serial += 1;
                *self.released.get_mut(name).expect("a pinned block is resident") = self.serial;
            }
        }
    }
}

/// The names of all prompt blocks of a request, in order: as many as can ever be shared.
pub(crate) fn prompt_names(config: &InstanceConfig, forest: &PrefixForest, request: &Request) -> Vec<Name> {
    let CacheConfig { enabled, partial_tail, .. } = config.cache;
    let Some(leaf) = request.prompt.leaf.filter(|_| enabled) else { return Vec::new() };
    let (length, b) = (request.prompt.tokens, config.block_tokens);
    let mut names: Vec<Name> = (0..length / b).map(|index| full_name(forest, leaf, index, b)).collect();
    if partial_tail && length % b != 0 {
        names.push(Name::Tail { leaf, tokens: length });
    }
    names
}

/// The name of the `index`-th whole block on the path that ends in `leaf`.
pub(crate) fn full_name(forest: &PrefixForest, leaf: PrefixId, index: u32, block_tokens: u32) -> Name {
    let last_token = (index + 1) * block_tokens - 1;
    let mut node = leaf;
    while forest.start(node) > last_token {
        node = forest.parent(node).expect("a path starts at token 0");
    }
    Name::Full { node, index }
}

/// Whether the `index`-th block of a prompt holds nothing but the first `tokens` tokens of it, to its last one.
pub(crate) fn covered(prompt: Prompt, index: u32, tokens: u32, block_tokens: u32) -> bool {
    ((index + 1) * block_tokens).min(prompt.tokens) <= tokens
}
