//! The laws that every step-cost model obeys, checked for each of them.

use proptest::prelude::*;

use super::*;

fn hardware() -> Hardware {
    Hardware {
        name: "card".into(),
        aliases: vec![],
        summary: String::new(),
        bf16_tflops: 989.0,
        fp8_tflops: Some(1978.0),
        memory_bytes: 85_000_000_000,
        memory_tb_per_s: 3.35,
        link_gb_per_s: 450.0,
        source: String::new(),
    }
}

fn model() -> Model {
    Model {
        name: "net".into(),
        aliases: vec![],
        summary: String::new(),
        layers: 28,
        hidden: 3584,
        heads: 28,
        kv_heads: 4,
        head_dim: 128,
        intermediate: 18944,
        vocab: 152_064,
        gated: true,
        tied_embeddings: false,
        qkv_bias: true,
        qk_norm: false,
        weights: WeightType::Bf16,
        moe: None,
        source: String::new(),
    }
}

fn analytic(change: impl Fn(&mut Model, &mut Tuning), tp: u32) -> Analytic {
    let (mut model, mut tuning) = (model(), Tuning::default());
    change(&mut model, &mut tuning);
    Analytic::new(Deployment::new(model, hardware(), tp, tuning).unwrap(), 2048)
}

/// Where a model may break the law that more work never takes less time.
#[derive(Clone, Copy, PartialEq)]
enum Except {
    /// Nowhere.
    Never,
    /// In its prefill part.
    Prefill,
    /// When a sequence joins whose context is shorter than the mean: the sum of the contexts is all that a model sees, and
    /// the same sum over more sequences is read faster.
    Short,
}

/// Every model.
fn models() -> Vec<(&'static str, Box<dyn StepCost>, Except)> {
    use Except::{Never, Prefill, Short};
    let experts = Experts { experts: 128, active: 8, intermediate: 768, shared_intermediate: 0 };
    vec![
        ("linear", Box::new(Linear { step: 5, per_prefill_token: 7, per_seq: 11, per_context: 3 }), Never),
        ("linear from nothing", Box::new(Linear { per_context: 3, ..Linear::default() }), Never),
        ("fixed", Box::new(Fixed::default()), Never),
        ("polynomial", Box::new(Polynomial { kv_tokens: 1 << 20 }), Prefill),
        ("analytic", Box::new(analytic(|_, _| {}, 1)), Never),
        ("analytic tp 4", Box::new(analytic(|_, _| {}, 4)), Never),
        ("analytic fp8", Box::new(analytic(|m, _| m.weights = WeightType::Fp8, 1)), Never),
        ("analytic moe", Box::new(analytic(|m, _| m.moe = Some(experts), 1)), Never),
        (
            "analytic, no overhead",
            Box::new(analytic(|_, u| (u.step_us, u.layer_us, u.seq_us) = (0.0, 0.0, 0.0), 1)),
            Never,
        ),
        ("analytic, full overlap", Box::new(analytic(|_, u| u.overlap = 8.0, 1)), Never),
        ("analytic, one slow KV head", Box::new(analytic(|_, u| u.kv_read_head = 0.2, 4)), Short),
        (
            "analytic, one slow KV head, no overhead",
            Box::new(analytic(
                |_, u| (u.kv_read_head, u.step_us, u.layer_us, u.seq_us, u.gemm) = (0.19, 0.0, 0.0, 0.0, 1.2),
                4,
            )),
            Short,
        ),
    ]
}

fn shape(chunks: &[(u32, u32)], seqs: u32, context: u64) -> StepShape {
    let mut shape = StepShape::decode(seqs, context);
    for &(new, cached) in chunks {
        shape.add_chunk(new, cached);
    }
    shape
}

/// A `line` says what repeated single steps say, for as many steps as it holds, wherever it is cut; so do `durations`.
fn check_line(name: &str, cost: &dyn StepCost, seqs: u32, context: u64, steps: u64) {
    let mut durations = vec![0; usize::try_from(steps).unwrap()];
    cost.durations(seqs, context, &mut durations);
    let (mut at, mut by_steps, mut by_lines) = (context, 0_u128, 0_u128);
    let mut left = steps;
    while left > 0 {
        let line = cost.line(seqs, at);
        assert!(line.steps >= 1 && line.first >= 1, "{name}: {line:?}");
        let run = line.steps.min(left);
        by_lines += line.total(run);
        for j in 0..run {
            let step = cost.step(&StepShape::decode(seqs, at));
            assert_eq!(step, line.first + j * line.delta, "{name}: step {j} of {seqs} sequences from {context}");
            assert_eq!(step, durations[usize::try_from(steps - left + j).unwrap()], "{name}: {seqs} sequences at {at}");
            by_steps += u128::from(step);
            at += u64::from(seqs);
        }
        left -= run;
    }
    assert_eq!(by_lines, by_steps, "{name}");
}

/// More work in any field never takes less time.
fn check_monotone(name: &str, cost: &dyn StepCost, except: Except, chunks: &[(u32, u32)], seqs: u32, context: u64) {
    let base = cost.step(&shape(chunks, seqs, context));
    let more = |shape: StepShape, what: &str| {
        let grown = cost.step(&shape);
        assert!(grown >= base, "{name}: {grown} < {base} with more {what}: {chunks:?} {seqs} {context}");
    };
    if except != Except::Short {
        more(shape(chunks, seqs + 1, context + 1), "sequences");
    }
    let mean = context.div_ceil(u64::from(seqs).max(1));
    more(shape(chunks, seqs + 1, context + mean.max(1)), "sequences like the others");
    if seqs > 0 {
        more(shape(chunks, seqs, context + 1), "context");
        more(shape(chunks, seqs, context + 9_999), "context");
    }
    if except != Except::Prefill {
        let mut grown = chunks.to_vec();
        grown.push((1, 0));
        more(shape(&grown, seqs, context), "prefilling sequences");
        for (i, &(new, cached)) in chunks.iter().enumerate() {
            grown = chunks.to_vec();
            grown[i] = (new + 1, cached);
            more(shape(&grown, seqs, context), "new tokens");
            grown[i] = (new, cached + 1);
            more(shape(&grown, seqs, context), "cached tokens");
        }
    }
}

/// A table of (batch or new tokens, context, picoseconds) measurements, each used as a prefill and as a decode.
fn table(points: &[(u32, u32, u32)]) -> Table {
    let prefill = |&(new, cached, ps): &(u32, u32, u32)| {
        let mut shape = StepShape::default();
        shape.add_chunk(new, cached);
        let pairs = u64::try_from(shape.prefill_pairs).unwrap();
        PrefillPoint { tokens: shape.prefill_tokens, pairs, ps: 1_000 * u64::from(ps) }
    };
    let decode = |&(seqs, context, ps): &(u32, u32, u32)| DecodePoint {
        seqs: seqs.min(300),
        context: u64::from(seqs.min(300)) * u64::from(context),
        ps: 1_000 * u64::from(ps),
    };
    Table::new(&points.iter().map(prefill).collect::<Vec<_>>(), &points.iter().map(decode).collect::<Vec<_>>()).unwrap()
}

proptest! {
    /// Tables of arbitrary measurements, contradictory ones included, obey the laws too.
    #[test]
    fn every_table_obeys_the_laws(
        points in prop::collection::vec((1_u32..600, 0_u32..20_000, 1_u32..u32::MAX), 1..12),
        chunks in prop::collection::vec((1_u32..5_000, 0_u32..100_000), 0..4),
        seqs in 0_u32..400,
        mean in 1_u64..50_000,
        steps in 1_u64..200,
    ) {
        let table = table(&points);
        check_line("table", &table, seqs.max(1), u64::from(seqs) * mean, steps);
        check_monotone("table", &table, Except::Never, &chunks, seqs, u64::from(seqs) * mean);
    }

    #[test]
    fn every_model_obeys_the_laws(
        chunks in prop::collection::vec((1_u32..5_000, 0_u32..100_000), 0..4),
        seqs in 0_u32..300,
        mean in 1_u64..50_000,
        extra in 0_u64..1_000,
        steps in 1_u64..200,
    ) {
        let context = if seqs == 0 { 0 } else { u64::from(seqs) * mean + extra };
        for (name, cost, except) in models() {
            check_line(name, cost.as_ref(), seqs.max(1), context, steps);
            check_monotone(name, cost.as_ref(), except, &chunks, seqs, context);
        }
    }

    /// Whole picoseconds stay within a part in a thousand of the floating-point formula.
    #[test]
    fn rounding_is_small(
        chunks in prop::collection::vec((1_u32..5_000, 0_u32..100_000), 0..4),
        seqs in 1_u32..300,
        mean in 1_u64..50_000,
    ) {
        let cost = analytic(|_, _| {}, 4);
        let shape = shape(&chunks, seqs, u64::from(seqs) * mean);
        let (exact, whole) = (cost.deployment().terms(&shape).total() * 1e12, cost.step(&shape) as f64);
        prop_assert!((whole / exact - 1.0).abs() < 1e-3, "{whole} {exact}");
    }
}

#[test]
fn fixed_passes() {
    let ms = trimtab_core::PS_PER_MS;
    for (shape, expected) in [
        (StepShape::decode(3, 30), 10 * ms),
        (shape(&[(5, 0)], 0, 0), 20 * ms),
        (shape(&[(5, 0), (7, 100)], 2, 9), 30 * ms),
        (StepShape::default(), 1),
    ] {
        assert_eq!(Fixed::default().step(&shape), expected, "{shape:?}");
    }
}

#[test]
fn polynomial_values() {
    let cost = Polynomial { kv_tokens: 1_000 };
    for (shape, expected_ns) in [
        // 4.209989e-7 * 1e6 + 1.518344e-2 * 1e3 + 16.50142 ms
        (shape(&[(1_000, 0)], 0, 0), 32_105_859),
        // Cached context does not matter; an odd mean is floored: n * (floor(1201/2) - floor(200/2)) = 1,000.
        (shape(&[(700, 100), (301, 100)], 0, 0), 32_105_859),
        (StepShape::decode(1, 0), 5_740_000),
        (StepShape::decode(4, 500), 26_310_000),
        (StepShape::decode(9, 5_000), 34_010_000),
        (shape(&[(1_000, 0)], 4, 500), 32_105_859 + 26_310_000),
    ] {
        assert_eq!(cost.step(&shape), expected_ns * 1_000, "{shape:?}");
    }
}

#[test]
fn parameters_that_cannot_be_are_refused() {
    type Change = fn(&mut Model, &mut Hardware, &mut Tuning, &mut u32);
    let cases: [(Change, &str); 7] = [
        (|_, _, u, _| u.gemm = 0.0, "`gemm`"),
        (|_, _, u, _| u.step_us = f64::NAN, "`step_us`"),
        (|_, _, u, _| u.kv_read_mixed = 0.9, "`kv_read_mixed`"),
        (|_, h, _, _| h.memory_tb_per_s = -1.0, "`memory_tb_per_s`"),
        (|m, _, _, _| m.layers = 0, "`layers`"),
        (|m, _, _, _| m.kv_heads = 3, "kv_heads"),
        (|_, _, _, tp| *tp = 3, "28 query heads"),
    ];
    for (change, expected) in cases {
        let (mut m, mut h, mut u, mut tp) = (model(), hardware(), Tuning::default(), 1);
        change(&mut m, &mut h, &mut u, &mut tp);
        let error = Deployment::new(m, h, tp, u).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
