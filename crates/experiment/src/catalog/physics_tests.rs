//! The terms of a step against numbers worked out by hand from the formula in docs/model.md.

use trimtab_engine::cost::{Deployment, StepShape, Terms, Tuning, WeightType};

use super::{Overrides, resolve};

/// Efficiencies of one half or one, so that the arithmetic below stays readable.
fn tuning() -> Tuning {
    Tuning {
        weight_read: 0.5,
        gemm: 0.5,
        overlap: 2.0,
        attention: 0.5,
        kv_read: 0.5,
        kv_read_mixed: 0.25,
        kv_read_head: 0.1,
        prefill_scan_ns: 10.0,
        all_reduce: 0.5,
        all_reduce_us: 10.0,
        activation_passes: 10.0,
        layer_us: 1.0,
        seq_us: 5.0,
        step_us: 100.0,
        expert_imbalance: 2.0,
    }
}

fn of(model: &str, hardware: &str, tp: u32, weights: Option<WeightType>) -> Deployment {
    resolve(model, hardware, tp, Overrides { weights, tuning: Some(tuning()) }).unwrap()
}

fn chunk(new: u32, cached: u32, decodes: u32, context: u64) -> StepShape {
    let mut shape = StepShape::decode(decodes, context);
    shape.add_chunk(new, cached);
    shape
}

type Pick = fn(&Terms) -> f64;

#[test]
fn terms_by_hand() {
    let decode = StepShape::decode(10, 20_000);
    let mixed = chunk(100, 900, 10, 20_000);
    let small = || of("llama-3.1-8b", "h100", 1, None);
    let cases: Vec<(&str, Deployment, StepShape, Pick, f64)> = vec![
        // (6,979,321,856 + 128,256 * 4,096) * 2 bytes at half of 3.35 TB/s.
        ("weights", small(), decode, |t| t.weights, 7_504_658_432.0 * 2.0 / 1.675e12),
        ("gemm", small(), decode, |t| t.gemm, 2.0 * 6_979_321_856.0 * 10.0 / 494.5e12),
        ("activations", small(), decode, |t| t.activations, 10.0 * 32.0 * 10.0 * 4_096.0 * 2.0 / 3.35e12),
        ("decode KV", small(), decode, |t| t.decode_kv, 20_000.0 * 131_072.0 / 1.675e12),
        ("mixed KV", small(), mixed, |t| t.decode_kv, 20_000.0 * 131_072.0 / 0.8375e12),
        // One of eight KV heads: a tenth of the bandwidth, and twice that with 32 sequences.
        ("one KV head", of("llama-3.1-8b", "h100", 8, None), decode, |t| t.decode_kv, 20_000.0 * 16_384.0 / 0.335e12),
        (
            "one KV head, 32 sequences",
            of("llama-3.1-8b", "h100", 8, None),
            StepShape::decode(32, 20_000),
            |t| t.decode_kv,
            20_000.0 * 16_384.0 / 0.67e12,
        ),
        // 100 new tokens after 900: 100 * 900 + 100 * 101 / 2 pairs.
        ("attention", small(), mixed, |t| t.attention, 4.0 * 32.0 * 4_096.0 * 95_050.0 / 494.5e12),
        ("prefill KV", small(), mixed, |t| t.prefill_kv, 1_000.0 * 131_072.0 / 1.675e12),
        ("scan", small(), mixed, |t| t.prefill_scan, 32.0 * 1_000.0 * 10e-9),
        ("head", small(), mixed, |t| t.head, 11.0 * 2.0 * 128_256.0 * 4_096.0 / 494.5e12),
        ("host", small(), mixed, |t| t.host_seqs + t.host_layers + t.host_step, (11.0 * 5.0 + 32.0 + 100.0) * 1e-6),
        ("no all-reduce", small(), mixed, |t| t.all_reduce_start + t.all_reduce_bytes, 0.0),
        // Four GPUs: a quarter of the weights; start-up as stated for four; 2 * 3/4 of the bytes over half of 450 GB/s.
        ("tp weights", of("llama-3.1-8b", "h100", 4, None), decode, |t| t.weights, 7_504_658_432.0 / 2.0 / 1.675e12),
        ("start-up", of("llama-3.1-8b", "h100", 4, None), decode, |t| t.all_reduce_start, 64.0 * 10e-6),
        (
            "all-reduce",
            of("llama-3.1-8b", "h100", 4, None),
            decode,
            |t| t.all_reduce_bytes,
            64.0 * 1.5 * 10.0 * 4_096.0 * 2.0 / 225e9,
        ),
        // 4 KV heads on 8 GPUs... 28 heads allow 7: still one whole KV head each, read at a tenth of the bandwidth.
        (
            "replicated KV",
            of("qwen2.5-7b", "h100", 7, None),
            decode,
            |t| t.decode_kv,
            20_000.0 * 57_344.0 / 4.0 / 0.335e12,
        ),
        // fp8: layers in one byte at twice the rate, the head still in two bytes; attention is untouched.
        (
            "fp8 weights",
            of("llama-3.1-8b", "h100", 1, Some(WeightType::Fp8)),
            decode,
            |t| t.weights,
            (6_979_321_856.0 + 525_336_576.0 * 2.0) / 1.675e12,
        ),
        (
            "fp8 gemm",
            of("llama-3.1-8b", "h100", 1, Some(WeightType::Fp8)),
            decode,
            |t| t.gemm,
            2.0 * 6_979_321_856.0 * 10.0 / 989e12,
        ),
        // No fp8 units: the bytes shrink, the rate does not grow.
        (
            "fp8 on a100",
            of("llama-3.1-8b", "a100", 1, Some(WeightType::Fp8)),
            decode,
            |t| t.gemm,
            2.0 * 6_979_321_856.0 * 10.0 / 156e12,
        ),
        // 8 of 128 experts for each of 10 tokens, the busiest GPU twice the mean; 28,991,029,248 expert parameters.
        (
            "experts",
            of("qwen3-30b-a3b", "h100", 1, None),
            decode,
            |t| t.expert_gemm,
            2.0 * 2.0 * 10.0 * 28_991_029_248.0 / 16.0 / 494.5e12,
        ),
    ];
    for (name, deployment, shape, pick, expected) in cases {
        let found = pick(&deployment.terms(&shape));
        assert!((found - expected).abs() <= 1e-12 * expected.max(1.0), "{name}: {found} instead of {expected}");
    }
}

#[test]
fn terms_combine() {
    let terms = Terms {
        weights: 3.0,
        gemm: 3.0,
        expert_gemm: 1.0,
        activations: 10.0,
        attention: 20.0,
        prefill_kv: 30.0,
        prefill_scan: 25.0,
        decode_kv: 100.0,
        ..Terms::default()
    };
    assert!((terms.total() - (5.0 + 10.0 + 30.0 + 100.0)).abs() < 1e-12);
    for (overlap, dense) in [(1.0, 7.0), (2.0, 5.0), (3.0, libm::cbrt(91.0)), (200.0, 4.0)] {
        assert!((Terms { overlap, ..terms }.dense() - dense).abs() < 1e-12, "{overlap}");
    }
    assert_eq!(terms.bound(), "KV read");
}

/// A batch reads only the experts that its tokens visit: few for one token, nearly all for many.
#[test]
fn experts_are_read_as_they_are_visited() {
    let deployment = of("qwen3-30b-a3b", "h100", 1, None);
    let read = |tokens: u32| deployment.terms(&StepShape::decode(tokens, 0)).weights * 1.675e12 / 2.0;
    let rest = deployment.model().dense_params() + deployment.model().embedding_params();
    let experts = deployment.model().expert_params();
    assert!(((read(1) - rest) / experts - 8.0 / 128.0).abs() < 1e-9);
    assert!(((read(2) - rest) / experts - (1.0 - 0.937_5 * 0.937_5)).abs() < 1e-9);
    assert!((read(1_000) - rest) / experts > 0.999);
}
