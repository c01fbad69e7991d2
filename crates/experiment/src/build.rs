//! From a scenario to a cluster that can run, everything checked.

use trimtab_core::{SimTime, nearest_name};
use trimtab_engine::{
    ClusterConfig, EvictionConfig, InstanceConfig, Link, RouterConfig, SignalsOff, Stepping, Survives, TierConfig,
    TransferConfig, evictions,
};
use trimtab_sched::{Registry, SchedulerDef};

use crate::admission::gate;
use crate::catalog::CatalogError;
use crate::dynamics;
use crate::scenario::{Cluster, Order, Router, Scenario, Tier, Transfer};

/// Why a scenario cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A value that cannot be.
    #[error("{field}: {detail}")]
    Invalid {
        /// The dotted path of the value.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        detail: String,
    },
    /// The model or hardware is unknown, broken or too small.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No scheduler has this name.
    #[error("unknown scheduler `{name}`{}; `trimtab list schedulers` shows all",
        nearest.as_ref().map_or(String::new(), |n| format!(", did you mean `{n}`?")))]
    Scheduler {
        /// What was asked for.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
    },
    /// The scheduler reads what the router cannot see.
    #[error(transparent)]
    Signals(#[from] SignalsOff),
    /// The scheduler refuses its parameters.
    #[error("scheduler `{name}`: {detail}")]
    Params {
        /// The scheduler.
        name: String,
        /// What is wrong.
        detail: String,
    },
}

pub(crate) fn invalid(field: &'static str, detail: impl Into<String>) -> ScenarioError {
    ScenarioError::Invalid { field, detail: detail.into() }
}

impl Scenario {
    /// The scenario with every derived value filled in, so that it can be printed in full.
    pub fn resolved(&self) -> Result<Self, ScenarioError> {
        let mut resolved = self.clone();
        resolved.cluster.cost = self.cluster.cost.resolved(&self.cluster.hardware)?;
        for group in resolved.cluster.group.iter_mut().filter(|group| group.cost.is_none()) {
            // A profile is of a card: for a group with another one it is another.
            let cost = self.cluster.cost.resolved(group.hardware.as_ref().unwrap_or(&self.cluster.hardware))?;
            group.cost = Some(cost).filter(|cost| *cost != resolved.cluster.cost);
        }
        resolved.cluster.kv_tokens = Some(self.cluster.kv_blocks()? * u64::from(self.cluster.block_tokens));
        Ok(resolved)
    }

    /// The cluster of this scenario.
    pub fn cluster_config(&self, stepping: Stepping, series: bool) -> Result<ClusterConfig, ScenarioError> {
        let (instances, dynamics) = dynamics::fleet(self)?;
        let slo = |field, value: Option<f64>| match value {
            None => Ok(None),
            Some(s) if s > 0.0 => SimTime::from_secs_f64(s).map(Some).ok_or_else(|| invalid(field, "out of range")),
            Some(s) => Err(invalid(field, format!("`{s}` is not a positive number of seconds"))),
        };
        slo("slo.tpot_s", self.slo.tpot_s)?;
        slo("slo.e2e_s", self.slo.e2e_s)?;
        for (index, class) in self.slo.class.iter().enumerate() {
            for limit in [class.ttft_s, class.tpot_s, class.e2e_s] {
                slo("slo.class", limit)?;
            }
            if self.slo.class[..index].iter().any(|other| other.priority == class.priority) {
                return Err(invalid("slo.class", format!("priority {} is there twice", class.priority)));
            }
        }
        if let Some(s) = self.warmup_s.filter(|&s| SimTime::from_secs_f64(s).is_none()) {
            return Err(invalid("warmup_s", format!("`{s}` is not a number of seconds")));
        }
        if let Some(limit) = self.workload.limit.filter(|&limit| limit > 0 && u64::from(self.warmup_requests) >= limit)
        {
            let message = format!("{} leave nothing to measure of workload.limit = {limit}", self.warmup_requests);
            return Err(invalid("warmup_requests", message));
        }
        let mut config = ClusterConfig {
            seed: self.seed,
            stepping,
            slo_ttft: slo("slo.ttft_s", self.slo.ttft_s)?,
            series,
            signals: self.signals.config()?,
            router: self.router.config()?,
            tier: self.cluster.tier()?,
            transfer: self.transfer.map(|transfer| transfer.config(&self.cluster, instances.len())).transpose()?,
            dynamics,
            clients: self.clients.map(|clients| clients.config()).transpose()?,
            ..ClusterConfig::new(instances)
        };
        config.admission = gate(&self.admission, &config)?;
        Ok(config)
    }

    /// The scheduler of this scenario.
    pub fn scheduler_def(&self, registry: &Registry) -> Result<SchedulerDef, ScenarioError> {
        let def = registry.get(&self.scheduler.kind).copied().ok_or_else(|| ScenarioError::Scheduler {
            name: self.scheduler.kind.clone(),
            nearest: nearest_name(&self.scheduler.kind, registry.all().iter().map(|def| def.name)).map(Into::into),
        })?;
        self.signals.config()?.check(&def)?;
        Ok(def)
    }
}

pub(crate) fn span(field: &'static str, value: f64, unit: &str, per_second: f64) -> Result<SimTime, ScenarioError> {
    SimTime::from_secs_f64(value / per_second)
        .ok_or_else(|| invalid(field, format!("`{value}` {unit} is not a span of time")))
}

impl Router {
    fn config(&self) -> Result<RouterConfig, ScenarioError> {
        let replicas = self.replicas.unwrap_or(1);
        if !(1..=1000).contains(&replicas) {
            return Err(invalid("router.replicas", format!("`{replicas}` is not a number from 1 to 1000")));
        }
        let stray = [("router.sync_s", self.sync_s.is_some()), ("router.split", self.split.is_some())];
        if let Some((field, _)) = stray.into_iter().find(|&(_, set)| set && replicas == 1) {
            return Err(invalid(field, "has an effect with `router.replicas` above 1 only"));
        }
        let sync = self.sync_s.map(|seconds| match SimTime::from_secs_f64(seconds) {
            Some(time) if time > SimTime::ZERO => Ok(time),
            _ => Err(invalid("router.sync_s", format!("`{seconds}` is not a positive number of seconds"))),
        });
        Ok(RouterConfig {
            decision: span("router.decision_us", self.decision_us, "us", 1e6)?,
            serial: self.serial,
            network: span("router.network_us", self.network_us, "us", 1e6)?,
            replicas,
            sync: sync.transpose()?.unwrap_or(SimTime::ZERO),
            split: self.split.unwrap_or_default(),
        })
    }
}

/// How long a token's KV takes over a link.
fn token_time(field: &'static str, gb_s: f64, bytes: Option<f64>, cluster: &Cluster) -> Result<SimTime, ScenarioError> {
    let bytes = match bytes {
        Some(bytes) => bytes,
        // All ranks of an instance share the tokens' KV.
        None => cluster.deployment()?.model().kv_bytes_per_token(),
    };
    let time = SimTime::from_secs_f64(bytes / (gb_s * 1e9)).filter(|_| gb_s > 0.0 && bytes > 0.0);
    time.ok_or_else(|| invalid(field, format!("`{gb_s}` GB/s does not carry a token")))
}

impl Tier {
    fn config(&self, cluster: &Cluster, shared: bool) -> Result<TierConfig, ScenarioError> {
        let [bandwidth, latency] = if shared {
            ["cluster.pool.bandwidth_gb_s", "cluster.pool.latency_us"]
        } else {
            ["cluster.host.bandwidth_gb_s", "cluster.host.latency_us"]
        };
        let time = |gb_s| token_time(bandwidth, gb_s, self.kv_bytes_per_token, cluster);
        if self.total_bandwidth_gb_s.is_some() && !shared {
            let detail = "is for pools: host memory has one reader";
            return Err(invalid("cluster.host.total_bandwidth_gb_s", detail));
        }
        if self.survives != Survives::Nothing && shared {
            return Err(invalid("cluster.pool.survives", "is for host memory: a pool outlives its instances"));
        }
        let link =
            Link { ps_per_token: time(self.bandwidth_gb_s)?.0, latency: span(latency, self.latency_us, "us", 1e6)? };
        let Self { capacity_tokens, write, promotion, prefetch, overlapped, survives, .. } = *self;
        Ok(TierConfig {
            blocks: capacity_tokens / u64::from(cluster.block_tokens),
            shared,
            link,
            pool_ps_per_token: self.total_bandwidth_gb_s.map(time).transpose()?.map_or(0, |time| time.0),
            write,
            promotion,
            prefetch,
            overlapped,
            survives,
        })
    }
}

impl Transfer {
    fn config(&self, cluster: &Cluster, instances: usize) -> Result<TransferConfig, ScenarioError> {
        let time = token_time("transfer.bandwidth_gb_s", self.bandwidth_gb_s, self.kv_bytes_per_token, cluster)?;
        let link = Link { ps_per_token: time.0, latency: span("transfer.latency_us", self.latency_us, "us", 1e6)? };
        Ok(TransferConfig { links: vec![link; instances], overlapped: self.overlapped })
    }
}

impl Cluster {
    fn check(&self) -> Result<(), ScenarioError> {
        let positive = [
            ("cluster.instances", self.instances),
            ("cluster.tp", self.tp),
            ("cluster.block_tokens", self.block_tokens),
            ("cluster.max_batched_tokens", self.max_batched_tokens),
            ("cluster.max_seqs", self.max_seqs),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(invalid(field, "must be at least 1"));
            }
        }
        for (field, value, most) in [
            ("cluster.instances", self.instances, 1_000_000),
            ("cluster.max_batched_tokens", self.max_batched_tokens, 1 << 24),
        ] {
            if value > most {
                return Err(invalid(field, format!("{value} is more than {most}, the most that is supported")));
            }
        }
        if self.max_batched_tokens < self.max_seqs {
            let detail = format!(
                "{} is less than cluster.max_seqs = {}: a step decodes one token for each running sequence",
                self.max_batched_tokens, self.max_seqs
            );
            return Err(invalid("cluster.max_batched_tokens", detail));
        }
        if !(self.memory_share > 0.0 && self.memory_share <= 1.0) {
            let detail = format!("`{}` is not a share above 0, up to 1", self.memory_share);
            return Err(invalid("cluster.memory_share", detail));
        }
        if !(0.0..1.0).contains(&self.watermark) {
            return Err(invalid("cluster.watermark", format!("`{}` is not a share from 0 to below 1", self.watermark)));
        }
        Ok(())
    }

    fn tier(&self) -> Result<Option<TierConfig>, ScenarioError> {
        match (self.host, self.pool) {
            (Some(_), Some(_)) => Err(invalid("cluster.pool", "there is host memory for each instance, or a pool")),
            (Some(host), None) => host.config(self, false).map(Some),
            (None, pool) => pool.map(|pool| pool.config(self, true)).transpose(),
        }
    }

    fn eviction_config(&self) -> Result<EvictionConfig, ScenarioError> {
        let Some(&def) = evictions().iter().find(|def| def.name == self.eviction) else {
            let nearest = nearest_name(&self.eviction, evictions().iter().map(|def| def.name));
            let hint = nearest.map_or(String::new(), |name| format!(", did you mean `{name}`?"));
            let detail = format!("unknown policy `{}`{hint}; `trimtab list evictions` shows all", self.eviction);
            return Err(invalid("cluster.eviction", detail));
        };
        let config = EvictionConfig { def, params: self.eviction_params.clone() };
        config.check().map_err(|error| invalid("cluster.eviction_params", error.to_string()))?;
        Ok(config)
    }

    /// KV blocks of an instance: as told, or as model and hardware leave room for.
    pub fn kv_blocks(&self) -> Result<u64, ScenarioError> {
        self.check()?;
        match self.kv_tokens {
            Some(tokens) if tokens >= u64::from(self.block_tokens) => Ok(tokens / u64::from(self.block_tokens)),
            Some(tokens) => {
                let detail = format!("{tokens} tokens do not hold one block of {} tokens", self.block_tokens);
                Err(invalid("cluster.kv_tokens", detail))
            }
            None => Ok(self
                .deployment()?
                .kv_blocks(self.block_tokens, self.max_batched_tokens, self.memory_share)
                .map_err(CatalogError::from)?),
        }
    }

    pub(crate) fn instance(&self) -> Result<InstanceConfig, ScenarioError> {
        let kv_blocks = self.kv_blocks()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count of blocks")]
        let watermark_blocks = libm::ceil(kv_blocks as f64 * self.watermark) as u64;
        Ok(InstanceConfig {
            cost: self.step_cost(kv_blocks)?,
            kv_blocks,
            block_tokens: self.block_tokens,
            max_batched_tokens: self.max_batched_tokens,
            max_seqs: self.max_seqs,
            mixing: self.mixing,
            order: match self.order {
                Order::Fcfs => trimtab_engine::Order::Fcfs,
                Order::LongestPrefix => trimtab_engine::Order::LongestPrefix,
                // The released code's figures.
                Order::Preble => trimtab_engine::Order::Preble { groups: 10, per_visit: 10 },
            },
            watermark_blocks,
            cache: self.cache,
            eviction: self.eviction_config()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::PS_PER_US;

    use super::*;

    /// What a group inherits is fitted to its own card.
    #[test]
    fn profiles_are_those_of_the_cards_of_the_groups() {
        let cost = serde_json::json!({ "kind": "analytic", "profile": "fitted" });
        let of = |hardware: &str, group: serde_json::Value| {
            let mut scenario = Scenario::default();
            scenario.cluster.hardware = hardware.into();
            scenario.cluster.cost = serde_json::from_value(cost.clone()).expect("a cost");
            scenario.cluster.group = serde_json::from_value(group).expect("groups");
            scenario.resolved().expect("it is right").cluster
        };
        let group = serde_json::json!([{ "instances": 1, "hardware": "a100" }, { "instances": 1 }]);
        let (mixed, alone) = (of("h100", group), of("a100", serde_json::json!([])));
        assert_ne!(mixed.cost, alone.cost, "the cards differ");
        assert_eq!([&mixed.group[0].cost, &mixed.group[1].cost], [&Some(alone.cost), &None]);
    }

    #[test]
    fn links_carry_the_kv_of_the_model() {
        // Mooncake's figures: 320 KB a token over 87 GB/s.
        let transfer =
            Transfer { bandwidth_gb_s: 87.0, latency_us: 5.0, overlapped: false, kv_bytes_per_token: Some(320e3) };
        let mut scenario = Scenario { transfer: Some(transfer), ..Scenario::default() };
        let link = |scenario: &Scenario| {
            scenario.cluster_config(Stepping::Macro, false).map(|c| c.transfer.expect("links").links[0])
        };
        let expected = Link { ps_per_token: 3_678_161, latency: SimTime(5 * PS_PER_US) };
        assert_eq!(link(&scenario).expect("a link"), expected);
        // Qwen2.5 7B: 28 layers of 4 KV heads of 128, keys and values of 2 bytes.
        scenario.transfer = Some(Transfer { kv_bytes_per_token: None, bandwidth_gb_s: 57.344, ..transfer });
        assert_eq!(link(&scenario).expect("a link").ps_per_token, PS_PER_US);
        scenario.transfer = Some(Transfer { bandwidth_gb_s: 0.0, ..transfer });
        assert!(link(&scenario).is_err());
    }
}
