//! A mean over seeds with its interval.

use libm::sqrt;

/// A value measured on one or more seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean over the seeds.
    pub mean: f64,
    /// The 95 % interval; none from a single seed.
    pub interval: Option<(f64, f64)>,
    /// How many seeds.
    pub n: usize,
}

impl Estimate {
    /// A value without spread.
    pub fn exact(value: f64) -> Self {
        Self { mean: value, interval: None, n: 1 }
    }

    /// The mean and its 95 % t interval; nothing for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        let interval = (n > 1).then(|| {
            let half = t_quantile_975(n - 1) * sqrt(squares / (n - 1) as f64 / n as f64);
            (mean - half, mean + half)
        });
        Some(Self { mean, interval, n })
    }

    /// The mean alone, of as many seeds.
    pub fn bare(self) -> Self {
        Self { interval: None, ..self }
    }

    /// The same in other units.
    pub fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        Self { mean: convert(self.mean), interval: self.interval.map(|(lo, hi)| (convert(lo), convert(hi))), n: self.n }
    }

    /// With the interval cut to what the quantity can be.
    pub fn within(self, least: f64, most: f64) -> Self {
        Self { interval: self.interval.map(|(lo, hi)| (lo.max(least), hi.min(most))), ..self }
    }

    /// The lowest and highest value that a figure has to show.
    pub fn extent(&self) -> (f64, f64) {
        self.interval.unwrap_or((self.mean, self.mean))
    }
}

/// The 97.5 % quantile of Student's t: tabulated to 10 degrees of freedom, beyond by the expansion in 1/df (Abramowitz
/// and Stegun 26.7.5), which is right to three decimals there.
fn t_quantile_975(df: usize) -> f64 {
    const TABLE: [f64; 10] =
        [12.706_2, 4.302_7, 3.182_4, 2.776_4, 2.570_6, 2.446_9, 2.364_6, 2.306_0, 2.262_2, 2.228_1];
    if let Some(t) = df.checked_sub(1).and_then(|at| TABLE.get(at)) {
        return *t;
    }
    let z: f64 = 1.959_964;
    let df = df as f64;
    let (z3, z5, z7) = (z * z * z, z * z * z * z * z, z * z * z * z * z * z * z);
    z + (z3 + z) / (4.0 * df)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * df * df)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * df * df * df)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed tables of Student's t.
    #[test]
    fn t_quantiles_match_the_tables() {
        for (df, expected) in [(1, 12.706), (4, 2.776), (9, 2.262), (11, 2.201), (20, 2.086), (30, 2.042), (120, 1.980)]
        {
            assert!((t_quantile_975(df) - expected).abs() < 6e-4, "{df}: {}", t_quantile_975(df));
        }
    }

    #[test]
    fn intervals_need_two_seeds() {
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[2.0]), Some(Estimate::exact(2.0)));
        let estimate = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        let (lo, hi) = estimate.interval.unwrap();
        // 2 +- 4.3027 / sqrt(3)
        assert!((lo + 0.4842).abs() < 1e-3 && (hi - 4.4842).abs() < 1e-3, "{lo} {hi}");
        assert_eq!(estimate.within(0.0, 4.0).interval, Some((0.0, 4.0)));
    }
}
