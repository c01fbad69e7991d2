//! trimtab's policy, told the same.

use serde_json::json;
use trimtab_core::{InstanceId, PrefixForest, PrefixId, Prompt, RequestId, RngStreams, SimTime, TenantId};
use trimtab_sched::{
    Actions, Arrival, BuildContext, ClusterView, Counters, Decision, Hook, InstanceInfo, Probe, Queued, Registry,
    Scheduler, SchedulerDef, Snapshot,
};

use crate::{BLOCK, Question, Setting};

/// What trimtab chose, and its costs by worker.
pub struct Choice {
    pub worker: u32,
    pub costs: Vec<f64>,
}

pub struct Ours {
    def: SchedulerDef,
    scheduler: Box<dyn Scheduler>,
    members: Vec<InstanceId>,
    counters: Counters,
    forest: PrefixForest,
    nodes: std::collections::BTreeMap<(Option<PrefixId>, u64), PrefixId>,
    /// Cached tokens of the request at hand.
    hits: Hits,
    now: SimTime,
}

struct Hits(Vec<u32>);

impl Probe for Hits {
    fn snapshot(&self, _: InstanceId) -> Snapshot {
        Snapshot::default()
    }
    fn hit_tokens(&self, _: RequestId, instance: InstanceId) -> u32 {
        self.0[instance.index()]
    }
    fn all_hit_tokens(&self, _: RequestId, out: &mut Vec<u32>) {
        out.clone_from(&self.0);
    }
    fn prefill_ps(&self, _: InstanceId, _: u32, _: u32) -> u64 {
        0
    }
    fn queue_ps(&self, _: InstanceId) -> u64 {
        0
    }
    fn queued(&self, _: InstanceId, out: &mut Vec<Queued>) {
        out.clear();
    }
}

impl Ours {
    pub fn new(setting: &Setting, workers: u32) -> Self {
        let registry = Registry::default();
        let def = *registry.get("dynamo-kv").expect("a built-in scheduler");
        let info = InstanceInfo {
            kv_blocks: 100_000,
            block_tokens: BLOCK,
            max_batched_tokens: 2048,
            max_seqs: 256,
            prefill_tokens_per_s: 10_000,
        };
        let context =
            BuildContext { instances: vec![info; workers as usize], streams: RngStreams::new(1), slo_ttft: None };
        let params = json!({
            "overlap_score_credit": setting.credit,
            "overlap_score_credit_decay": setting.decay,
            "prefill_load_scale": setting.scale,
            "active_request_weight": setting.per_request,
            "track_prefill_tokens": setting.track_prefill,
        });
        Self {
            def,
            scheduler: (def.build)(&params, &context).expect("valid parameters"),
            members: (0..workers).map(InstanceId).collect(),
            counters: Counters::default(),
            forest: PrefixForest::new(),
            nodes: std::collections::BTreeMap::new(),
            hits: Hits(Vec::new()),
            now: SimTime::ZERO,
        }
    }

    /// The path of the question's prompt in the forest, one node a block.
    fn path(&mut self, question: &Question) -> Vec<PrefixId> {
        let mut parent = None;
        let mut path = Vec::new();
        let mut end = 0;
        let tail = (question.tokens % BLOCK > 0).then_some(u64::MAX - u64::from(question.id));
        for key in question.keys.iter().copied().chain(tail) {
            end = (end + BLOCK).min(question.tokens);
            let id = match self.nodes.get(&(parent, key)) {
                Some(&id) => id,
                None => {
                    let id = self.forest.add(parent, end).expect("it grows");
                    self.nodes.insert((parent, key), id);
                    id
                }
            };
            path.push(id);
            parent = Some(id);
        }
        path
    }

    fn route(&mut self, question: &Question, members: &[InstanceId]) -> Choice {
        let path = self.path(question);
        self.hits.0 = question.cached.iter().map(|blocks| blocks * BLOCK).collect();
        self.now = SimTime(self.now.0 + 1);
        let arrival = Arrival {
            id: RequestId(question.id),
            arrival: self.now,
            prompt: Prompt { leaf: path.last().copied(), tokens: question.tokens },
            path: &path,
            forest: &self.forest,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        };
        let view = ClusterView::new(self.now, members, self.def.signals, &self.counters, &self.hits);
        let mut actions = Actions::new(true);
        let decision = self.scheduler.route(&arrival, &view, &mut actions);
        let Decision::Route(to) = decision else { panic!("no queue is on, and yet: {decision:?}") };
        Choice { worker: to.0, costs: actions.logged().1.iter().map(|&(_, cost)| cost).collect() }
    }

    pub fn choose(&mut self, question: &Question) -> Choice {
        let members = self.members.clone();
        self.route(question, &members)
    }

    /// Puts the request where the peer sent it: asked again with that worker alone, the policy moves its booking.
    pub fn settle(&mut self, question: &Question, chosen: u32, wanted: u32) {
        if chosen != wanted {
            self.route(question, &[InstanceId(wanted)]);
        }
    }

    fn tell(&mut self, hook: Hook) {
        let view = ClusterView::new(self.now, &self.members, self.def.signals, &self.counters, &self.hits);
        let mut actions = Actions::new(false);
        self.scheduler.hook(&hook, &view, &mut actions);
        assert!(actions.list().is_empty(), "nothing is parked");
    }

    pub fn first_token(&mut self, request: u32, worker: u32) {
        self.tell(Hook::FirstToken { request: RequestId(request), instance: InstanceId(worker), ttft: SimTime::ZERO });
    }

    pub fn finish(&mut self, request: u32, worker: u32) {
        let (request, instance) = (RequestId(request), InstanceId(worker));
        self.tell(Hook::Finished { request, instance, output_tokens: 1, e2e: SimTime::ZERO });
    }
}
