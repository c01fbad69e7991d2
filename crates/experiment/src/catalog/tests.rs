use super::*;

#[test]
fn every_built_in_entry_is_sound_and_found_by_its_names() {
    for (file, entry) in MODELS.iter().map(|(file, _)| *file).zip(models()) {
        assert_eq!(file, entry.name);
        for name in std::iter::once(&entry.name).chain(&entry.aliases) {
            assert_eq!(model(name).unwrap().name, entry.name, "{name}");
            assert_eq!(*name, name.to_lowercase());
        }
        resolve(&entry.name, "b200", 1, Overrides::default()).unwrap();
    }
    for (file, entry) in HARDWARE.iter().map(|(file, _)| *file).zip(all_hardware()) {
        assert_eq!(file, entry.name);
        for name in std::iter::once(&entry.name).chain(&entry.aliases) {
            assert_eq!(hardware(name).unwrap().name, entry.name, "{name}");
        }
        resolve("qwen2.5-7b", &entry.name, 1, Overrides::default()).unwrap();
    }
    assert_eq!(hardware("h100").unwrap().memory_bytes, 85_000_000_000);
}

#[test]
#[expect(clippy::float_cmp, reason = "whole numbers below 2^53 are exact")]
fn published_parameter_counts() {
    for (name, total, layers, kv_bytes) in [
        ("llama-3.1-8b", 8_030_261_248_u64, 6_979_321_856_u64, 131_072.0),
        ("llama-3.1-70b", 70_553_706_496, 68_451_041_280, 327_680.0),
        ("qwen2.5-7b", 7_615_616_512, 6_525_288_448, 57_344.0),
        ("qwen2.5-14b", 14_770_033_664, 13_212_057_600, 196_608.0),
        ("qwen2.5-32b", 32_763_876_352, 31_205_621_760, 262_144.0),
        ("qwen2.5-72b", 72_706_203_648, 70_212_648_960, 327_680.0),
        ("qwen3-14b", 14_768_307_200, 13_212_057_600, 163_840.0),
        ("qwen3-32b", 32_762_123_264, 31_205_621_760, 262_144.0),
    ] {
        let model = model(name).unwrap();
        assert_eq!(model.total_params(), total as f64, "{name}");
        assert_eq!(model.dense_params(), layers as f64, "{name}");
        assert_eq!(model.kv_bytes_per_token(), kv_bytes, "{name}");
    }
    // (total, active without embeddings) in billions, from the model cards.
    for (name, total, active) in [("mixtral-8x7b", 46.7, 12.6), ("qwen3-30b-a3b", 30.53, 2.73)] {
        let model = model(name).unwrap();
        assert!((model.total_params() / 1e9 / total - 1.0).abs() < 0.01, "{name} {}", model.total_params());
        assert!((model.active_params() / 1e9 / active - 1.0).abs() < 0.01, "{name} {}", model.active_params());
    }
}

/// Block counts that vLLM servers logged (blocks of 16 tokens, 90 % of the memory).
#[test]
fn block_counts_of_real_servers() {
    for (model, hardware, tp, batched, logged) in [
        ("llama-3.1-8b", "rtx-4090", 1, 2048, 2_588.0),
        ("qwen2.5-7b", "h100", 1, 1024, 65_368.0),
        ("qwen2.5-7b", "h100", 1, 2048, 65_352.0),
        ("mistral-nemo-12b", "h100", 1, 2048, 19_251.0),
        ("mistral-nemo-12b", "h100", 2, 2048, 48_009.0),
        ("llama-3.1-70b", "h100", 4, 2048, 30_425.0),
        ("llama-3.1-70b", "h100", 4, 8192, 30_251.0),
        ("yi-34b", "h100", 2, 2048, 20_793.0),
        // Its log implies a third of the overhead of all other runs.
        ("llama-2-7b", "h100", 1, 2048, 7_463.0),
    ] {
        let blocks =
            resolve(model, hardware, tp, Overrides::default()).unwrap().kv_blocks(16, batched, 0.9).unwrap() as f64;
        let error = blocks / logged - 1.0;
        assert!(error.abs() < 0.025, "{model} on {tp} x {hardware}, {batched}: {blocks} of {logged}");
    }
}

#[test]
fn heads_are_replicated_beyond_their_number() {
    for (tp, expected) in [(1, 57_344.0), (2, 28_672.0), (4, 14_336.0), (7, 14_336.0), (28, 14_336.0)] {
        let per_gpu = resolve("qwen2.5-7b", "h100", tp, Overrides::default()).unwrap().kv_bytes_per_token();
        assert!((per_gpu - expected).abs() < 0.5, "tp {tp}: {per_gpu}");
    }
}

#[test]
fn misses_name_the_remedy() {
    for (error, expected) in [
        (model("qwen2.5-7").unwrap_err(), "unknown model `qwen2.5-7`, did you mean `qwen2.5-7b`?"),
        (hardware("rtx-409").unwrap_err(), "did you mean `rtx-4090`?"),
        (model("no/such/file.toml").unwrap_err(), "no/such/file.toml: "),
        (resolve("qwen2.5-7b", "h100", 3, Overrides::default()).unwrap_err(), "28 query heads"),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    let large =
        resolve("llama-3.1-70b", "h100", 1, Overrides::default()).unwrap().kv_blocks(16, 2048, 0.9).unwrap_err();
    for part in ["does not fit", "141.1 GB", "at least 4 GPUs"] {
        assert!(large.to_string().contains(part), "{large}");
    }
}

#[test]
fn hugging_face_configs_become_models() {
    let parse = |text: &str| huggingface::parse(Path::new("zoo/Net/config.json"), text);
    let llama = r#"{"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "torch_dtype": "bfloat16"}"#;
    let parsed = parse(llama).unwrap();
    assert_eq!(parsed.name, "net");
    let known = model("llama-3.1-8b").unwrap();
    let renamed = Model { name: parsed.name.clone(), aliases: vec![], source: parsed.source.clone(), ..known };
    assert_eq!(Model { summary: renamed.summary.clone(), ..parsed }, renamed);

    let moe = r#"{"model_type": "qwen3_moe", "num_hidden_layers": 48, "hidden_size": 2048, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "vocab_size": 151936, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "quantization_config": {"quant_method": "fp8"}}"#;
    let parsed = parse(moe).unwrap();
    assert_eq!(parsed.moe, model("qwen3-30b-a3b").unwrap().moe);
    assert_eq!(parsed.weights, WeightType::Fp8);

    for (text, expected) in [
        ("{", "EOF"),
        (r#"{"num_hidden_layers": 2}"#, "`num_attention_heads` is missing"),
        (&llama.replace("32,", "-1,"), "invalid value"),
        (&llama.replace("\"torch", "\"kv_lora_rank\": 512, \"torch"), "MLA"),
        (&llama.replace("\"torch", "\"quantization_config\": {\"quant_method\": \"awq\"}, \"torch"), "`awq`"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
