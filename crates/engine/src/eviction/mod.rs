//! Which cached blocks leave when room is needed: one file and one line for each policy.
//!
//! A policy sees *runs*: what is resident of one node of the prefix forest, or the partial tail of a prompt, or what one
//! request generated that nobody can name. It is told of every use, and offered the runs whose last blocks can leave: no
//! request pins them, and nothing resident continues them. So whatever it answers, a prefix outlives what continues it.
//! Blocks leave from the end of a run. Looking up a prompt tells a policy nothing; a use is the release of a prompt by
//! the request that read or computed it.

mod parts;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use trimtab_core::{PrefixForest, PrefixId, Request, RequestId, RngStreams, SessionId, SimTime, StreamRng};
use trimtab_sched::{ParamError, ParamsDoc};

use crate::cost::{Linear, StepCost, StepShape};

macro_rules! evictions {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        static ALL: &[EvictionDef] = &[$($module::DEF),*];
    };
}

evictions! {
    lru,
    lfu,
    length_aware,
    fifo,
    random_leaf,
    rlt,
    sieve,
    s3_fifo,
    gdsf,
    preble,
    ttl,
    belady,
}

/// The eviction policies, in the order in which they are listed and coloured.
pub fn evictions() -> &'static [EvictionDef] {
    ALL
}

/// An eviction policy in the list.
#[derive(Clone, Copy)]
pub struct EvictionDef {
    /// Its name on the command line, lower-case kebab.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// How it differs from its source, one entry each.
    pub deviations: &'static [&'static str],
    /// Whether it must know all requests in advance.
    pub clairvoyant: bool,
    /// Its parameters with their defaults.
    pub params: fn() -> ParamsDoc,
    /// Builds it from a JSON object of parameters.
    pub build: fn(&Value, &CacheContext) -> Result<Order, ParamError>,
}

impl fmt::Debug for EvictionDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvictionDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The order in which cached blocks leave.
#[derive(Debug)]
pub enum Order {
    /// The order of release, which the cache keeps without asking anybody.
    Released,
    /// As a policy chooses among leaves.
    Leaves(Box<dyn Eviction>),
}

impl Order {
    fn leaves(policy: impl Eviction + 'static) -> Self {
        Self::Leaves(Box::new(policy))
    }
}

/// Chooses what leaves a cache.
pub trait Eviction: fmt::Debug + Send + Fork {
    /// A request releases a prompt, and with it these runs. The first use of a run is its insertion. What is inserted can
    /// be on offer only later.
    fn used(&mut self, it: &Use<'_>);
    /// So many blocks at the end of a run can leave; 0: none any more.
    fn offer(&mut self, run: u32, loose: u32);
    /// Somebody needs this many blocks; `victim` is called until they are there.
    fn begin(&mut self, blocks: u64) {
        let _ = blocks;
    }
    /// A run on offer, and how many blocks may leave from its end before the next call. There is one on offer.
    fn victim(&mut self, now: SimTime) -> (u32, u32);
    /// Blocks left from the end of a run.
    fn lost(&mut self, run: u32, blocks: u32) {
        let _ = (run, blocks);
    }
    /// Nothing is left of a run. Its number will stand for another one.
    fn gone(&mut self, run: u32);
}

/// How a policy is copied, its random stream included. All that can be cloned have it.
pub trait Fork {
    /// A copy.
    fn fork(&self) -> Box<dyn Eviction>;
}

impl<T: Eviction + Clone + 'static> Fork for T {
    fn fork(&self) -> Box<dyn Eviction> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Eviction> {
    fn clone(&self) -> Self {
        self.fork()
    }
}

/// Who uses a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The request.
    pub request: RequestId,
    /// Its session, when known.
    pub session: Option<SessionId>,
}

/// A release of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// When.
    pub now: SimTime,
    /// By whom.
    pub user: User,
    /// Its resident runs, the start of the prompt first.
    pub runs: &'a [Run],
}

/// The resident leading blocks of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number while it is resident.
    pub slot: u32,
    /// The node; `None` for what nobody can name.
    pub node: Option<PrefixId>,
    /// What tells it from all other runs, also from those that are gone.
    pub key: u64,
    /// How many blocks of a prompt come before it.
    pub first: u32,
    /// Resident blocks.
    pub blocks: u32,
}

/// What a policy may know of its cache when it is built.
#[derive(Clone)]
pub struct CacheContext {
    /// KV blocks.
    pub blocks: u64,
    /// Tokens of a block.
    pub block_tokens: u32,
    /// Its own random stream.
    pub rng: StreamRng,
    /// How long a step takes.
    pub cost: Arc<dyn StepCost>,
    /// Token budget of a step.
    pub max_batched_tokens: u32,
    /// All requests, where they are known in advance.
    pub future: Option<Arc<Future>>,
}

impl CacheContext {
    /// How long it takes to compute a block again after so many others, in picoseconds: its share of a full step of
    /// prefill there.
    fn recompute_ps(&self, before: u32) -> u64 {
        let mut shape = StepShape::default();
        shape.add_chunk(self.max_batched_tokens, before.saturating_mul(self.block_tokens));
        let step = u128::from(self.cost.step(&shape)) * u128::from(self.block_tokens);
        u64::try_from(step / u128::from(self.max_batched_tokens)).unwrap_or(u64::MAX).max(1)
    }
}

/// Which requests read which node, of all requests of a run.
#[derive(Clone, Debug, Default)]
pub struct Future {
    /// By node: where its readers begin in `readers`.
    starts: Vec<usize>,
    /// Request numbers, ascending for each node.
    readers: Vec<u32>,
}

impl Future {
    /// The future that these requests make.
    pub fn new(forest: &PrefixForest, requests: &[Request]) -> Self {
        let mut starts = vec![0; forest.len() + 1];
        let mut path = Vec::new();
        for request in requests {
            forest.path(request.prompt, &mut path);
            for node in &path {
                starts[node.index() + 1] += 1;
            }
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut readers = vec![0; *starts.last().expect("never empty")];
        for request in requests {
            forest.path(request.prompt, &mut path);
            for node in &path {
                readers[next[node.index()]] = request.id.0;
                next[node.index()] += 1;
            }
        }
        Self { starts, readers }
    }

    /// The first request after this one that reads the node; `u32::MAX` if there is none.
    pub fn next(&self, node: PrefixId, after: u32) -> u32 {
        let readers = &self.readers[self.starts[node.index()]..self.starts[node.index() + 1]];
        readers.get(readers.partition_point(|&reader| reader <= after)).copied().unwrap_or(u32::MAX)
    }
}

/// The eviction policy of an instance, and its parameters.
#[derive(Clone, Debug)]
pub struct EvictionConfig {
    /// Which.
    pub def: EvictionDef,
    /// A JSON object; what is left out has its default.
    pub params: Value,
}

impl EvictionConfig {
    /// Refuses parameters that the policy cannot be built from, whatever cache it is for.
    pub fn check(&self) -> Result<(), ParamError> {
        let any = CacheContext {
            blocks: 1,
            block_tokens: 1,
            rng: RngStreams::new(0).stream("eviction"),
            cost: Arc::new(Linear::default()),
            max_batched_tokens: 1,
            future: Some(Arc::default()),
        };
        (self.def.build)(&self.params, &any).map(drop)
    }
}

impl Default for EvictionConfig {
    fn default() -> Self {
        Self { def: lru::DEF, params: Value::Null }
    }
}
