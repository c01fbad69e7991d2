//! Named random streams: what one part of the program draws never moves what another part draws.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator of one stream.
pub type StreamRng = ChaCha8Rng;

/// All random streams of a run, derived from one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RngStreams {
    seed: u64,
    /// The hash of what comes before every name.
    scope: u64,
}

impl RngStreams {
    /// The streams of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, scope: FNV_BASIS }
    }

    /// The streams of one of several equal parts: `replica-2` has a stream `replica-2/scheduler`, and so on.
    #[must_use]
    pub fn within(&self, part: &str) -> Self {
        Self { scope: fnv1a(fnv1a(self.scope, part.as_bytes()), b"/"), ..*self }
    }

    /// The stream called `name`, from its start. Names are written down where they are used, for example `arrivals` or
    /// `eviction/instance-3`.
    pub fn stream(&self, name: &str) -> StreamRng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(fnv1a(self.scope, name.as_bytes()));
        rng
    }
}

/// Where the hash begins.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits, continued: fixed for ever, because stored results depend on it.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Uniform in [0, 1) with 53 bits.
pub fn uniform01(rng: &mut StreamRng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// Exponential with mean 1, by inversion; `libm` keeps the bytes equal on every platform.
pub fn exponential(rng: &mut StreamRng) -> f64 {
    -libm::log(1.0 - uniform01(rng))
}

/// Standard normal, by the polar method.
pub fn normal(rng: &mut StreamRng) -> f64 {
    loop {
        let (x, y) = (2.0 * uniform01(rng) - 1.0, 2.0 * uniform01(rng) - 1.0);
        let s = x * x + y * y;
        if s > 0.0 && s < 1.0 {
            return x * libm::sqrt(-2.0 * libm::log(s) / s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_and_apart() {
        let draw = |seed, name: &str| RngStreams::new(seed).stream(name).next_u64();
        // Golden: a change here changes every stored result.
        let all = [draw(1, "arrivals"), draw(1, "scheduler"), draw(2, "arrivals")];
        assert_eq!(all, GOLDEN);
        assert_ne!(draw(1, "arrivals"), draw(1, "lengths"));
        let within = RngStreams::new(1).within("replica-2").stream("scheduler").next_u64();
        assert_eq!(within, draw(1, "replica-2/scheduler"));
    }

    const GOLDEN: [u64; 3] = [11_735_146_581_543_561_455, 2_246_859_849_506_786_606, 10_887_627_834_380_557_969];

    #[test]
    fn moments() {
        let mut rng = RngStreams::new(7).stream("moments");
        let n = 200_000;
        let (mut u, mut e, mut z, mut z2) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            u += uniform01(&mut rng);
            e += exponential(&mut rng);
            let x = normal(&mut rng);
            z += x;
            z2 += x * x;
        }
        let n = f64::from(n);
        assert!((u / n - 0.5).abs() < 0.003, "{u}");
        assert!((e / n - 1.0).abs() < 0.01, "{e}");
        assert!((z / n).abs() < 0.01, "{z}");
        assert!((z2 / n - 1.0).abs() < 0.015, "{z2}");
    }
}
