//! The prefix forest: every distinct prompt prefix, once.

use crate::ids::PrefixId;
use crate::request::Prompt;

/// No parent: the node starts a prompt.
const ROOT: u32 = u32::MAX;

/// All prompts of a workload as paths in one forest.
///
/// A node stands for a run of tokens that follows its parent's: it covers the positions from `start` to `end` of every
/// prompt that passes through it. A trace with block hashes has one node per hash; a prompt that shares nothing is one
/// long node. Two prompts that share k blocks share the nodes of those k blocks, so equality of prefixes is equality of
/// ids.
///
/// A cache block of `b` tokens belongs to the node in which its last token lies. That identifies the block exactly
/// whenever branches happen at multiples of `b` (see [`PrefixForest::blocks_before`]).
#[derive(Clone, Debug, Default)]
pub struct PrefixForest {
    nodes: Vec<Node>,
}

/// Side by side, because who walks a path reads both, and the nodes of a path lie far apart.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    end: u32,
}

/// A node that cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForestError {
    /// The node would end at or before the position where it starts.
    Empty,
    /// More than 2^32 - 1 nodes.
    Full,
}

impl PrefixForest {
    /// An empty forest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the node that continues `parent` up to position `end` (exclusive, counted from the start of the prompt).
    pub fn add(&mut self, parent: Option<PrefixId>, end: u32) -> Result<PrefixId, ForestError> {
        if end <= parent.map_or(0, |p| self.end(p)) {
            return Err(ForestError::Empty);
        }
        let id = u32::try_from(self.nodes.len()).ok().filter(|&id| id != ROOT).ok_or(ForestError::Full)?;
        self.nodes.push(Node { parent: parent.map_or(ROOT, |p| p.0), end });
        Ok(PrefixId(id))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node before this one; `None` at the start of a prompt.
    pub fn parent(&self, id: PrefixId) -> Option<PrefixId> {
        let parent = self.nodes[id.index()].parent;
        (parent != ROOT).then_some(PrefixId(parent))
    }

    /// The first token position of the node.
    pub fn start(&self, id: PrefixId) -> u32 {
        self.parent(id).map_or(0, |p| self.end(p))
    }

    /// One past the last token position of the node.
    pub fn end(&self, id: PrefixId) -> u32 {
        self.nodes[id.index()].end
    }

    /// The nodes of a prompt, first token first, appended to `path` (which is cleared).
    pub fn path(&self, prompt: Prompt, path: &mut Vec<PrefixId>) {
        path.clear();
        let mut node = prompt.leaf;
        while let Some(id) = node {
            path.push(id);
            node = self.parent(id);
        }
        path.reverse();
    }

    /// The node that holds token position `tokens - 1` of a prompt, for a hash of its first `tokens` tokens.
    /// `None` for an empty prefix.
    pub fn node_at(&self, prompt: Prompt, tokens: u32) -> Option<PrefixId> {
        if tokens == 0 {
            return None;
        }
        let mut node = prompt.leaf;
        while let Some(id) = node {
            if self.start(id) < tokens {
                return Some(id);
            }
            node = self.parent(id);
        }
        None
    }

    /// How many whole blocks of `block` tokens end at or before the node's start: the index, within a prompt, of the
    /// first block that belongs to this node.
    pub fn blocks_before(&self, id: PrefixId, block: u32) -> u32 {
        self.start(id) / block
    }

    /// The number of leading tokens that two prompts share.
    pub fn shared_tokens(&self, a: Prompt, b: Prompt) -> u32 {
        let (mut pa, mut pb) = (Vec::new(), Vec::new());
        self.path(a, &mut pa);
        self.path(b, &mut pb);
        let common = pa.iter().zip(&pb).take_while(|(x, y)| x == y).last();
        common.map_or(0, |(&id, _)| self.end(id).min(a.tokens).min(b.tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_share_nodes() {
        let mut f = PrefixForest::new();
        let a = f.add(None, 512).unwrap();
        let b = f.add(Some(a), 1024).unwrap();
        let c = f.add(Some(a), 900).unwrap();
        let (p, q) = (Prompt { leaf: Some(b), tokens: 1000 }, Prompt { leaf: Some(c), tokens: 900 });
        let mut path = vec![];
        f.path(p, &mut path);
        assert_eq!(path, [a, b]);
        assert_eq!(f.shared_tokens(p, q), 512);
        assert_eq!(f.shared_tokens(p, p), 1000);
        assert_eq!(f.node_at(p, 512), Some(a));
        assert_eq!(f.node_at(p, 513), Some(b));
        assert_eq!(f.node_at(p, 0), None);
        assert_eq!(f.blocks_before(b, 16), 32);
        assert_eq!(f.add(Some(b), 1024), Err(ForestError::Empty));
    }
}
