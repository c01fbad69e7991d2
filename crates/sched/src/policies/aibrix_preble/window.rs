//! The prompts of the last minutes, and what they mean to each pod.

use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

use super::tree::{Node, NodeId, Tree};

/// What the window knows of a node where prompts end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stat {
    count: u64,
    hit_tokens: u64,
    prompt_tokens: u64,
    /// What each pod that was sent the node is charged for it, in nanoseconds.
    share_ns: u64,
}

/// What the window holds against a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Burden {
    /// Prompts at the nodes that it was sent.
    pub(super) prompts: u64,
    /// Nodes of the window that it was sent.
    pub(super) nodes: u64,
    /// Expected prefill, in nanoseconds.
    pub(super) prefill_ns: u64,
}

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    span: SimTime,
    /// The card's factor on the fitted times.
    slowness: f64,
    entries: VecDeque<(SimTime, NodeId, [u64; 2])>,
    burdens: Vec<Burden>,
}

/// Seconds to prefill the own tokens of a node, as fitted on an A6000 and divided by 0.9.
pub(super) fn prefill_s(own: u32, context: u32) -> f64 {
    let (n, context) = (f64::from(own), f64::from(context));
    let linear = match own {
        384.. => (0.1084 * n + 4.21) / 1e3,
        192..384 => (-118.0 + 1.25 * n - 0.002_56 * n * n) / 1e3,
        _ => 0.022,
    };
    let attention = if context <= 1024.0 { 0.32 } else { 1.86e-4 * context + 0.159 } / 1e3;
    let quadratic = if own >= 4096 { (-7.37 + 3.86e-3 * n + 2.16e-6 * n * n) / 1e3 } else { 0.0 };
    (linear + attention + quadratic) / 0.9
}

impl Window {
    pub(super) fn new(span: SimTime, slowness: f64) -> Self {
        Self { span, slowness, entries: VecDeque::new(), burdens: Vec::new() }
    }

    pub(super) fn burden(&self, pod: InstanceId) -> Burden {
        self.burdens.get(pod.index()).copied().unwrap_or_default()
    }

    /// Changes a node and books what that means to the pods that it was or is sent to.
    pub(super) fn change(&mut self, tree: &mut Tree, id: NodeId, change: impl FnOnce(&mut Node)) {
        self.withdraw(tree.node(id));
        change(tree.node_mut(id));
        self.book(tree.node_mut(id));
    }

    /// Takes back what a node is booked as. [`Self::book`] has to follow.
    pub(super) fn withdraw(&mut self, node: &Node) {
        if node.stat.count > 0 {
            for pod in &node.pods {
                let burden = &mut self.burdens[pod.index()];
                burden.prompts -= node.stat.count;
                burden.nodes -= 1;
                burden.prefill_ns -= node.stat.share_ns;
            }
        }
    }

    pub(super) fn book(&mut self, node: &mut Node) {
        let stat = &mut node.stat;
        if stat.count == 0 || node.pods.is_empty() {
            return;
        }
        let missing = 1.0 - stat.hit_tokens as f64 / stat.prompt_tokens.max(1) as f64;
        let all = missing * stat.count as f64 * prefill_s(node.tokens, node.context) * self.slowness;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a time below 0 is 0")]
        let share_ns = (all / node.pods.len() as f64 * 1e9) as u64;
        stat.share_ns = share_ns;
        let slots = node.pods.last().map_or(0, |pod| pod.index() + 1);
        if self.burdens.len() < slots {
            self.burdens.resize(slots, Burden::default());
        }
        for pod in &node.pods {
            let burden = &mut self.burdens[pod.index()];
            burden.prompts += stat.count;
            burden.nodes += 1;
            burden.prefill_ns += stat.share_ns;
        }
    }

    /// A prompt that ends in this node was sent somewhere.
    pub(super) fn record(&mut self, tree: &mut Tree, id: NodeId, now: SimTime, hit: u32, prompt: u32) {
        let tokens = [u64::from(hit), u64::from(prompt)];
        self.entries.push_back((now, id, tokens));
        self.change(tree, id, |node| {
            node.stat.count += 1;
            node.stat.hit_tokens += tokens[0];
            node.stat.prompt_tokens += tokens[1];
        });
    }

    pub(super) fn expire(&mut self, tree: &mut Tree, now: SimTime) {
        while let Some(&(_, id, tokens)) = self.entries.front().filter(|e| now.saturating_since(e.0) > self.span) {
            self.entries.pop_front();
            self.change(tree, id, |node| {
                node.stat.count -= 1;
                node.stat.hit_tokens -= tokens[0];
                node.stat.prompt_tokens -= tokens[1];
            });
        }
    }
}
