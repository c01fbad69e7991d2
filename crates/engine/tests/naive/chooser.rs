//! The eviction policies a second time: sets, lists and scans, every question answered from scratch.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::RngExt;
use trimtab_core::{PrefixId, SimTime, StreamRng};
use trimtab_engine::InstanceConfig;
use trimtab_engine::cost::StepShape;

use super::blocks::{Held, Name, full_name};
use super::instance::Instance;

/// What leaves together, from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Node(PrefixId),
    Tail { leaf: PrefixId, tokens: u32 },
    Nameless { request: usize, times: u32 },
}

impl Group {
    pub(super) fn of(name: Name) -> Self {
        match name {
            Name::Full { node, .. } => Self::Node(node),
            Name::Tail { leaf, tokens } => Self::Tail { leaf, tokens },
            Name::Anonymous { request, times, .. } => Self::Nameless { request, times },
        }
    }
}

/// What is known of a resident group.
#[derive(Clone, Debug, Default)]
struct Facts {
    inserted: u64,
    last: u64,
    /// When it was used, the insertion first.
    uses: Vec<SimTime>,
    visited: bool,
    main: bool,
    credit: u8,
    /// Blocks at the last use, less those lost since.
    blocks: u32,
    /// Blocks when it was marked, and in which phase.
    marked: (u32, u64),
    worth: u64,
    pin: Option<(SimTime, usize)>,
    first: u32,
}

/// The state of one policy.
pub(super) struct Chooser {
    name: &'static str,
    early_first: bool,
    as_paper: bool,
    miss: bool,
    /// Window or time to live.
    span: SimTime,
    small: u64,
    capacity: u64,
    rng: StreamRng,
    facts: BTreeMap<Group, Facts>,
    clock: u64,
    /// Groups whose ends can leave, in the order of the random policies' lists.
    open: Vec<Group>,
    spared: Vec<Group>,
    loose: BTreeMap<Group, u64>,
    phase: u64,
    marked: u64,
    hand: u64,
    ghosts: Vec<(Group, u32)>,
    floor: u64,
    sessions: Vec<u32>,
    served: u32,
}

impl Chooser {
    pub(super) fn new(config: &InstanceConfig, rng: StreamRng) -> Self {
        let params = &config.eviction.params;
        let seconds = params["window_s"].as_f64().or(params["ttl_s"].as_f64());
        let share = params["small"].as_f64().unwrap_or(0.1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test is small")]
        let small = (config.kv_blocks as f64 * share) as u64;
        Self {
            name: config.eviction.def.name,
            early_first: params["first_out"] == "early",
            as_paper: params["form"] == "as-paper",
            miss: params["weight"] == "miss",
            span: SimTime::from_secs_f64(seconds.unwrap_or(1.0)).expect("a span"),
            small,
            capacity: config.kv_blocks,
            rng,
            facts: BTreeMap::new(),
            clock: 0,
            open: Vec::new(),
            spared: Vec::new(),
            loose: BTreeMap::new(),
            phase: 1,
            marked: 0,
            hand: 0,
            ghosts: Vec::new(),
            floor: 0,
            sessions: Vec::new(),
            served: 0,
        }
    }

    fn is_marked(&self, group: Group) -> bool {
        self.facts.get(&group).is_some_and(|facts| facts.marked.1 == self.phase)
    }

    fn mark(&mut self, group: Group, blocks: u32) {
        if self.is_marked(group) {
            return;
        }
        self.facts.entry(group).or_default().marked = (blocks, self.phase);
        self.marked += u64::from(blocks);
        if let Some(at) = self.open.iter().position(|&other| other == group) {
            self.open.swap_remove(at);
            self.spared.push(group);
        }
    }

    fn begin_phase(&mut self) {
        self.phase += 1;
        self.marked = 0;
        while let Some(group) = self.spared.pop() {
            self.open.push(group);
        }
    }

    fn use_randomised(&mut self, path: &[(Group, u32, u32)]) {
        for (index, &(group, _, blocks)) in path.iter().enumerate() {
            if self.is_marked(group) {
                continue;
            }
            if self.as_paper && self.marked + u64::from(blocks) > self.capacity {
                self.begin_phase();
            } else if !self.as_paper && self.marked >= self.capacity {
                self.begin_phase();
                for &(group, _, blocks) in &path[..index] {
                    self.mark(group, blocks);
                }
            }
            self.mark(group, blocks);
        }
    }

    fn in_small(&self) -> u64 {
        let small = self.facts.values().filter(|facts| facts.inserted > 0 && !facts.main);
        small.map(|facts| u64::from(facts.blocks)).sum()
    }
}

impl Instance<'_> {
    fn recompute_ps(&self, before: u32) -> u64 {
        let (budget, block) = (self.config.max_batched_tokens, self.config.block_tokens);
        let mut shape = StepShape::default();
        shape.add_chunk(budget, before * block);
        (self.config.cost.step(&shape) * u64::from(block) / u64::from(budget)).max(1)
    }

    /// The block that a block continues.
    fn previous(&self, name: Name) -> Option<Name> {
        let b = self.config.block_tokens;
        let (leaf, index) = match name {
            Name::Full { node, index } => (node, index),
            Name::Tail { leaf, tokens } => (leaf, tokens / b),
            Name::Anonymous { .. } => return None,
        };
        (index > 0).then(|| full_name(self.forest, leaf, index - 1, b))
    }

    /// The resident blocks of a group, the last first.
    fn members(&self, group: Group) -> Vec<Name> {
        let mut members: Vec<Name> =
            self.cache.released.keys().copied().filter(|&name| Group::of(name) == group).collect();
        members.reverse();
        members
    }

    fn first_of(&self, group: Group) -> u32 {
        let b = self.config.block_tokens;
        match group {
            Group::Node(node) => self.forest.start(node) / b,
            Group::Tail { tokens, .. } => tokens / b,
            Group::Nameless { .. } => match self.members(group).last() {
                Some(&Name::Anonymous { index, .. }) => index,
                _ => 0,
            },
        }
    }

    /// How many blocks at the end of a group can leave.
    fn loose(&self, group: Group) -> u64 {
        let free = |name: &Name| {
            let hung = self.cache.released.keys().any(|&n| Group::of(n) != group && self.previous(n) == Some(*name));
            !hung && !self.is_pinned(Held::Shared(*name))
        };
        self.members(group).iter().take_while(|name| free(name)).count() as u64
    }

    /// Brings the lists of groups on offer up to date: first what left, then what came, the last of a path first.
    pub(super) fn refresh(&mut self) {
        if self.chooser.name == "lru" {
            return;
        }
        let mut groups: Vec<Group> = self.cache.released.keys().map(|&name| Group::of(name)).collect();
        groups.dedup();
        groups.sort_by_key(|&group| Reverse((self.first_of(group), group)));
        let loose: BTreeMap<Group, u64> =
            groups.iter().map(|&group| (group, self.loose(group))).filter(|&(_, loose)| loose > 0).collect();
        let mut left: Vec<Group> = self.chooser.loose.keys().copied().filter(|g| !loose.contains_key(g)).collect();
        left.sort_by_key(|&group| self.first_of(group));
        let it = &mut self.chooser;
        for group in left {
            for list in [&mut it.open, &mut it.spared] {
                if let Some(at) = list.iter().position(|&other| other == group) {
                    list.swap_remove(at);
                }
            }
        }
        for group in groups {
            if loose.contains_key(&group) && !it.loose.contains_key(&group) {
                let list = if it.is_marked(group) { &mut it.spared } else { &mut it.open };
                list.push(group);
            }
        }
        it.loose = loose;
    }

    /// A sequence that held these blocks has left: a use of what nobody can name, and one of its path.
    pub(super) fn note_release(&mut self, request: usize, held: &[Held]) {
        let mut path: Vec<(Group, u32, u32)> = Vec::new();
        let mut nameless = Vec::new();
        for held in held {
            let Held::Shared(name) = *held else { continue };
            let group = Group::of(name);
            if path.iter().chain(&nameless).any(|&(other, ..)| other == group) {
                continue;
            }
            let blocks = u32::try_from(self.members(group).len()).expect("a test is small");
            let entry = (group, self.first_of(group), blocks);
            if matches!(group, Group::Nameless { .. }) { nameless.push(entry) } else { path.push(entry) }
        }
        *self.cache.releases.entry(request).or_default() += 1;
        for path in [nameless, path] {
            if path.is_empty() {
                continue;
            }
            self.note_use(request, &path);
            if let (Group::Nameless { .. }, first, blocks) = path[0] {
                let it = &mut self.chooser;
                it.facts.entry(path[0].0).or_default().first = first;
                it.loose.insert(path[0].0, u64::from(blocks));
                let marked = it.is_marked(path[0].0);
                if marked { &mut it.spared } else { &mut it.open }.push(path[0].0);
            }
        }
        self.refresh();
    }

    fn note_use(&mut self, request: usize, path: &[(Group, u32, u32)]) {
        let worths: Vec<u64> = path.iter().map(|&(_, first, _)| self.recompute_ps(first)).collect();
        let (now, request) = (self.now, &self.requests[request]);
        let it = &mut self.chooser;
        it.served = it.served.max(request.id.0);
        if it.name == "rlt" {
            it.use_randomised(path);
        }
        let session = request.session.map(|session| {
            it.sessions.iter().position(|&other| other == session.0).unwrap_or_else(|| {
                it.sessions.push(session.0);
                it.sessions.len() - 1
            })
        });
        for (&(group, first, blocks), &worth) in path.iter().zip(&worths).rev() {
            it.clock += 1;
            let remembered = it.ghosts.iter().any(|&(ghost, _)| ghost == group);
            let facts = it.facts.entry(group).or_default();
            if facts.inserted == 0 {
                (facts.inserted, facts.main) = (it.clock, remembered);
            } else {
                facts.visited = true;
                facts.credit = (facts.credit + 1).min(3);
            }
            (facts.last, facts.blocks, facts.first) = (it.clock, blocks, first);
            facts.uses.push(now);
            facts.worth = it.floor + worth * facts.uses.len() as u64;
            let kept = facts.pin.filter(|&(until, _)| until > now);
            let wanted = session.map(|session| (now + it.span, session));
            facts.pin = match (kept, wanted) {
                (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.min(b.1))),
                (a, b) => a.or(b),
            };
        }
    }

    /// Somebody needs this many blocks.
    pub(super) fn begin_choice(&mut self, blocks: u64) {
        self.refresh();
        let it = &mut self.chooser;
        let unmarked: u64 = it.open.iter().map(|group| it.loose[group]).sum();
        if it.name == "rlt" && !it.as_paper && (blocks + it.marked >= it.capacity || unmarked < blocks) {
            it.begin_phase();
        }
    }

    /// The block that leaves next.
    pub(super) fn choose(&mut self) -> Name {
        if self.chooser.name == "lru" {
            let unpinned = self.cache.released.iter().filter(|&(&name, _)| !self.is_pinned(Held::Shared(name)));
            return *unpinned.min_by_key(|&(_, released)| released).expect("room was checked for").0;
        }
        let group = self.choose_group();
        self.members(group)[0]
    }

    fn choose_group(&mut self) -> Group {
        let offered: Vec<(Group, Facts)> =
            self.chooser.loose.keys().map(|group| (*group, self.chooser.facts[group].clone())).collect();
        let best = |key: &dyn Fn(&Group, &Facts) -> (u64, u64, u64)| {
            offered.iter().min_by_key(|(group, facts)| key(group, facts)).expect("something is on offer").0
        };
        let now = self.now;
        match self.chooser.name {
            "lfu" => best(&|_, f| (f.uses.len() as u64, f.last, 0)),
            "fifo" => best(&|_, f| (f.inserted, 0, 0)),
            "length-aware" => best(&|_, f| {
                let place = if self.chooser.early_first { f.first } else { u32::MAX - f.first };
                (f.uses.len() as u64, u64::from(place), f.last)
            }),
            "gdsf" => {
                let group = best(&|_, f| (f.worth, f.last, 0));
                self.chooser.floor = self.chooser.floor.max(self.chooser.facts[&group].worth);
                group
            }
            "preble" => best(&|_, f| {
                let skipped = usize::from(!self.chooser.miss);
                let counted = if self.chooser.miss { &f.uses[..1] } else { &f.uses[skipped..] };
                let recent = counted.iter().filter(|&&at| at + self.chooser.span >= now).count() as u64;
                (recent * self.recompute_ps(f.first), f.last, 0)
            }),
            "ttl" => best(&|_, f| match f.pin.filter(|&(until, _)| until > now) {
                Some((_, session)) => (1, u64::MAX - session as u64, f.last),
                None => (0, 0, f.last),
            }),
            "belady" => best(&|group, f| (u64::MAX - self.next_reader(*group), f.last, 0)),
            "random-leaf" => self.draw(),
            "rlt" => {
                if self.chooser.open.is_empty() {
                    self.chooser.begin_phase();
                }
                self.draw()
            }
            "sieve" => self.sweep(offered),
            "s3-fifo" => self.probe(&offered),
            other => panic!("the reference does not know `{other}`"),
        }
    }

    fn draw(&mut self) -> Group {
        let it = &mut self.chooser;
        it.open[it.rng.random_range(0..it.open.len())]
    }

    /// The next request that reads a group.
    fn next_reader(&self, group: Group) -> u64 {
        let node = match group {
            Group::Node(node) | Group::Tail { leaf: node, .. } => node,
            Group::Nameless { .. } => return u64::from(u32::MAX),
        };
        let mut path = Vec::new();
        let reads = self.requests.iter().find(|request| {
            self.forest.path(request.prompt, &mut path);
            request.id.0 > self.chooser.served && path.contains(&node)
        });
        u64::from(reads.map_or(u32::MAX, |request| request.id.0))
    }

    fn sweep(&mut self, mut offered: Vec<(Group, Facts)>) -> Group {
        offered.sort_by_key(|(_, facts)| facts.inserted);
        loop {
            let hand = self.chooser.hand;
            let (group, facts) = offered.iter().find(|(_, f)| f.inserted >= hand).unwrap_or(&offered[0]);
            self.chooser.hand = facts.inserted;
            let visited = &mut self.chooser.facts.get_mut(group).expect("it is resident").visited;
            if !std::mem::take(visited) {
                return *group;
            }
            self.chooser.hand += 1;
        }
    }

    fn probe(&mut self, offered: &[(Group, Facts)]) -> Group {
        let it = &mut self.chooser;
        loop {
            let first = |main: bool| {
                let queue = offered.iter().map(|(group, _)| *group).filter(|group| it.facts[group].main == main);
                queue.min_by_key(|group| it.facts[group].inserted)
            };
            let (small, main) = (first(false), first(true));
            let from_small = small.filter(|_| main.is_none() || it.in_small() > it.small);
            let group = from_small.or(main).expect("something is on offer");
            let facts = it.facts.get_mut(&group).expect("it is resident");
            if facts.credit <= u8::from(from_small.is_some()) {
                return group;
            }
            it.clock += 1;
            facts.credit = if from_small.is_some() { 0 } else { facts.credit - 1 };
            (facts.main, facts.inserted) = (true, it.clock);
        }
    }

    /// A block left.
    pub(super) fn note_loss(&mut self, name: Name) {
        let group = Group::of(name);
        let gone = self.members(group).is_empty();
        let it = &mut self.chooser;
        if let Some(facts) = it.facts.get_mut(&group) {
            facts.blocks = facts.blocks.saturating_sub(1);
            if !facts.main && !matches!(group, Group::Nameless { .. }) {
                it.ghosts.push((group, 1));
            }
        }
        while it.ghosts.len() as u64 > it.capacity - it.small {
            it.ghosts.remove(0);
        }
        let facts = if gone { it.facts.remove(&group) } else { None };
        if let Some(facts) = facts.filter(|facts| it.as_paper && facts.marked.1 == it.phase) {
            it.marked -= u64::from(facts.marked.0);
        }
        self.refresh();
    }
}
