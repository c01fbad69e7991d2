//! The published router: its ledger and its selector.

use std::collections::{HashMap, HashSet};

use dynamo_kv_router::protocols::{PrefillLoadHint, RoutingConstraints, WorkerConfigLike, WorkerId, WorkerWithDpRank};
use dynamo_kv_router::scheduling::{OverlapSignals, ScheduleMode};
use dynamo_kv_router::{
    ActiveSequencesMultiWorker, DefaultWorkerSelector, KvRouterConfig, NoopSequencePublisher, SchedulingRequest,
    SequenceRequest, WorkerSelectionInput, WorkerSelector,
};

use tokio::time::Instant;

use crate::{BLOCK, Question, Setting};

#[derive(Default)]
struct Worker {
    taints: HashSet<String>,
}

impl WorkerConfigLike for Worker {
    fn data_parallel_start_rank(&self) -> u32 {
        0
    }
    fn data_parallel_size(&self) -> u32 {
        1
    }
    fn max_num_batched_tokens(&self) -> Option<u64> {
        Some(2048)
    }
    fn total_kv_blocks(&self) -> Option<u64> {
        Some(100_000)
    }
    fn taints(&self) -> &HashSet<String> {
        &self.taints
    }
}

pub struct Peer {
    selector: DefaultWorkerSelector,
    workers: HashMap<WorkerId, Worker>,
    ledger: ActiveSequencesMultiWorker<NoopSequencePublisher>,
    track_prefill: bool,
}

fn rank(worker: u32) -> WorkerWithDpRank {
    WorkerWithDpRank::from_worker_id(WorkerId::from(worker))
}

impl Peer {
    pub fn new(setting: &Setting, workers: u32) -> Self {
        let config = KvRouterConfig {
            overlap_score_credit: setting.credit,
            overlap_score_credit_decay: setting.decay,
            prefill_load_scale: setting.scale,
            decode_active_request_weight: setting.per_request,
            router_track_prefill_tokens: setting.track_prefill,
            ..KvRouterConfig::default()
        };
        let ranges = (0..workers).map(|w| (u64::from(w), (0, 1))).collect();
        Self {
            selector: DefaultWorkerSelector::new_seeded(Some(config), "aggregated", 1),
            workers: (0..workers).map(|w| (WorkerId::from(w), Worker::default())).collect(),
            ledger: ActiveSequencesMultiWorker::new_without_expiry(
                NoopSequencePublisher,
                BLOCK as usize,
                ranges,
                false,
                0,
                "aggregated",
            ),
            track_prefill: setting.track_prefill,
        }
    }

    fn request(&self, question: &Question, only: Option<u32>) -> SchedulingRequest {
        let cached = |blocks: u32| (blocks * BLOCK) as usize;
        let workers = || (0u32..).zip(&question.cached).filter(|&(_, &blocks)| blocks > 0);
        SchedulingRequest {
            mode: ScheduleMode::QueryOnly { request_id: None },
            token_seq: Some(question.keys.clone()),
            isl_tokens: question.tokens as usize,
            lora_name: None,
            expected_output_tokens: None,
            affinity_target: None,
            pinned_worker: only.map(rank),
            allowed_worker_ids: None,
            routing_constraints: RoutingConstraints::default(),
            router_config_override: None,
            track_prefill_tokens: self.track_prefill,
            priority_jump: 0.0,
            strict_priority: 0,
            policy_class: None,
            session_context: None,
            overlap: OverlapSignals {
                tier_overlap_blocks: Default::default(),
                effective_overlap_blocks: workers().map(|(w, &blocks)| (rank(w), f64::from(blocks))).collect(),
                effective_cached_tokens: workers().map(|(w, &blocks)| (rank(w), cached(blocks))).collect(),
            },
            kv_transfer_candidates: None,
            retain_kv_transfer_chain: false,
            shared_cache_hits: None,
            worker_loads: self.ledger.project_worker_loads(Some(&question.keys), Instant::now()),
            resp_tx: None,
        }
    }

    /// Where its selector sends the request.
    pub fn choose(&self, question: &Question) -> u32 {
        let request = self.request(question, None);
        let input = WorkerSelectionInput::configured(&self.workers, &request, request.eligibility(), BLOCK);
        let chosen = self.selector.select_worker(input).expect("there are workers");
        u32::try_from(chosen.worker.worker_id).expect("small ids")
    }

    /// The costs by its formula, to find exact ties: the selector does not tell them.
    pub fn costs(&self, question: &Question) -> Vec<f64> {
        let config = &self.selector.kv_router_config;
        let loads = self.ledger.project_worker_loads(Some(&question.keys), Instant::now());
        let load = |w: u32| loads.get(&rank(w)).copied().unwrap_or_default();
        let workers = 0..u32::try_from(question.cached.len()).expect("few workers");
        let floor = workers.clone().map(|w| load(w).active_prefill_tokens).min().unwrap_or(0);
        let blocks = f64::from(question.tokens.div_ceil(BLOCK).max(1));
        workers
            .map(|w| {
                let (load, cached) = (load(w), f64::from(question.cached[w as usize]));
                let excess = (load.active_prefill_tokens - floor) as f64 / f64::from(BLOCK) / blocks;
                let decays = self.track_prefill && config.overlap_score_credit_decay > 0.0;
                let decay = if decays { 1.0 / (1.0 + config.overlap_score_credit_decay * excess) } else { 1.0 };
                let tokens = if self.track_prefill { load.active_prefill_tokens + question.tokens as usize } else { 0 };
                let credit = config.overlap_score_credit * decay * cached;
                let prefill = (tokens as f64 / f64::from(BLOCK) - credit).max(0.0);
                config.prefill_load_scale * prefill
                    + load.potential_decode_blocks() as f64
                    + config.decode_active_request_weight * load.active_requests as f64
            })
            .collect()
    }

    pub fn book(&self, question: &Question, worker: u32) {
        let cached = question.cached[worker as usize] * BLOCK;
        let tokens = question.tokens.saturating_sub(cached) as usize;
        let hint = PrefillLoadHint { initial_effective_prefill_tokens: tokens, expected_prefill_duration: None };
        let request = SequenceRequest {
            request_id: question.id.to_string(),
            token_sequence: Some(question.keys.clone()),
            track_prefill_tokens: self.track_prefill,
            expected_output_tokens: None,
            prefill_load_hint: (self.track_prefill && tokens > 0).then_some(hint),
            worker: rank(worker),
            lora_name: None,
        };
        self.ledger.add_request(request, Instant::now()).expect("a new request on a known worker");
    }

    pub fn first_token(&self, request: u32) {
        self.ledger.mark_prefill_completed(&request.to_string(), Instant::now()).expect("it is live");
    }

    pub fn finish(&self, request: u32) {
        self.ledger.free(&request.to_string(), Instant::now()).expect("it is live");
    }
}
