//! Single requests that share the prefix of their group: what several generators are made of.

use trimtab_core::{PrefixForest, PrefixId, StreamRng, uniform01};

use super::Setup;
use crate::law::{Law, Ranks, whole, zeta};
use crate::sessions::{Plan, Source, Turn};

/// Longest suffix and output.
const LONGEST: u32 = 1 << 24;

/// Draws requests of groups.
pub(super) struct Grouped {
    groups: Vec<Group>,
    choice: Choice,
    suffix: Law,
    output: Law,
    rng: StreamRng,
}

struct Group {
    prefix: Option<PrefixId>,
    tokens: u32,
    /// The length of its suffixes, where it is its own.
    suffix: Option<u32>,
}

/// Which group comes next.
pub(super) enum Choice {
    /// By rank, independently.
    Ranks(Ranks),
    /// By an unbounded zeta law, redrawn beyond the last group.
    Zeta(f64),
    /// A list, once.
    Listed(std::vec::IntoIter<u32>),
    /// Round and round.
    Cycle(u32),
    /// One holds a share of the traffic, for so many requests at a time; the rest is even.
    Hot { share: f64, moves_after: Option<u64>, drawn: u64 },
}

impl Grouped {
    /// Prefixes of these lengths; 0 is none. Nodes are added when a group is first drawn.
    pub(super) fn new(
        lengths: impl Iterator<Item = u32>,
        choice: Choice,
        suffix: Law,
        output: Law,
        setup: &Setup,
    ) -> Self {
        let groups = lengths.map(|tokens| Group { prefix: None, tokens, suffix: None }).collect();
        Self { groups, choice, suffix, output, rng: setup.rng("lengths") }
    }

    /// The same with suffixes of one length for each group.
    pub(super) fn with_suffixes(mut self, lengths: impl Iterator<Item = u32>) -> Self {
        for (group, tokens) in self.groups.iter_mut().zip(lengths) {
            group.suffix = Some(tokens);
        }
        self
    }

    fn pick(&mut self) -> Option<usize> {
        let (count, rng) = (self.groups.len(), &mut self.rng);
        Some(match &mut self.choice {
            Choice::Ranks(ranks) => ranks.draw(rng),
            Choice::Zeta(a) => loop {
                let rank = zeta(rng, *a);
                if rank <= count as f64 {
                    break whole(rank) as usize - 1;
                }
            },
            Choice::Listed(list) => list.next()? as usize,
            Choice::Cycle(at) => {
                let group = *at as usize;
                *at = (*at + 1) % u32::try_from(count).expect("groups are counted with 32 bits");
                group
            }
            Choice::Hot { share, moves_after, drawn } => {
                let era = moves_after.map_or(0, |requests| *drawn / requests);
                *drawn += 1;
                let hot = usize::try_from(era % count as u64).expect("below the number of groups");
                if count == 1 || uniform01(rng) < *share {
                    hot
                } else {
                    let other = whole(uniform01(rng) * (count - 1) as f64) as usize;
                    if other < hot { other } else { other + 1 }
                }
            }
        })
    }
}

impl Source for Grouped {
    fn next(&mut self, forest: &mut PrefixForest, plan: &mut Plan) -> Option<()> {
        let at = self.pick()?;
        let group = &mut self.groups[at];
        if group.prefix.is_none() && group.tokens > 0 {
            group.prefix = Some(forest.add(None, group.tokens).expect("a prefix of at least one token"));
        }
        plan.base = group.prefix;
        let suffix = group.suffix.unwrap_or_else(|| self.suffix.tokens(&mut self.rng, 1, LONGEST));
        let tokens = group.tokens + suffix;
        plan.turns.push(Turn::first(tokens, self.output.tokens(&mut self.rng, 1, LONGEST)));
        Some(())
    }

    fn output_known(&self) -> bool {
        false
    }
}
