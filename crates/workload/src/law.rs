//! Distributions, drawn through `libm` so that the bytes are the same on every platform.

use serde::{Deserialize, Serialize};
use trimtab_core::{StreamRng, exponential, normal, uniform01};

/// A distribution of lengths (tokens) or times (seconds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// Always this.
    Constant(f64),
    /// Uniform between two values.
    Uniform(f64, f64),
    /// Normal, by mean and standard deviation.
    Normal(f64, f64),
    /// Log-normal, by median and standard deviation of the logarithm.
    Lognormal(f64, f64),
    /// One of several, by weight.
    Mix(Vec<(f64, Law)>),
}

impl Law {
    /// Draws a value.
    pub fn draw(&self, rng: &mut StreamRng) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(low, high) => low + (high - low) * uniform01(rng),
            Self::Normal(mean, deviation) => mean + deviation * normal(rng),
            Self::Lognormal(median, sigma) => median * libm::exp(sigma * normal(rng)),
            Self::Mix(parts) => {
                let mut left = uniform01(rng) * parts.iter().map(|(weight, _)| weight).sum::<f64>();
                let part = parts.iter().find(|(weight, _)| {
                    left -= weight;
                    left < 0.0
                });
                part.or(parts.last()).map_or(0.0, |(_, law)| law.draw(rng))
            }
        }
    }

    /// The value below which a draw falls with probability `u`, for a mixture whose parts lie one after the other.
    pub(crate) fn quantile(&self, u: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(low, high) => low + (high - low) * u,
            Self::Normal(mean, deviation) => mean + deviation * normal_quantile(u),
            Self::Lognormal(median, sigma) => median * libm::exp(sigma * normal_quantile(u)),
            Self::Mix(parts) => {
                let mut left = u * parts.iter().map(|(weight, _)| weight).sum::<f64>();
                for (weight, law) in parts {
                    if left < *weight {
                        return law.quantile(left / weight);
                    }
                    left -= weight;
                }
                parts.last().map_or(0.0, |(_, law)| law.quantile(0.5))
            }
        }
    }

    /// Draws a number of tokens between two bounds.
    pub fn tokens(&self, rng: &mut StreamRng, low: u32, high: u32) -> u32 {
        whole(self.draw(rng)).clamp(low, high)
    }

    /// Whether every number in it makes sense.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Constant(value) => value.is_finite() && *value >= 0.0,
            Self::Uniform(low, high) => low.is_finite() && high.is_finite() && 0.0 <= *low && low <= high,
            Self::Normal(mean, deviation) => mean.is_finite() && deviation.is_finite() && *deviation >= 0.0,
            Self::Lognormal(median, sigma) => *median > 0.0 && median.is_finite() && (0.0..10.0).contains(sigma),
            Self::Mix(parts) => {
                let weights: f64 = parts.iter().map(|(weight, _)| weight).sum();
                weights > 0.0
                    && weights.is_finite()
                    && parts.iter().all(|(weight, law)| *weight >= 0.0 && law.is_sound())
            }
        }
    }
}

/// The whole part, within the range of `u32`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, which is wanted")]
pub(crate) fn whole(value: f64) -> u32 {
    value as u32
}

/// The standard normal quantile, by Newton's method on the error function.
fn normal_quantile(u: f64) -> f64 {
    let u = u.clamp(1e-15, 1.0 - 1e-15);
    // A logistic curve is close enough to start from; the steps are bounded since tails are flat.
    let mut x = libm::log(u / (1.0 - u)) / 1.702;
    for _ in 0..40 {
        let below = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let density = libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * std::f64::consts::PI);
        let step = ((below - u) / density).clamp(-0.5, 0.5);
        x -= step;
        if step.abs() < 1e-12 {
            break;
        }
    }
    x
}

/// Points that fill the unit square evenly, in an order without pattern (the additive recurrence of Roberts, on the
/// plastic number), from a random start. Heavy-tailed laws drawn this way vary far less from seed to seed.
#[derive(Clone, Debug)]
pub(crate) struct EvenPairs {
    x: f64,
    y: f64,
}

impl EvenPairs {
    pub(crate) fn new(rng: &mut StreamRng) -> Self {
        Self { x: uniform01(rng), y: uniform01(rng) }
    }

    pub(crate) fn draw(&mut self) -> (f64, f64) {
        // 1/p and 1/p^2, where p^3 = p + 1.
        self.x = (self.x + 0.754_877_666_246_692_7) % 1.0;
        self.y = (self.y + 0.569_840_290_998_053_2) % 1.0;
        (self.x, self.y)
    }
}

/// Gamma with this shape and mean 1 (Marsaglia and Tsang 2000).
pub(crate) fn gamma(rng: &mut StreamRng, shape: f64) -> f64 {
    gamma_scale_1(rng, shape) / shape
}

fn gamma_scale_1(rng: &mut StreamRng, shape: f64) -> f64 {
    if shape < 1.0 {
        // Of the next shape up, times a power of a uniform.
        let boost = libm::pow(1.0 - uniform01(rng), 1.0 / shape);
        return gamma_scale_1(rng, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = normal(rng);
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = 1.0 - uniform01(rng);
        if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

/// Beta.
pub(crate) fn beta(rng: &mut StreamRng, a: f64, b: f64) -> f64 {
    let (x, y) = (gamma_scale_1(rng, a), gamma_scale_1(rng, b));
    if x + y > 0.0 { x / (x + y) } else { 0.5 }
}

/// Weibull with this shape and mean 1.
pub(crate) fn weibull(rng: &mut StreamRng, shape: f64) -> f64 {
    libm::pow(exponential(rng), 1.0 / shape) / libm::tgamma(1.0 + 1.0 / shape)
}

/// The shape of a Weibull law with this coefficient of variation, by bisection.
pub(crate) fn weibull_shape(cv: f64) -> f64 {
    let cv_of = |shape: f64| {
        let (one, two) = (libm::lgamma(1.0 + 1.0 / shape), libm::lgamma(1.0 + 2.0 / shape));
        libm::sqrt((libm::exp(two - 2.0 * one) - 1.0).max(0.0))
    };
    let (mut low, mut high) = (0.05, 200.0);
    for _ in 0..100 {
        let middle = libm::sqrt(low * high);
        if cv_of(middle) > cv { low = middle } else { high = middle }
    }
    high
}

/// The unbounded zeta law: P(k) proportional to k^-a, a > 1 (Devroye 1986, X.6.1, which numpy uses too). Values beyond
/// 2^53 are redrawn.
pub(crate) fn zeta(rng: &mut StreamRng, a: f64) -> f64 {
    let b = libm::pow(2.0, a - 1.0);
    loop {
        let u = 1.0 - uniform01(rng);
        let v = uniform01(rng);
        let x = libm::floor(libm::pow(u, -1.0 / (a - 1.0)));
        if !(1.0..9e15).contains(&x) {
            continue;
        }
        let t = libm::pow(1.0 + 1.0 / x, a - 1.0);
        if v * x * (t - 1.0) / (b - 1.0) <= t / b {
            return x;
        }
    }
}

/// A choice among ranks, rank r (from 1) with weight r^-s. The law that papers call Zipf with a bounded support.
#[derive(Clone, Debug)]
pub(crate) struct Ranks {
    cumulative: Vec<f64>,
}

impl Ranks {
    pub(crate) fn zipf(count: u32, s: f64) -> Self {
        Self::weighted((1..=count).map(|rank| libm::pow(f64::from(rank), -s)))
    }

    pub(crate) fn weighted(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    /// An index, from 0.
    pub(crate) fn draw(&self, rng: &mut StreamRng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let at = uniform01(rng) * total;
        self.cumulative.partition_point(|&upto| upto <= at).min(self.cumulative.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::RngStreams;

    fn moments(name: &str, mut draw: impl FnMut(&mut StreamRng) -> f64) -> (f64, f64) {
        let mut rng = RngStreams::new(11).stream(name);
        let values: Vec<f64> = (0..200_000).map(|_| draw(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / 200_000.0;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 200_000.0;
        (mean, variance)
    }

    type Draw = Box<dyn FnMut(&mut StreamRng) -> f64>;

    #[test]
    fn laws_have_the_moments_that_they_should() {
        let lognormal = Law::Lognormal(100.0, 0.5);
        let mix = Law::Mix(vec![(3.0, Law::Constant(1.0)), (1.0, Law::Uniform(4.0, 6.0))]);
        let cases: Vec<(&str, Draw, f64, f64)> = vec![
            ("gamma 0.1", Box::new(|rng| gamma(rng, 0.1)), 1.0, 10.0),
            ("gamma 4", Box::new(|rng| gamma(rng, 4.0)), 1.0, 0.25),
            ("beta", Box::new(|rng| beta(rng, 0.6, 1.22)), 0.3297, 0.0784),
            ("weibull", Box::new(|rng| weibull(rng, weibull_shape(2.0))), 1.0, 4.0),
            ("lognormal", Box::new(move |rng| lognormal.draw(rng)), 113.3, 3646.0),
            ("mix", Box::new(move |rng| mix.draw(rng)), 2.0, 3.083),
            ("ranks", Box::new(|rng| Ranks::zipf(3, 1.0).draw(rng) as f64), 7.0 / 11.0, 0.595),
        ];
        for (name, draw, mean, variance) in cases {
            let (m, v) = moments(name, draw);
            assert!((m - mean).abs() < 0.02 * mean && (v - variance).abs() < 0.06 * variance, "{name}: {m} {v}");
        }
    }

    #[test]
    fn quantiles_invert_draws() {
        for (u, expected) in
            [(0.5, 0.0), (0.975, 1.959_963_984_540_054), (1e-9, -5.997_807_015_007_7), (0.1, -1.281_551_565_544_6)]
        {
            assert!((normal_quantile(u) - expected).abs() < 1e-9, "{u}: {}", normal_quantile(u));
        }
        let law = Law::Mix(vec![(3.0, Law::Constant(1.0)), (1.0, Law::Uniform(4.0, 6.0))]);
        let mut pairs = EvenPairs::new(&mut RngStreams::new(1).stream("pairs"));
        let mean = (0..1000).map(|_| law.quantile(pairs.draw().0)).sum::<f64>() / 1000.0;
        assert!((mean - 2.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn zeta_probabilities() {
        // P(1) = 1/zeta(2), P(2) = P(1)/4.
        let (one, _) = moments("zeta", |rng| f64::from(u8::from(zeta(rng, 2.0) < 1.5)));
        let (two, _) = moments("zeta", |rng| f64::from(u8::from((1.5..2.5).contains(&zeta(rng, 2.0)))));
        assert!((one - 0.6079).abs() < 0.005 && (two - 0.152).abs() < 0.004, "{one} {two}");
    }
}
