//! What routers learn of their engines, when, and how much of it is lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_engine::cost::PredictionError;
use trimtab_engine::{Lag, PrefixSignal, SignalsConfig};

use crate::build::{ScenarioError, invalid, span};

/// What the router can see, and how old it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signals {
    /// How it learns what is cached where.
    pub prefix: Prefix,
    /// How late reports of cache changes are, with `prefix = "events"`.
    pub delay_ms: f64,
    /// How many tokens sent to an instance are remembered, with `prefix = "shadow"`; all when absent.
    pub capacity_tokens: Option<u64>,
    /// How long what was sent is remembered, with `prefix = "shadow"`; for ever when absent.
    pub ttl_ms: Option<f64>,
    /// Whether engines report snapshots.
    pub snapshots: bool,
    /// Time between two reports; 0: always fresh.
    pub refresh_ms: f64,
    /// How these reports travel, with a `refresh_ms` above 0.
    #[serde(skip_serializing_if = "Travel::is_default")]
    pub load: Travel,
    /// When reports of cache changes are sent and which are lost, with `prefix = "events"`; they take `delay_ms`.
    #[serde(skip_serializing_if = "Events::is_default")]
    pub events: Events,
    /// How first tokens and ends get to the router's books and to the scheduler.
    #[serde(skip_serializing_if = "Feedback::is_default")]
    pub feedback: Feedback,
    /// Whether there is a latency predictor.
    pub latency: bool,
    /// How wrong it is: mean of predicted over true time, standard deviation of its logarithm.
    pub prediction: PredictionError,
    /// Whether the router sees the requests that wait at an instance.
    pub queues: bool,
    /// Whether policies may see what no router can.
    pub oracle: bool,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            delay_ms: 0.0,
            capacity_tokens: None,
            ttl_ms: None,
            snapshots: true,
            refresh_ms: 0.0,
            load: Travel::default(),
            events: Events::default(),
            feedback: Feedback::default(),
            latency: true,
            prediction: PredictionError::default(),
            queues: true,
            oracle: true,
        }
    }
}

/// How reports travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Travel {
    /// How long.
    pub delay_ms: f64,
    /// Up to this much longer, drawn for each report.
    pub jitter_ms: f64,
    /// The share of them that is lost.
    pub loss: f64,
}

/// When reports of cache changes are sent and which are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Time between two reports; 0: all changes of an instant are reported at once.
    pub refresh_ms: f64,
    /// Up to this much longer than `delay_ms`, drawn for each report; they arrive in the order of sending.
    pub jitter_ms: f64,
    /// The share of them that is lost: the router goes on believing what it believed of those blocks.
    pub loss: f64,
}

/// How first tokens and ends get to the router's books and to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Feedback {
    /// Time between two reports; 0: each first token and each end is reported at once.
    pub refresh_ms: f64,
    /// How long reports travel.
    pub delay_ms: f64,
    /// Up to this much longer, drawn for each report.
    pub jitter_ms: f64,
    /// The share of them that is lost. Of a lost first token the router learns with the end.
    pub loss: f64,
    /// How long after its time a lost end is taken for granted.
    pub timeout_ms: f64,
}

impl Default for Feedback {
    fn default() -> Self {
        Self { refresh_ms: 0.0, delay_ms: 0.0, jitter_ms: 0.0, loss: 0.0, timeout_ms: 60_000.0 }
    }
}

impl Travel {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Events {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Feedback {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the router learns what is cached where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// It knows the true caches.
    #[default]
    Oracle,
    /// Engines report changes, `delay_ms` late.
    Events,
    /// From its own history of where it sent what.
    Shadow,
    /// Not at all.
    Off,
}

impl Signals {
    pub(crate) fn config(&self) -> Result<SignalsConfig, ScenarioError> {
        let time = |field, ms: f64| span(field, ms, "ms", 1e3);
        let (events, shadow) = (self.prefix == Prefix::Events, self.prefix == Prefix::Shadow);
        // A setting without effect would mislead.
        for (field, set, of) in [
            ("signals.delay_ms", self.delay_ms != 0.0 && !events, "prefix = \"events\""),
            ("signals.events", !self.events.is_default() && !events, "prefix = \"events\""),
            ("signals.capacity_tokens", self.capacity_tokens.is_some() && !shadow, "prefix = \"shadow\""),
            ("signals.ttl_ms", self.ttl_ms.is_some() && !shadow, "prefix = \"shadow\""),
            ("signals.load", !self.load.is_default() && self.refresh_ms == 0.0, "refresh_ms above 0"),
        ] {
            if set {
                return Err(invalid(field, format!("has an effect with `signals.{of}` only")));
            }
        }
        let lag = |field, [every, delay, jitter]: [f64; 3], loss: f64| {
            if !(0.0..=1.0).contains(&loss) {
                return Err(invalid(field, format!("loses `{loss}` of the reports, which is not a share from 0 to 1")));
            }
            Ok(Lag { every: time(field, every)?, delay: time(field, delay)?, jitter: time(field, jitter)?, loss })
        };
        let Self { load, events, feedback, .. } = *self;
        let delay_ms = time("signals.delay_ms", self.delay_ms).map(|_| self.delay_ms)?;
        let of_events = lag("signals.events", [events.refresh_ms, delay_ms, events.jitter_ms], events.loss)?;
        let prefix = match self.prefix {
            Prefix::Oracle => PrefixSignal::Oracle,
            // Reports that take no time and all arrive tell the truth.
            Prefix::Events if of_events.is_none() => PrefixSignal::Oracle,
            Prefix::Events => PrefixSignal::Events { lag: of_events },
            Prefix::Shadow => PrefixSignal::Shadow {
                capacity_tokens: self.capacity_tokens,
                ttl: self.ttl_ms.map(|ms| time("signals.ttl_ms", ms)).transpose()?,
            },
            Prefix::Off => PrefixSignal::Off,
        };
        let Self { snapshots, latency, prediction, queues, oracle, .. } = *self;
        let refresh_ms = time("signals.refresh_ms", self.refresh_ms).map(|_| self.refresh_ms)?;
        if !prediction.is_sound() {
            return Err(invalid("signals.prediction", "needs a bias above 0, up to 1000, and a sigma from 0 to 5"));
        }
        Ok(SignalsConfig {
            prefix,
            snapshots,
            load: lag("signals.load", [refresh_ms, load.delay_ms, load.jitter_ms], load.loss)?,
            feedback: lag(
                "signals.feedback",
                [feedback.refresh_ms, feedback.delay_ms, feedback.jitter_ms],
                feedback.loss,
            )?,
            feedback_timeout: time("signals.feedback.timeout_ms", feedback.timeout_ms)?,
            latency,
            prediction,
            queues,
            oracle,
        })
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{PS_PER_US, SimTime};
    use trimtab_sched::Registry;

    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn signals_are_resolved_or_refused() {
        let off = Signals { prefix: Prefix::Off, ..Signals::default() };
        let events = Signals { prefix: Prefix::Events, delay_ms: 1.5, refresh_ms: 100.0, ..Signals::default() };
        let stray = Signals { delay_ms: 1.0, ..Signals::default() };
        for (kind, signals, refusal) in [
            ("round-robin", off, None),
            ("min-ttft", events, None),
            ("min-ttft", off, Some("scheduler `min-ttft` reads signals that are off: prefix")),
            ("round-robin", stray, Some("signals.delay_ms: has an effect with `signals.prefix = \"events\"` only")),
            (
                "round-robin",
                Signals { refresh_ms: -1.0, ..off },
                Some("signals.refresh_ms: `-1` ms is not a span of time"),
            ),
            (
                "round-robin",
                Signals { load: Travel { loss: 0.1, ..Travel::default() }, ..off },
                Some("signals.load: has an effect with `signals.refresh_ms above 0` only"),
            ),
            (
                "round-robin",
                Signals { events: Events { loss: 1.5, ..Events::default() }, ..events },
                Some("signals.events: loses `1.5` of the reports, which is not a share from 0 to 1"),
            ),
            (
                "round-robin",
                Signals { feedback: Feedback { delay_ms: -1.0, ..Feedback::default() }, ..off },
                Some("signals.feedback: `-1` ms is not a span of time"),
            ),
            (
                "min-ttft",
                Signals {
                    prediction: PredictionError { bias: 0.0, ..PredictionError::default() },
                    ..Signals::default()
                },
                Some("signals.prediction: needs a bias above 0, up to 1000, and a sigma from 0 to 5"),
            ),
        ] {
            let mut scenario = Scenario { signals, ..Scenario::default() };
            scenario.scheduler.kind = kind.into();
            let refused = scenario.scheduler_def(&Registry::default()).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), refusal, "{kind} {signals:?}");
        }
        let config = events.config().expect("the signals are right");
        assert_eq!(config.prefix, PrefixSignal::Events { lag: Lag::of(SimTime(1500 * PS_PER_US)) });
        assert_eq!(config.load, Lag::each(SimTime(100_000 * PS_PER_US)));
    }
}
