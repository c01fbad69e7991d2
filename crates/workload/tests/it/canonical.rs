//! The canonical form gives back what was written, node for node.

use serde_json::Value;
use trimtab_core::PrefixId;
use trimtab_workload::{
    GenOptions, ReadOptions, Trace, ZstdWriter, generator_by_name, generators, read_file, write_canonical, write_file,
};

use crate::support::{read_bytes, real_trace};

fn check(name: &str, trace: &Trace) {
    let bytes = write_canonical(trace, Vec::new()).expect("memory");
    let zstd = write_canonical(trace, ZstdWriter::new(Vec::new())).and_then(ZstdWriter::finish).expect("memory");
    assert!(zstd.len() < bytes.len(), "{name}: {} < {}", zstd.len(), bytes.len());
    for bytes in [&bytes, &zstd] {
        let back = read_bytes(bytes, &ReadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((back.format, back.requests.len()), ("trimtab", trace.requests.len()), "{name}");
        assert_eq!(back.requests, trace.requests, "{name}");
        assert_eq!((back.block_tokens, back.timed, back.sessions), (trace.block_tokens, trace.timed, trace.sessions));
        assert_eq!(
            (&back.tenants, &back.models, &back.delays),
            (&trace.tenants, &trace.models, &trace.delays),
            "{name}"
        );
        for index in 0..back.forest.len() {
            let id = PrefixId(u32::try_from(index).expect("few nodes"));
            let node = |trace: &Trace| (trace.forest.parent(id), trace.forest.end(id));
            assert_eq!(node(&back), node(trace), "{name}: node {index}");
        }
    }
    let again = write_canonical(&read_bytes(&bytes, &ReadOptions::default()).expect("good"), Vec::new());
    assert_eq!(again.expect("memory"), bytes, "{name}: the same bytes again");
}

#[test]
fn generated_workloads() {
    for def in generators() {
        let options = GenOptions { requests: Some(2000), tenants: Some((3, 1.0)), ..GenOptions::default() };
        let mut workload = def.generate(&Value::Null, &options).expect("sound defaults");
        let mut trace = Trace::record(&mut *workload, 1);
        trace.tenants = vec!["a \"quoted\" name".to_owned(), "b".to_owned(), "c".to_owned()];
        trace.delays = vec![];
        check(def.name, &trace);
    }
}

#[test]
fn recorded_traces() {
    let text = r#"{"session_id": "a", "timestamp": 0.001, "input_length": 700, "output_length": 1, "hash_ids": [0, 1]}
{"session_id": "a", "delay": 7, "input_length": 1500, "output_length": 1, "hash_ids": [0, 2, 3]}
"#;
    check("aiperf", &read_bytes(text.as_bytes(), &ReadOptions::default()).expect("good"));
    for name in ["mooncake_conversation.jsonl", "azure_conv_2023.csv"] {
        let Some(path) = real_trace(name) else { return };
        check(name, &read_file(path, &ReadOptions::default()).expect("the public trace is clean"));
    }
}

#[test]
fn files_are_compressed_by_name() {
    let folder = std::env::temp_dir().join(format!("trimtab-canonical-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let def = generator_by_name("zipf").expect("a generator");
    let options = GenOptions { requests: Some(500), ..GenOptions::default() };
    let trace = Trace::record(&mut *def.generate(&Value::Null, &options).expect("sound"), 1);
    for (name, start) in [("t.jsonl", &b"{\"tr"[..]), ("t.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd])] {
        write_file(&trace, folder.join(name)).expect("room on the disk");
        assert!(std::fs::read(folder.join(name)).expect("just written").starts_with(start));
        let back = read_file(folder.join(name), &ReadOptions::default()).expect("just written");
        assert_eq!(back.requests, trace.requests);
    }
    std::fs::remove_dir_all(&folder).expect("just made");
}

#[test]
fn contradictions_are_refused() {
    let head = "{\"trimtab_trace\":1,\"block_tokens\":1,\"timed\":true}\n";
    for (row, words) in [
        (r#"{"t":0,"in":5,"out":1,"nodes":[0,5],"leaf":1}"#, "a node that was listed"),
        (r#"{"t":0,"in":5,"out":1,"nodes":[2,5],"leaf":0}"#, "a parent that came before"),
        (r#"{"t":0,"in":5,"out":1,"nodes":[0,0],"leaf":0}"#, "an end after that of the parent"),
        (r#"{"t":0,"in":5,"out":1,"nodes":[0,5,1],"leaf":0}"#, "an even number"),
        (r#"{"t":0,"in":6,"out":1,"nodes":[0,5],"leaf":0}"#, "a node in which the prompt ends"),
        (r#"{"t":0,"in":5,"out":1,"nodes":[0,5,0,9],"leaf":0,"out_leaf":1}"#, "continues the prompt"),
        (r#"{"in":5,"out":1}"#, "field `t` is absent"),
        (r#"{"t":0,"in":5,"out":1,"priority":40000}"#, "16 bits"),
    ] {
        let error =
            read_bytes(format!("{head}{row}\n").as_bytes(), &ReadOptions::default()).expect_err(row).to_string();
        assert!(error.contains(words) && error.contains("line 2"), "{row}: {error}");
    }
    let newer = head.replace("\"trimtab_trace\":1", "\"trimtab_trace\":2");
    let error = read_bytes(newer.as_bytes(), &ReadOptions::default()).expect_err("a newer version").to_string();
    assert!(error.contains("version 1"), "{error}");
}
