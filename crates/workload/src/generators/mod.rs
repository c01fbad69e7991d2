//! The workload generators. Adding one is a file here and a line in [`GENERATORS`].

mod adversarial;
mod agentic;
mod conversation;
mod grouped;
mod gsp;
mod mixture;
mod multi_turn;
mod no_sharing;
mod preble;
mod registry;
mod toolagent;
mod zipf;

use trimtab_core::{PrefixForest, PrefixId, RngStreams, SimTime, Workload};

use crate::arrivals::{ArrivalSpec, Arrivals};
use crate::law::Ranks;
use crate::sessions::{Loop, SessionWorkload, Source, Starts, Stream};
pub use registry::{ParamDoc, WorkloadDef};
use registry::{docs, docs_of, require_arrivals, require_law, require_rate};
use trimtab_core::params::{ParamError, require, typed, typed_over};

/// All generators, in the order in which they are listed.
static GENERATORS: &[&WorkloadDef] = &[
    &conversation::DEF,
    &toolagent::DEF,
    &zipf::DEF,
    &gsp::DEF,
    &preble::TOOLBENCH,
    &preble::LOOGLE,
    &preble::VIDEOQA,
    &multi_turn::DEF,
    &agentic::DEF,
    &no_sharing::DEF,
    &adversarial::DEF,
    &mixture::DEF,
];

/// All generators.
pub fn generators() -> &'static [&'static WorkloadDef] {
    GENERATORS
}

/// The generator of this name.
pub fn generator_by_name(name: &str) -> Result<&'static WorkloadDef, ParamError> {
    let known = || GENERATORS.iter().map(|def| def.name);
    GENERATORS.iter().copied().find(|def| def.name == name).ok_or_else(|| {
        ParamError(match trimtab_core::nearest_name(name, known()) {
            Some(near) => format!("unknown workload `{name}`, did you mean `{near}`?"),
            None => format!("unknown workload `{name}`\nhint: one of {}", known().collect::<Vec<_>>().join(", ")),
        })
    })
}

/// What all generators need besides their own parameters.
#[derive(Clone, Debug)]
pub struct GenOptions {
    /// Of all random streams.
    pub seed: u64,
    /// Stop after so many requests; a generator without an end of its own goes on for 200 days.
    pub requests: Option<u64>,
    /// Stop at this time.
    pub until: SimTime,
    /// Requests per second, instead of the generator's own.
    pub rate: Option<f64>,
    /// Open or closed loop.
    pub mode: Loop,
    /// Tenants and the exponent of their skew: tenant r has weight r^-skew. One tenant if absent.
    pub tenants: Option<(u16, f64)>,
}

impl Default for GenOptions {
    fn default() -> Self {
        Self { seed: 1, requests: None, until: SimTime::MAX, rate: None, mode: Loop::Open, tenants: None }
    }
}

impl WorkloadDef {
    /// The workload with these parameters (a JSON object, or null for the defaults).
    pub fn generate(
        &self,
        params: &serde_json::Value,
        options: &GenOptions,
    ) -> Result<Box<dyn Workload + Send>, ParamError> {
        if let Some(rate) = options.rate {
            require_rate(rate)?;
        }
        if let Some((count, skew)) = options.tenants {
            require(count > 0 && (0.0..=10.0).contains(&skew), "tenants", "at least 1, with a skew of 0 to 10")?;
        }
        let streams = RngStreams::new(options.seed);
        let mut setup = Setup { forest: PrefixForest::new(), streams, rate: options.rate, scope: String::new() };
        let built = (self.build)(params, &mut setup)?;
        let tenants = options.tenants.map(|(count, skew)| (Ranks::zipf(count.into(), skew), streams));
        Ok(Box::new(SessionWorkload::new(
            setup.forest,
            built.streams,
            options.mode,
            built.tick,
            options.requests,
            options.until,
            tenants,
        )))
    }
}

/// What a generator is built with.
pub(crate) struct Setup {
    pub(crate) forest: PrefixForest,
    streams: RngStreams,
    /// Requests per second, if not the generator's own.
    pub(crate) rate: Option<f64>,
    /// Tells the random streams of one component of a mixture from those of another.
    pub(crate) scope: String,
}

/// What a generator consists of.
pub(crate) struct Built {
    pub(crate) streams: Vec<Stream>,
    /// Arrival times are rounded down to multiples of this.
    pub(crate) tick: SimTime,
}

impl Setup {
    /// The random stream of this name.
    pub(crate) fn rng(&self, name: &str) -> trimtab_core::StreamRng {
        self.streams.stream(&format!("{}{name}", self.scope))
    }

    /// A prefix of its own.
    pub(crate) fn prefix(&mut self, tokens: u32) -> PrefixId {
        self.forest.add(None, tokens).expect("a few prefixes of at least one token")
    }

    /// Sessions that arrive at `rate` per second. Streams with the same `modulation` burst together.
    pub(crate) fn stream(
        &self,
        source: impl Source + 'static,
        spec: &ArrivalSpec,
        rate: f64,
        name: &str,
        modulation: &str,
    ) -> Stream {
        let scope = &self.scope;
        let arrivals =
            Arrivals::new(spec, rate, self.streams, &format!("{scope}{name}"), &format!("{scope}{modulation}"));
        Stream { source: Box::new(source), starts: Starts::Drawn(Box::new(arrivals)) }
    }
}

impl Built {
    /// One stream with a clock that is not rounded.
    pub(crate) fn one(stream: Stream) -> Self {
        Self { streams: vec![stream], tick: SimTime::ZERO }
    }
}

/// Seconds to time; what no clock can hold becomes a time after the end.
pub(crate) fn seconds(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds.max(0.0)).unwrap_or(SimTime::LATEST_ARRIVAL)
}
