//! A request while it lives in the cluster.

use trimtab_core::{PrefixForest, Prompt, Request, SimTime};

use crate::cache::{Chain, Path};
use crate::config::InstanceConfig;
use crate::eviction::User;
use crate::instance::Load;

/// A live request and how far its instance has got with it.
#[derive(Clone, Debug)]
pub(crate) struct Seq {
    pub(crate) request: Request,
    /// Who it is to eviction policies: its number in the workload, also where it is tried under another one.
    pub(crate) user: User,
    /// The nodes of its prompt.
    pub(crate) path: Path,
    /// The replica of the router that it came to.
    pub(crate) replica: usize,
    /// The instance it was sent to.
    pub(crate) instance: usize,
    /// Tokens generated so far. While it decodes, the instance counts instead (see `Decode`).
    pub(crate) generated: u32,
    /// Tokens to be hit or computed before the next token comes out: the prompt and, after a preemption, what had been
    /// generated.
    pub(crate) target: u32,
    /// Of these, hit or computed.
    pub(crate) done: u32,
    /// KV blocks held, shared ones included.
    pub(crate) held: u32,
    /// Of these, the leading ones that are shared through the cache.
    pub(crate) shared: u32,
    /// What it adds to its instance's pending prefill tokens.
    pub(crate) pending: u32,
    /// When it joined the queue of its instance.
    pub(crate) joined: SimTime,
    /// When its last token came out; meaningful once there is one.
    pub(crate) last_token: SimTime,
    /// Tokens hit and computed over all admissions, for the conservation of work.
    pub(crate) processed: u64,
    /// Tokens that had to be processed again.
    pub(crate) recomputed: u64,
    /// How the router booked it: tokens believed uncached at its dispatch.
    pub(crate) booked_miss: u32,
    /// Whether it has entered a batch since it was last sent to an instance: then it can be preempted, but not moved.
    pub(crate) started: bool,
    /// Whether its prefill ended since it was last sent to an instance; a preemption does not undo it.
    pub(crate) prefilled: bool,
    /// Whether the router knows of that, and the event by which it will.
    pub(crate) known: bool,
    pub(crate) feedback: Option<u32>,
    /// The admission policy that it waits at, and since when.
    pub(crate) gate: Option<(usize, SimTime)>,
    /// Whether all of them have let it in.
    pub(crate) let_in: bool,
    /// Whether it waits at the router for the scheduler to route it.
    pub(crate) parked: bool,
    /// Whether its client hung up during a step, at the end of which the batch lets go of it.
    pub(crate) hung_up: bool,
    /// Times it was sent anew, after its instance failed and after its client hung up.
    pub(crate) retries: Retries,
    /// The events that are to happen to it, if they are still to: a decision that is due, the end of its client's
    /// patience.
    pub(crate) deciding: Option<u32>,
    pub(crate) patience: Option<u32>,
    /// While it is on its way to its instance: when it gets there, and the event of that.
    pub(crate) delivery: Option<(SimTime, u32)>,
    /// What is on its way from the tier since it joined the queue.
    pub(crate) prefetched: Option<Load>,
    /// The cached prefix that comes with it: from which instance, and up to how many tokens.
    pub(crate) fetch: Option<(usize, u32)>,
}

impl Seq {
    pub(crate) fn new(request: Request, forest: &PrefixForest, mut path: Path) -> Self {
        path.set(forest, request.prompt);
        Self {
            request,
            user: User { request: request.id, session: request.session },
            path,
            replica: 0,
            instance: 0,
            generated: 0,
            target: request.prompt.tokens,
            done: 0,
            held: 0,
            shared: 0,
            pending: 0,
            joined: SimTime::ZERO,
            last_token: SimTime::ZERO,
            processed: 0,
            recomputed: 0,
            booked_miss: 0,
            started: false,
            prefilled: false,
            known: false,
            feedback: None,
            gate: None,
            let_in: false,
            parked: false,
            hung_up: false,
            retries: Retries::default(),
            deciding: None,
            patience: None,
            delivery: None,
            prefetched: None,
            fetch: None,
        }
    }

    /// The prompt's blocks with identity on an instance.
    pub(crate) fn chain(&self, config: &InstanceConfig) -> Chain<'_> {
        let (path, Prompt { tokens, .. }) = (&self.path, self.request.prompt);
        if !config.cache.enabled || path.nodes().is_empty() {
            return Chain { path, full: 0, tail: 0 };
        }
        let partial = config.cache.partial_tail && tokens % config.block_tokens != 0;
        Chain { path, full: tokens / config.block_tokens, tail: if partial { tokens } else { 0 } }
    }

    /// How many leading blocks of its chain have identity once its first `done` tokens are computed.
    pub(crate) fn named(&self, chain: &Chain<'_>, done: u32, block: u32) -> u32 {
        if done >= self.request.prompt.tokens { chain.blocks() } else { chain.full.min(done / block) }
    }

    /// How many leading blocks may be hit: at least one token is always computed.
    pub(crate) fn hit_limit(&self, chain: &Chain<'_>, block: u32) -> u32 {
        let full = chain.full.min(self.target.saturating_sub(1) / block);
        if full == chain.full { chain.blocks() } else { full }
    }

    /// The tokens that `blocks` hit blocks of a chain stand for.
    pub(crate) fn hit_tokens(&self, chain: &Chain<'_>, blocks: u32, block: u32) -> u32 {
        if blocks > chain.full { self.request.prompt.tokens.min(self.target - 1) } else { blocks * block }
    }

    /// Loses its KV: what it has generated is known and has to be prefilled with the prompt.
    pub(crate) fn start_over(&mut self) {
        // All that was hit or computed for it so far, in prefills and in decodes, was in vain.
        self.recomputed = self.processed + u64::from(self.generated);
        self.target = self.request.prompt.tokens + self.generated;
        self.done = 0;
        self.held = 0;
        self.shared = 0;
        self.prefetched = None;
    }
}

/// How often a request was sent anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retries {
    /// By the router, because its instance failed.
    pub(crate) lost: u32,
    /// By its client, which had hung up.
    pub(crate) hung_up: u32,
}

/// Live requests by slot, slots reused.
#[derive(Debug, Default)]
pub(crate) struct Seqs {
    list: Vec<Seq>,
    spare: Vec<u32>,
    live: usize,
}

impl Seqs {
    /// Takes a request in, reusing the memory of an ended one.
    pub(crate) fn insert(&mut self, request: Request, forest: &PrefixForest) -> u32 {
        self.live += 1;
        if let Some(slot) = self.spare.pop() {
            let path = std::mem::take(&mut self.list[slot as usize].path);
            self.list[slot as usize] = Seq::new(request, forest, path);
            slot
        } else {
            self.list.push(Seq::new(request, forest, Path::default()));
            u32::try_from(self.list.len() - 1).expect("fewer than 2^32 requests at a time")
        }
    }

    /// Takes in a copy of a request from elsewhere, in the next slot.
    pub(crate) fn adopt(&mut self, seq: Seq) {
        self.live += 1;
        self.list.push(seq);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        self.live -= 1;
        self.spare.push(slot);
    }

    /// All slots, those of ended requests included.
    pub(crate) fn capacity(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }
}

impl std::ops::Index<u32> for Seqs {
    type Output = Seq;
    fn index(&self, slot: u32) -> &Seq {
        &self.list[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Seqs {
    fn index_mut(&mut self, slot: u32) -> &mut Seq {
        &mut self.list[slot as usize]
    }
}
