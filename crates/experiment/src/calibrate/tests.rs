use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trimtab_engine::cost::Deployment;

use super::*;

fn parse(text: &str) -> Result<Vec<Row>, RowsError> {
    parse_rows(Path::new("steps.csv"), text, &Selection::default())
}

const HEADER: &str = "hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms,source\n";

/// Steps of all kinds on four deployments of one card, timed by the formula itself under `tuning`.
fn synthetic(tuning: Tuning) -> String {
    let mut text = HEADER.to_owned();
    let mut add = |model: &str, tp: u32, kind: &str, batch: u32, new: u32, context: u32| {
        let source = if kind == "mixed" { "x|kv_prefill=512" } else { "x" };
        let cells = format!("h100,{model},{tp},made,{kind},{batch},{new},{context}");
        let row = parse(&format!("{HEADER}{cells},1,{source}\n")).unwrap().remove(0);
        let deployment: Deployment = Deployments::default().of(&row).unwrap().with_tuning(tuning).unwrap();
        let ms = deployment.terms(&row.shape()).total() * 1e3;
        writeln!(text, "{cells},{ms:.6},{source}").unwrap();
    };
    for (model, tp) in [("llama-3.1-8b", 1), ("llama-3.1-8b", 4), ("llama-3.1-8b", 8), ("qwen2.5-14b", 1)] {
        for batch in [1, 4, 8, 16, 64, 128] {
            for context in [64, 256, 512, 2_048] {
                add(model, tp, "decode", batch, 1, context);
                add(model, tp, "mixed", batch, 16 * batch, context);
            }
        }
        for new in [16, 64, 512, 2_048, 8_192] {
            for context in [0, 4_096, 16_384] {
                for batch in [1, 3] {
                    add(model, tp, "prefill", batch, new, context);
                }
            }
        }
    }
    text
}

fn known() -> Tuning {
    Tuning {
        weight_read: 0.7,
        gemm: 0.6,
        attention: 0.5,
        kv_read: 0.9,
        kv_read_mixed: 0.35,
        kv_read_head: 0.3,
        overlap: 2.5,
        prefill_scan_ns: 25.0,
        all_reduce: 0.8,
        all_reduce_us: 12.0,
        activation_passes: 20.0,
        layer_us: 9.0,
        seq_us: 3.0,
        step_us: 700.0,
        ..Tuning::default()
    }
}

#[test]
fn recovers_the_parameters_that_made_the_rows() {
    let found = calibrate(parse(&synthetic(known())).unwrap(), None).unwrap();
    assert!(found.fit.overall.mape < 1e-4, "{:?}", found.fit);
    assert!(found.holdout.overall.mape < 1e-2, "{:?}", found.holdout);
    let pair = &found.pairs[0];
    assert_eq!(pair.groups.len(), 4);
    assert_eq!(pair.kept, []);
    for ((name, value), (_, expected)) in pair.tuning.fields().into_iter().zip(known().fields()) {
        assert!((value / expected - 1.0).abs() < 0.02, "{name}: {value} instead of {expected}");
    }
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let noisy = |text: &str| {
        // Noise that depends on the row alone, so that every row keeps its own wherever it stands.
        let mut rows = parse(text).unwrap();
        for (row, noise) in rows.iter_mut().zip([1.03, 0.97, 1.0, 1.05, 0.94, 1.01, 0.99].into_iter().cycle()) {
            row.seconds *= noise;
        }
        rows
    };
    let rows = noisy(&synthetic(known()));
    let forward = calibrate(rows.clone(), None).unwrap();
    let mut shuffled: Vec<Row> = rows.iter().rev().cloned().collect();
    let n = shuffled.len();
    shuffled.rotate_left(n / 3);
    (0..n / 2).step_by(2).for_each(|i| shuffled.swap(i, n - 1 - i));
    let backward = calibrate(shuffled, None).unwrap();
    assert_eq!(forward.profiles().to_toml(), backward.profiles().to_toml());
    assert_eq!(forward.holdout, backward.holdout);
    assert!(forward.fit.overall.mape > 1e-3, "the noise must be there: {:?}", forward.fit);
}

#[test]
fn rows_that_cannot_tell_a_parameter_leave_it_alone() {
    let all = synthetic(known());
    let only = |keep: &dyn Fn(&str) -> bool| {
        let rows: Vec<&str> = all.lines().skip(1).filter(|l| keep(l)).collect();
        let found = calibrate(parse(&format!("{HEADER}{}", rows.join("\n"))).unwrap(), None).unwrap();
        found.pairs[0].kept.iter().map(|k| k.parameter).collect::<Vec<_>>()
    };
    let decode = only(&|l| l.contains(",decode,"));
    for name in ["gemm", "overlap", "attention", "kv_read_mixed", "prefill_scan_ns", "activation_passes", "seq_us"] {
        assert!(decode.contains(&name), "{name}: {decode:?}");
    }
    let one_card = only(&|l| l.contains("8b,1,"));
    for name in ["all_reduce", "all_reduce_us", "layer_us", "activation_passes", "overlap", "kv_read_head"] {
        assert!(one_card.contains(&name), "{name}: {one_card:?}");
    }
    assert!(!only(&|_| true).contains(&"gemm"));
}

/// A parameter that nothing tells keeps its default exactly, or the value of the pure reads that bounds it.
#[test]
fn a_kept_mixed_efficiency_is_the_default_or_its_bound() {
    for kv_read in [0.9, 0.3] {
        let text = synthetic(Tuning { kv_read, kv_read_mixed: 0.2, ..known() });
        let pure: Vec<&str> = text.lines().filter(|l| !l.contains(",mixed,")).collect();
        let found = calibrate(parse(&pure.join("\n")).unwrap(), None).unwrap().pairs[0].tuning;
        let expected = Tuning::default().kv_read_mixed.min(found.kv_read);
        assert!((found.kv_read_mixed - expected).abs() < 1e-12, "{kv_read}: {} {expected}", found.kv_read_mixed);
    }
}

#[test]
fn impossible_rows_and_outliers_are_named() {
    let mut text = synthetic(known());
    let good = parse(&text).unwrap().len();
    text += "h100,llama-3.1-8b,1,made,prefill,1,8192,0,5.0,x\n";
    text += "h100,llama-3.1-8b,1,made,decode,1,1,100,1.0,x\n";
    text += "h100,llama-3.1-8b,1,made,decode,64,1,100000,900.0,x\n";
    text += "h100,llama-3.1-8b,1,made,decode,2,1,100,60.0,x\n";
    let found = calibrate(parse(&text).unwrap(), None).unwrap();
    let reasons: Vec<&str> = found.impossible.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    for (line, part) in [(good + 2, "arithmetic rate"), (good + 3, "memory bandwidth"), (good + 4, "needs")] {
        let named = found.impossible.iter().find(|s| s.line == line as u64).unwrap();
        assert!(named.reason.contains(part), "{named:?}");
    }
    assert_eq!(found.pairs[0].outliers[0].line, good as u64 + 5);
    let report = text_of(&found);
    for part in ["left out: 3", &format!("line {}:", good + 5), "measured 60.000 ms"] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

fn text_of(calibration: &Calibration) -> String {
    super::text(calibration)
}

#[test]
fn doubtful_files_are_refused() {
    let good = "h100,llama-3.1-8b,1,e,decode,4,1,100,9.0,x\n";
    assert_eq!(parse(&format!("{HEADER}{good}")).unwrap().len(), 1);
    for (text, expected) in [
        (String::new(), "column"),
        (HEADER.to_owned(), "no rows below the header"),
        (HEADER.replace(",batch", "") + good, "column `batch` is missing"),
        (HEADER.replace("hw,", "gpu,") + good, "column `hw` is missing; add it or give --hardware"),
        (HEADER.replace("time_ms", "time_min") + good, "`time_min` has an unknown unit"),
        (HEADER.replace("time_ms", "span") + good, "column `time_ms` (or `time_us`, `time_s`) is missing"),
        (HEADER.to_owned() + &good.replace("9.0", "NaN"), "steps.csv:2: `time` is `NaN`"),
        (HEADER.to_owned() + &good.replace("9.0", "0"), "`time` is `0`; expected a finite time above 0"),
        (HEADER.to_owned() + &good.replace("9.0", ""), "`time` is ``"),
        (HEADER.to_owned() + &good.replace(",100,", ",-1,"), "`context_tokens` is `-1`"),
        (HEADER.to_owned() + &good.replace("decode,4", "decode,0"), "`batch` is `0`"),
        (HEADER.to_owned() + &good.replace("decode,4,1", "prefill,4,0"), "`new_tokens` is `0`"),
        (HEADER.to_owned() + &good.replace("decode", "encode"), "expected prefill, decode or mixed"),
        (HEADER.to_owned() + &good.replace("h100", "h101"), "did you mean `h100`?"),
        (HEADER.to_owned() + &good.replace(",x", ",x|kv_prefill=?"), "kv_prefill=?"),
        (HEADER.to_owned() + good + "h100,llama-3.1-8b\n", "steps.csv: record 2"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        let expected = expected.replace("steps.csv: record 2", "steps.csv:3");
        assert!(error.contains(&expected), "{error}\n does not contain {expected}");
    }
    let error = calibrate(parse(&(HEADER.to_owned() + &good.repeat(5))).unwrap(), None).unwrap_err().to_string();
    assert!(error.contains("h100 with e: 5 rows, not fitted"), "{error}");
}

#[test]
fn units_and_flags() {
    let micro = "kind,batch,new_tokens,context_tokens,time_us\ndecode,4,1,100,9000\n";
    let flags = Selection {
        hardware: Some("H100-SXM".into()),
        model: Some("Llama-3.1-8B".into()),
        tp: Some(2),
        engine: Some("e".into()),
    };
    let rows = parse_rows(Path::new("f"), micro, &flags).unwrap();
    assert!((rows[0].seconds - 0.009).abs() < 1e-12);
    assert_eq!((rows[0].group(), rows[0].engine.as_str()), (("h100", "llama-3.1-8b", 2), "e"));
    let other = format!("{HEADER}h200,llama-3.1-8b,2,e,decode,4,1,100,9.0,x\n");
    let error = parse_rows(Path::new("f"), &other, &flags).unwrap_err().to_string();
    assert!(error.contains("none of 1 rows match"), "{error}");
}

#[test]
fn profiles_round_trip() {
    let found = calibrate(parse(&synthetic(known())).unwrap(), None).unwrap();
    let file = found.profiles();
    let read: ProfileFile = toml::from_str(&file.to_toml()).unwrap();
    assert_eq!(read, file);
    let path = Path::new("p.toml");
    assert_eq!(file.pick(path, "h100", None).unwrap(), &file.profile[0]);
    let error = file.pick(path, "a100", Some("made")).unwrap_err().to_string();
    assert!(error.contains("no profile for a100 with made; it holds h100 with made"), "{error}");
}

#[test]
fn another_file_can_be_the_holdout() {
    let all = parse(&synthetic(known())).unwrap();
    let stranger = parse(&synthetic(known()).replace("h100,", "h200,")).unwrap();
    let found = calibrate(all.clone(), Some(all)).unwrap();
    assert_eq!((found.holdout_kind, &found.holdout), ("file", &found.fit));
    let found = calibrate(parse(&synthetic(known())).unwrap(), Some(stranger)).unwrap();
    assert!(
        found.warnings.iter().any(|w| w.contains("h200 with made have no fit of their own")),
        "{:?}",
        found.warnings
    );
}

/// The real measurements, when `TRIMTAB_CALIBRATION` names their folder.
fn measured(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TRIMTAB_CALIBRATION");
    if folder.is_none() {
        #[expect(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
        {
            eprintln!("SKIPPED: TRIMTAB_CALIBRATION is not set, so {file} is not checked");
        }
    }
    Some(PathBuf::from(folder?).join(file))
}

#[test]
fn measured_steps_are_predicted() {
    let Some(path) = measured("steps.csv") else { return };
    let rows = read_rows(&path, &Selection::default()).unwrap();
    assert_eq!(rows.len(), 5_117);
    let found = calibrate(rows, None).unwrap();
    let report = text_of(&found);
    assert!(found.defaults.overall.mape <= 0.10, "{report}");
    assert!(found.holdout.overall.mape <= 0.06, "{report}");
    assert!(found.group_holdout.overall.mape <= 0.06, "{report}");
    assert!(found.row_holdout.overall.mape <= 0.06, "{report}");
    for card in ["h100", "h200", "a100", "l40s"] {
        let tables = found.pairs.iter().find(|p| p.hardware == card && p.engine.ends_with("-opsum")).unwrap();
        for left_out in [tables.group_holdout.as_ref().unwrap(), &tables.row_holdout] {
            assert!(left_out.by_kind["decode"].mape <= 0.04, "{card}: {left_out:?}\n{report}");
        }
    }
}

#[test]
fn a_measured_server_is_replayed() {
    let (Some(steps), Some(requests)) = (measured("steps.csv"), measured("rtx4090_llama8b_requests.csv")) else {
        return;
    };
    let kernels = Selection {
        hardware: Some("rtx-4090".into()),
        engine: Some("vllm-0.19-kernelsum".into()),
        ..Selection::default()
    };
    let fitted = calibrate(read_rows(&steps, &kernels).unwrap(), None).unwrap();
    let (run, requests) = read_requests(&requests).unwrap();
    let run = run.unwrap();
    let tuning = Some(fitted.pairs[0].tuning);
    let deployment =
        crate::catalog::resolve(&run.model, &run.hardware, run.tp, crate::catalog::Overrides { tuning, weights: None })
            .unwrap();
    // The server's own block count from its log, and the one derived without it.
    for kv_blocks in [Some(2_588), None] {
        let found = validate(&requests, &deployment, &Server { kv_blocks, ..Server::default() }).unwrap();
        let report = validation_text(&found);
        for error in [found.ttft.mean_error, found.tpot.mean_error, found.e2e.mean_error] {
            assert!(error.abs() <= 0.03, "{report}");
        }
        assert!(found.per_request_e2e_mape <= 0.04, "{report}");
        assert!(found.preemptions > 0, "{report}");
    }
}

#[test]
fn time_outside_the_engine_delays_only_what_the_client_sees() {
    let deployment = crate::catalog::resolve("llama-3.1-8b", "h100", 1, crate::catalog::Overrides::default()).unwrap();
    let request = |i: u32| Measured {
        id: i.to_string(),
        arrival: f64::from(i),
        input_tokens: 500,
        output_tokens: 1 + i,
        ttft: 0.05,
        tpot: (i > 0).then_some(0.01),
        e2e: 0.1,
    };
    let requests: Vec<Measured> = (0..4).map(request).collect();
    let run = |api_ms| validate(&requests, &deployment, &Server { api_ms, ..Server::default() }).unwrap();
    let (without, with) = (run(0.0), run(20.0));
    assert_eq!(without.tpot, with.tpot);
    for ((_, a), (_, b)) in without.pairs.iter().zip(&with.pairs) {
        assert!((b.ttft - a.ttft - 0.02).abs() < 1e-12 && (b.e2e - a.e2e - 0.02).abs() < 1e-12, "{a:?} {b:?}");
    }
}

#[test]
fn servers_that_cannot_be_are_refused() {
    let deployment = crate::catalog::resolve("llama-3.1-8b", "h100", 1, crate::catalog::Overrides::default()).unwrap();
    let usual = Server::default();
    for (server, expected) in [
        (Server { kv_blocks: Some(0), ..usual }, "--kv-blocks is 0"),
        (Server { block_tokens: 0, ..usual }, "--block-tokens is 0"),
        (Server { max_batched_tokens: 0, ..usual }, "--max-batched-tokens is 0"),
        (Server { max_seqs: 0, ..usual }, "--max-seqs is 0"),
        (Server { max_batched_tokens: 10, ..usual }, "--max-batched-tokens 10 is less than --max-seqs 256"),
        (Server { api_ms: f64::NAN, ..usual }, "--api-ms is NaN"),
        (Server { api_ms: -1.0, ..usual }, "--api-ms is -1"),
    ] {
        let error = validate(&[], &deployment, &server).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn host_time_is_found_again() {
    let at = |step_us| {
        let tuning = Some(Tuning { step_us, ..Tuning::default() });
        crate::catalog::resolve("llama-3.1-8b", "h100", 1, crate::catalog::Overrides { tuning, weights: None }).unwrap()
    };
    let mut requests: Vec<Measured> = (0..20)
        .map(|i| Measured {
            id: i.to_string(),
            arrival: f64::from(i) / 5.0,
            input_tokens: 200 + 10 * i,
            output_tokens: 50,
            ttft: 1.0,
            tpot: Some(1.0),
            e2e: 1.0,
        })
        .collect();
    let truth = validate(&requests, &at(2_340.0), &Server::default()).unwrap();
    for (request, (_, simulated)) in requests.iter_mut().zip(&truth.pairs) {
        (request.ttft, request.tpot, request.e2e) = (simulated.ttft, simulated.tpot, simulated.e2e);
    }
    let found = fit_host(&requests, &at(0.0), &Server::default()).unwrap();
    assert!((found.step_us - 2_340.0).abs() < 1.0, "{}", found.step_us);
    assert!(found.per_request_e2e_mape < 1e-9, "{}", found.per_request_e2e_mape);
}

/// The profiles in the repository are those that the measurements give now.
#[test]
fn committed_profiles_are_current() {
    let text = include_str!("../../../../experiments/profiles/fitted.toml");
    let committed: ProfileFile = toml::from_str(text).unwrap();
    assert_eq!(committed.schema, SCHEMA);
    for profile in &committed.profile {
        for model in &profile.models {
            let tuning = Some(profile.tuning);
            let overrides = crate::catalog::Overrides { tuning, weights: None };
            crate::catalog::resolve(model, &profile.hardware, 1, overrides).unwrap();
        }
    }
    let Some(path) = measured("steps.csv") else { return };
    let found = calibrate(read_rows(&path, &Selection::default()).unwrap(), None).unwrap();
    assert_eq!(found.profiles(), committed);
}
