//! Arrival processes: when sessions start.
//!
//! A process of unit rate runs on a clock of its own, whose speed is the rate, times the modulators. So any law of gaps
//! combines with any modulation, and classes that share a modulator burst together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, RngStreams, SimTime, StreamRng, exponential, normal};

use crate::law::{gamma, weibull, weibull_shape};

/// How sessions arrive, apart from their rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArrivalSpec {
    /// The law of the gaps.
    pub process: Process,
    /// Coefficient of variation of the gaps, for `gamma` and `weibull`.
    pub cv: Option<f64>,
    /// A slow random drift of the rate.
    pub drift: Option<Drift>,
    /// A daily wave.
    pub diurnal: Option<Diurnal>,
    /// Bursts at random times.
    pub bursts: Option<Bursts>,
    /// Random switching between rates (MMPP, when the gaps are Poisson).
    pub states: Option<States>,
}

/// The law of the gaps between arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Exponential gaps.
    #[default]
    Poisson,
    /// Gamma gaps.
    Gamma,
    /// Weibull gaps.
    Weibull,
    /// Equal gaps.
    Constant,
}

/// The rate times exp of an autoregressive process, mean 1, in steps of 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Standard deviation of the logarithm of the rate.
    pub cv: f64,
    /// Time constant.
    pub tau_s: f64,
}

/// The rate times 1 + amplitude * sine, in 96 steps a period.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diurnal {
    /// Below 1.
    pub amplitude: f64,
    /// A day, unless the experiment is shorter.
    pub period_s: f64,
}

/// Every so often the rate is multiplied for a while; the mean rate stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Mean time from the end of one to the start of the next (exponential).
    pub every_s: f64,
    /// How long each lasts.
    pub length_s: f64,
    /// Rate within, relative to outside.
    pub factor: f64,
}

/// States with relative rates; exponential stays, then any other state. The mean rate stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// Relative rates.
    pub rates: Vec<f64>,
    /// Mean stay.
    pub stay_s: f64,
}

impl ArrivalSpec {
    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let cv_fits = match self.process {
            Process::Gamma | Process::Weibull => self.cv.is_some_and(|cv| (0.01..=100.0).contains(&cv)),
            Process::Poisson | Process::Constant => self.cv.is_none(),
        };
        if !cv_fits {
            return Some("`cv` goes with `gamma` and `weibull`, between 0.01 and 100");
        }
        if self.drift.is_some_and(|d| !(0.0..=3.0).contains(&d.cv) || !positive(d.tau_s)) {
            return Some("a drift has a cv up to 3 and a positive tau_s");
        }
        if self.diurnal.is_some_and(|d| !(0.0..1.0).contains(&d.amplitude) || d.period_s.is_nan() || d.period_s < 1.0) {
            return Some("a diurnal wave has an amplitude below 1 and a period_s of at least 1");
        }
        let stay = |seconds: f64| (SHORTEST_STAY_S..=LONGEST_STAY_S).contains(&seconds);
        let bursts_fit = |b: Bursts| stay(b.every_s) && stay(b.length_s) && b.factor > 0.0 && b.factor <= 1e6;
        if self.bursts.is_some_and(|bursts| !bursts_fit(bursts)) {
            return Some("bursts have an every_s and a length_s from 0.01 to 1e9, and a positive factor up to 1e6");
        }
        let states_fit = self.states.as_ref().is_none_or(|s| {
            stay(s.stay_s) && s.rates.len() > 1 && s.rates.iter().all(|&r| r >= 0.0) && positive(s.rates.iter().sum())
        });
        if states_fit {
            None
        } else {
            Some("states have a stay_s from 0.01 to 1e9 and at least two rates, not all zero")
        }
    }
}

/// Draws arrival times one after the other.
pub(crate) struct Arrivals {
    rng: StreamRng,
    gaps: Gaps,
    rate: f64,
    modulators: Vec<Modulator>,
    now: u64,
    piece_end: u64,
    piece_rate: f64,
}

enum Gaps {
    Poisson,
    Gamma(f64),
    Weibull(f64),
    Constant,
}

/// A factor that is constant for a while.
struct Modulator {
    rng: StreamRng,
    kind: Kind,
    end: u64,
    factor: f64,
}

enum Kind {
    Drift { spec: Drift, x: f64 },
    Diurnal { spec: Diurnal, step: u32 },
    Bursts { spec: Bursts, inside: bool },
    States { spec: States, state: usize },
}

/// Looking for an arrival walks from change to change of the rate: with shorter stays, and requests that come seldom, for
/// hours.
const SHORTEST_STAY_S: f64 = 0.01;
/// Longer than any workload.
const LONGEST_STAY_S: f64 = 1e9;
/// One in each picosecond. With more the next arrival is always now, and whoever looks for a later one never finds it.
pub(crate) const FASTEST: f64 = PS_PER_S as f64;
/// Grid of the drift.
const DRIFT_STEP_S: f64 = 10.0;
/// Steps of a diurnal wave.
const WAVE_STEPS: u32 = 96;

impl Arrivals {
    /// `name` tells the gaps of one class from those of another; `modulation` is the name of the modulators' streams, and
    /// classes that share it burst together.
    pub(crate) fn new(spec: &ArrivalSpec, rate: f64, streams: RngStreams, name: &str, modulation: &str) -> Self {
        let cv = spec.cv.unwrap_or(1.0);
        let gaps = match spec.process {
            Process::Poisson => Gaps::Poisson,
            Process::Gamma => Gaps::Gamma(1.0 / (cv * cv)),
            Process::Weibull => Gaps::Weibull(weibull_shape(cv)),
            Process::Constant => Gaps::Constant,
        };
        let modulator = |kind: Kind, what: &str| {
            let mut rng = streams.stream(&format!("arrivals/{modulation}/{what}"));
            let kind = match kind {
                Kind::Drift { spec, .. } => Kind::Drift { spec, x: normal(&mut rng) },
                other => other,
            };
            Modulator { rng, kind, end: 0, factor: 1.0 }
        };
        let modulators = [
            spec.drift.map(|spec| modulator(Kind::Drift { spec, x: 0.0 }, "drift")),
            spec.diurnal.map(|spec| modulator(Kind::Diurnal { spec, step: 0 }, "diurnal")),
            spec.bursts.map(|spec| modulator(Kind::Bursts { spec, inside: true }, "bursts")),
            spec.states.clone().map(|spec| modulator(Kind::States { spec, state: 0 }, "states")),
        ];
        let modulators: Vec<Modulator> = modulators.into_iter().flatten().collect();
        let rng = streams.stream(&format!("arrivals/{name}"));
        let mut arrivals = Self { rng, gaps, rate, modulators, now: 0, piece_end: 0, piece_rate: rate };
        arrivals.next_piece();
        arrivals
    }

    /// The next arrival; `None` beyond the latest that is allowed.
    pub(crate) fn next(&mut self) -> Option<SimTime> {
        let mut work = match self.gaps {
            Gaps::Poisson => exponential(&mut self.rng),
            Gaps::Gamma(shape) => gamma(&mut self.rng, shape),
            Gaps::Weibull(shape) => weibull(&mut self.rng, shape),
            Gaps::Constant => 1.0,
        };
        while self.now <= SimTime::LATEST_ARRIVAL.0 {
            let left = (self.piece_end - self.now) as f64 / PS_PER_S as f64;
            let need = work / self.piece_rate;
            if need <= left {
                self.now += SimTime::from_secs_f64(need)?.0;
                return Some(SimTime(self.now)).filter(|&t| t <= SimTime::LATEST_ARRIVAL);
            }
            work -= left * self.piece_rate;
            self.now = self.piece_end;
            self.next_piece();
        }
        None
    }

    fn next_piece(&mut self) {
        self.piece_end = u64::MAX;
        self.piece_rate = self.rate;
        for modulator in &mut self.modulators {
            while modulator.end <= self.now {
                modulator.advance();
            }
            self.piece_end = self.piece_end.min(modulator.end);
            self.piece_rate *= modulator.factor;
        }
        self.piece_rate = self.piece_rate.min(FASTEST);
    }
}

impl Modulator {
    fn advance(&mut self) {
        let length_s = match &mut self.kind {
            Kind::Drift { spec, x } => {
                self.factor = libm::exp(spec.cv * *x - 0.5 * spec.cv * spec.cv);
                let a = libm::exp(-DRIFT_STEP_S / spec.tau_s);
                *x = a * *x + libm::sqrt(1.0 - a * a) * normal(&mut self.rng);
                DRIFT_STEP_S
            }
            Kind::Diurnal { spec, step } => {
                let phase = (f64::from(*step) + 0.5) / f64::from(WAVE_STEPS);
                self.factor = 1.0 + spec.amplitude * libm::sin(2.0 * std::f64::consts::PI * phase);
                *step = (*step + 1) % WAVE_STEPS;
                spec.period_s / f64::from(WAVE_STEPS)
            }
            Kind::Bursts { spec, inside } => {
                let base = (spec.every_s + spec.length_s) / (spec.every_s + spec.factor * spec.length_s);
                *inside = !*inside;
                self.factor = if *inside { base * spec.factor } else { base };
                if *inside { spec.length_s } else { spec.every_s * exponential(&mut self.rng) }
            }
            Kind::States { spec, state } => {
                let mean = spec.rates.iter().sum::<f64>() / spec.rates.len() as f64;
                let step =
                    1 + crate::law::whole(trimtab_core::uniform01(&mut self.rng) * (spec.rates.len() - 1) as f64);
                *state = (*state + step as usize) % spec.rates.len();
                self.factor = spec.rates[*state] / mean;
                spec.stay_s * exponential(&mut self.rng)
            }
        };
        let length = SimTime::from_secs_f64(length_s).unwrap_or(SimTime::LATEST_ARRIVAL).0.max(1);
        self.end = self.end.saturating_add(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(spec: &ArrivalSpec, n: usize) -> Vec<f64> {
        assert_eq!(spec.fault(), None);
        let mut arrivals = Arrivals::new(spec, 10.0, RngStreams::new(5), "test", "test");
        (0..n).map(|_| arrivals.next().expect("within 200 days").as_secs_f64()).collect()
    }

    fn cv(times: &[f64]) -> f64 {
        let gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / gaps.len() as f64;
        variance.sqrt() / mean
    }

    #[test]
    fn processes_have_their_rate_and_variation() {
        let spec = |process, cv| ArrivalSpec { process, cv, ..ArrivalSpec::default() };
        for (spec, expected_cv) in [
            (spec(Process::Poisson, None), 1.0),
            (spec(Process::Gamma, Some(3.5)), 3.5),
            (spec(Process::Weibull, Some(2.0)), 2.0),
            (spec(Process::Constant, None), 0.0),
        ] {
            let times = sample(&spec, 100_000);
            let rate = times.len() as f64 / times[times.len() - 1];
            assert!((rate - 10.0).abs() < 0.5, "{spec:?}: {rate}");
            assert!((cv(&times) - expected_cv).abs() < 0.05 * expected_cv + 1e-6, "{spec:?}: {}", cv(&times));
        }
    }

    #[test]
    fn modulation_keeps_the_mean_rate_and_moves_the_counts() {
        let base = ArrivalSpec::default();
        for spec in [
            ArrivalSpec { drift: Some(Drift { cv: 0.3, tau_s: 60.0 }), ..base.clone() },
            ArrivalSpec { diurnal: Some(Diurnal { amplitude: 0.8, period_s: 600.0 }), ..base.clone() },
            ArrivalSpec { bursts: Some(Bursts { every_s: 90.0, length_s: 10.0, factor: 8.0 }), ..base.clone() },
            ArrivalSpec { states: Some(States { rates: vec![0.0, 2.0], stay_s: 30.0 }), ..base.clone() },
        ] {
            let times = sample(&spec, 300_000);
            let rate = times.len() as f64 / times[times.len() - 1];
            assert!((rate - 10.0).abs() < 0.6, "{spec:?}: {rate}");
            let windows = crate::law::whole(times[times.len() - 1] / 10.0) as usize + 1;
            let mut counts = vec![0.0; windows];
            for t in &times {
                counts[crate::law::whole(t / 10.0) as usize] += 1.0;
            }
            let mean = counts.iter().sum::<f64>() / windows as f64;
            let variance = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / windows as f64;
            assert!(variance / mean > 3.0, "{spec:?}: dispersion {}", variance / mean);
        }
    }

    #[test]
    fn arrivals_get_on_at_any_rate_that_a_modulation_asks_for() {
        let bursts = Bursts { every_s: 1e9, length_s: 0.01, factor: 1e6 };
        let spec = ArrivalSpec { bursts: Some(bursts), ..ArrivalSpec::default() };
        assert_eq!(spec.fault(), None);
        let mut arrivals = Arrivals::new(&spec, FASTEST, RngStreams::new(5), "test", "test");
        arrivals.modulators[0].end = 1;
        arrivals.now = 1;
        arrivals.next_piece();
        let times: Vec<u64> = (0..1000).map(|_| arrivals.next().expect("within 200 days").0).collect();
        assert!(times[999] > 500, "a thousand within {} ps", times[999]);
        for (every_s, length_s, factor) in [(1e-12, 1.0, 2.0), (1.0, 1e-12, 2.0), (1e300, 1.0, 2.0), (1.0, 1.0, 1e300)]
        {
            let spec = ArrivalSpec { bursts: Some(Bursts { every_s, length_s, factor }), ..ArrivalSpec::default() };
            assert!(spec.fault().is_some(), "{spec:?}");
        }
        let spec =
            ArrivalSpec { states: Some(States { rates: vec![1.0, 2.0], stay_s: 1e-12 }), ..ArrivalSpec::default() };
        assert!(spec.fault().is_some(), "{spec:?}");
    }

    #[test]
    fn shared_modulators_burst_together() {
        let bursts = Some(Bursts { every_s: 90.0, length_s: 10.0, factor: 50.0 });
        let spec = ArrivalSpec { bursts, ..ArrivalSpec::default() };
        let counts = |name: &str, modulation: &str| {
            let mut arrivals = Arrivals::new(&spec, 10.0, RngStreams::new(5), name, modulation);
            let mut counts = vec![0.0; 3000];
            while let Some(time) = arrivals.next().map(|t| crate::law::whole(t.as_secs_f64() / 10.0) as usize) {
                match counts.get_mut(time) {
                    Some(count) => *count += 1.0,
                    None => break,
                }
            }
            counts
        };
        let correlation = |a: &[f64], b: &[f64]| {
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let (ma, mb) = (mean(a), mean(b));
            let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
            sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
        };
        let (a, b, c) = (counts("a", "shared"), counts("b", "shared"), counts("c", "own"));
        assert!(correlation(&a, &b) > 0.9 && correlation(&a, &c).abs() < 0.2);
    }
}
