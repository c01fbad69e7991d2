//! The fit: bounded Levenberg-Marquardt on the logarithm of predicted over measured time, with a soft-L1 loss.
//!
//! Deterministic: samples are taken in the order given (callers sort them), and every sum runs in that order.

use trimtab_engine::cost::{Terms, Tuning};

/// Residuals beyond this (in log time, so about 10 %) count linearly instead of by their square.
const SOFT: f64 = 0.1;
/// Rounds of the optimiser; it stops earlier when nothing moves.
const ROUNDS: usize = 200;

/// A measured step as the fit sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The step's terms on an ideal machine.
    pub ideal: Terms,
    /// Measured time, in seconds.
    pub seconds: f64,
}

/// A fitted parameter.
pub(super) struct Param {
    /// Field of [`Tuning`].
    pub(super) name: &'static str,
    /// Whether it is a share of a peak (it divides a term) or an amount (it multiplies one).
    pub(super) efficiency: bool,
    /// Least value.
    pub(super) low: f64,
    /// Largest value.
    pub(super) high: f64,
    /// The field.
    pub(super) field: fn(&mut Tuning) -> &mut f64,
}

/// Number of parameters.
pub(super) const COUNT: usize = 14;

/// All parameters. Efficiencies may exceed 1 where cards boost above their rating.
pub(super) const PARAMS: [Param; COUNT] = [
    efficiency("weight_read", 0.30, 1.20, |t| &mut t.weight_read),
    efficiency("gemm", 0.15, 1.20, |t| &mut t.gemm),
    efficiency("overlap", 1.0, 8.0, |t| &mut t.overlap),
    efficiency("attention", 0.05, 1.20, |t| &mut t.attention),
    efficiency("kv_read", 0.20, 1.20, |t| &mut t.kv_read),
    efficiency("kv_read_mixed", 0.05, 1.20, |t| &mut t.kv_read_mixed),
    efficiency("kv_read_head", 0.05, 1.20, |t| &mut t.kv_read_head),
    efficiency("all_reduce", 0.05, 2.00, |t| &mut t.all_reduce),
    amount("all_reduce_us", 60.0, |t| &mut t.all_reduce_us),
    amount("activation_passes", 60.0, |t| &mut t.activation_passes),
    amount("prefill_scan_ns", 200.0, |t| &mut t.prefill_scan_ns),
    amount("layer_us", 200.0, |t| &mut t.layer_us),
    amount("seq_us", 200.0, |t| &mut t.seq_us),
    amount("step_us", 100_000.0, |t| &mut t.step_us),
];

const fn efficiency(name: &'static str, low: f64, high: f64, field: fn(&mut Tuning) -> &mut f64) -> Param {
    Param { name, efficiency: true, low, high, field }
}

const fn amount(name: &'static str, high: f64, field: fn(&mut Tuning) -> &mut f64) -> Param {
    Param { name, efficiency: false, low: 0.0, high, field }
}

/// Where a parameter stands among [`PARAMS`].
pub(super) fn place(name: &str) -> usize {
    PARAMS.iter().position(|param| param.name == name).expect("a name from the list above")
}

impl Param {
    /// The parameter's value.
    pub(super) fn get(&self, tuning: &Tuning) -> f64 {
        *(self.field)(&mut { *tuning })
    }

    /// Sets the parameter.
    pub(super) fn set(&self, tuning: &mut Tuning, value: f64) {
        *(self.field)(tuning) = value;
    }

    /// In fitting coordinates every term is linear: amounts as they are, efficiencies inverted.
    fn to_fit(&self, value: f64) -> f64 {
        if self.efficiency { 1.0 / value } else { value }
    }

    fn fit_bounds(&self) -> (f64, f64) {
        if self.efficiency { (1.0 / self.high, 1.0 / self.low) } else { (self.low, self.high) }
    }

    /// Whether `value` sits on a bound.
    pub(super) fn at_bound(&self, value: f64) -> bool {
        let near = |bound: f64| (value - bound).abs() <= 1e-9 * bound.abs().max(1.0);
        near(self.low) || near(self.high)
    }
}

/// Derivatives of a step's time by the fitting coordinates, in the order of [`PARAMS`].
fn derivatives(ideal: &Terms, terms: &Terms, tuning: &Tuning) -> [f64; COUNT] {
    let dense = terms.dense().max(f64::MIN_POSITIVE);
    // Of u + v = 1 with u = (weights/dense)^overlap and v = (gemm/dense)^overlap.
    let power = |part: f64, exponent: f64| libm::pow(part / dense, exponent);
    let slope = |part: f64| power(part, terms.overlap - 1.0);
    let entropy = |part: f64| {
        let u = power(part, terms.overlap);
        if u > 0.0 { -u * libm::log(u) } else { 0.0 }
    };
    let gemm = terms.gemm + terms.expert_gemm;
    let few = few_heads(ideal, tuning);
    let computes = terms.attention >= terms.prefill_kv.max(terms.prefill_scan);
    let reads = !computes && terms.prefill_kv >= terms.prefill_scan;
    let pick = |yes: bool, value: f64| if yes { value } else { 0.0 };
    [
        ideal.weights * slope(terms.weights),
        (ideal.gemm + ideal.expert_gemm) * slope(gemm) + ideal.head,
        dense * (entropy(terms.weights) + entropy(gemm)),
        pick(computes, ideal.attention),
        pick(reads, ideal.prefill_kv) + pick(!ideal.prefills && !few, ideal.decode_kv),
        pick(ideal.prefills && !few, ideal.decode_kv),
        pick(few, ideal.decode_kv / ideal.kv_ways),
        ideal.all_reduce_bytes,
        ideal.all_reduce_start,
        ideal.activations,
        pick(!computes && !reads, ideal.prefill_scan),
        ideal.host_layers,
        ideal.host_seqs,
        ideal.host_step,
    ]
}

/// Whether the few KV heads of a GPU bound a step's reads of KV.
pub(super) fn few_heads(ideal: &Terms, tuning: &Tuning) -> bool {
    let kv_read = if ideal.prefills { tuning.kv_read_mixed } else { tuning.kv_read };
    ideal.decode_kv > 0.0 && ideal.kv_ways * tuning.kv_read_head < kv_read
}

/// Mean share of the predicted time that depends on each parameter: what the data can say about it.
pub(super) fn shares(samples: &[Sample], tuning: &Tuning) -> [f64; COUNT] {
    let mut sums = [0.0; COUNT];
    for sample in samples {
        let terms = sample.ideal.under(tuning);
        let slopes = derivatives(&sample.ideal, &terms, tuning);
        for ((sum, slope), param) in sums.iter_mut().zip(slopes).zip(&PARAMS) {
            // An amount that starts at 0 still shows what 1 unit of it would do.
            *sum += slope * param.to_fit(param.get(tuning)).max(1.0) / terms.total();
        }
    }
    sums.map(|sum| sum / samples.len() as f64)
}

/// Fits the parameters marked in `free`, starting at `start`; the others stay.
pub(super) fn fit(samples: &[Sample], start: &Tuning, free: &[bool; COUNT]) -> Tuning {
    let mut now = clamp(start, free);
    let mut loss = total_loss(samples, &now);
    let mut damping = 1e-3;
    for _ in 0..ROUNDS {
        let (hessian, gradient) = normal_equations(samples, &now);
        let mut improved = false;
        while damping < 1e12 {
            let next = propose(&now, &hessian, &gradient, free, damping);
            let next_loss = total_loss(samples, &next);
            if next_loss < loss {
                improved = loss - next_loss > 1e-12 * loss;
                (now, loss) = (next, next_loss);
                damping = (damping / 5.0).max(1e-9);
                break;
            }
            damping *= 4.0;
        }
        if !improved {
            break;
        }
    }
    now
}

fn clamp(tuning: &Tuning, free: &[bool; COUNT]) -> Tuning {
    let mut inside = *tuning;
    for (param, _) in PARAMS.iter().zip(free).filter(|(_, free)| **free) {
        param.set(&mut inside, param.get(tuning).clamp(param.low, param.high));
    }
    // A mixed step never reads KV faster than a pure one, or more prefill would make it shorter.
    inside.kv_read_mixed = inside.kv_read_mixed.min(inside.kv_read);
    inside
}

fn total_loss(samples: &[Sample], tuning: &Tuning) -> f64 {
    let square = |s: &Sample| {
        let r = libm::log(s.ideal.under(tuning).total() / s.seconds) / SOFT;
        2.0 * (libm::sqrt(1.0 + r * r) - 1.0)
    };
    samples.iter().map(square).sum()
}

type Matrix = [[f64; COUNT]; COUNT];

fn normal_equations(samples: &[Sample], tuning: &Tuning) -> (Matrix, [f64; COUNT]) {
    let mut hessian = [[0.0; COUNT]; COUNT];
    let mut gradient = [0.0; COUNT];
    for sample in samples {
        let terms = sample.ideal.under(tuning);
        let total = terms.total();
        let residual = libm::log(total / sample.seconds);
        let weight = 1.0 / libm::sqrt(1.0 + (residual / SOFT) * (residual / SOFT));
        let slopes = derivatives(&sample.ideal, &terms, tuning).map(|s| s / total);
        for i in 0..COUNT {
            gradient[i] += weight * slopes[i] * residual;
            for j in 0..COUNT {
                hessian[i][j] += weight * slopes[i] * slopes[j];
            }
        }
    }
    (hessian, gradient)
}

/// One damped Gauss-Newton step over the free parameters that are not held at a bound, cut at the bounds.
fn propose(now: &Tuning, hessian: &Matrix, gradient: &[f64; COUNT], free: &[bool; COUNT], damping: f64) -> Tuning {
    let at: [f64; COUNT] = std::array::from_fn(|i| PARAMS[i].to_fit(PARAMS[i].get(now)));
    let active: Vec<usize> = (0..COUNT)
        .filter(|&i| {
            let (low, high) = PARAMS[i].fit_bounds();
            let held = (at[i] <= low && gradient[i] > 0.0) || (at[i] >= high && gradient[i] < 0.0);
            free[i] && !held && hessian[i][i] > 0.0
        })
        .collect();
    let mut system: Vec<Vec<f64>> = active
        .iter()
        .map(|&i| {
            let mut row: Vec<f64> = active.iter().map(|&j| hessian[i][j]).collect();
            row.push(-gradient[i]);
            row
        })
        .collect();
    for (k, row) in system.iter_mut().enumerate() {
        row[k] *= 1.0 + damping;
    }
    let step = solve(system);
    let mut next = *now;
    for (&i, delta) in active.iter().zip(step) {
        let (low, high) = PARAMS[i].fit_bounds();
        let value = (at[i] + delta).clamp(low, high);
        let value = if PARAMS[i].efficiency { 1.0 / value } else { value };
        PARAMS[i].set(&mut next, value.clamp(PARAMS[i].low, PARAMS[i].high));
    }
    clamp(&next, free)
}

/// Solves a positive definite system, right-hand side in the last column, by Gaussian elimination.
fn solve(mut system: Vec<Vec<f64>>) -> Vec<f64> {
    let n = system.len();
    for k in 0..n {
        let pivot = system[k].clone();
        if pivot[k] <= 0.0 {
            // Numerically dependent on the parameters before it: leave it where it is.
            continue;
        }
        for (_, row) in system.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = row[k] / pivot[k];
            for (cell, from) in row.iter_mut().zip(&pivot).skip(k) {
                *cell -= factor * from;
            }
        }
    }
    system.iter().enumerate().map(|(k, row)| if row[k] > 0.0 { row[n] / row[k] } else { 0.0 }).collect()
}
