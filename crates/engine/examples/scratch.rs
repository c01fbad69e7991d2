#![allow(warnings)]
use std::sync::Arc;
use trimtab_core::*;
use trimtab_engine::cost::*;
use trimtab_engine::*;
struct Fixed {
    p: u64,
    d: u64,
}
impl StepCost for Fixed {
    fn step(&self, s: &StepShape) -> u64 {
        (if s.prefill_seqs > 0 { self.p } else { 0 }) + (if s.decode_seqs > 0 { self.d } else { 0 })
    }
    fn line(&self, n: u32, c: u64) -> Line {
        Line { first: self.d, delta: 0, steps: u64::MAX }
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).unwrap();
    let blocks: u64 = args[2].parse().unwrap();
    let speed: u64 = args[3].parse().unwrap();
    let stepping = if args.get(4).map(|s| s.as_str()) == Some("every") { Stepping::Every } else { Stepping::Macro };
    let mut forest = PrefixForest::new();
    let mut ids: Vec<Option<PrefixId>> = vec![];
    let mut reqs = vec![];
    let t0 = std::time::Instant::now();
    for (i, line) in text.lines().enumerate() {
        let num = |k: &str| -> u64 {
            let p = line.find(k).unwrap() + k.len();
            line[p..].chars().take_while(|c| c.is_ascii_digit()).collect::<String>().parse().unwrap()
        };
        let ts = num("\"timestamp\": ");
        let inp = num("\"input_length\": ") as u32;
        let out = num("\"output_length\": ") as u32;
        let p = line.find('[').unwrap();
        let q = line.find(']').unwrap();
        let mut leaf = None;
        let mut n = 0;
        for h in line[p + 1..q].split(", ") {
            let h: usize = h.parse().unwrap();
            if ids.len() <= h {
                ids.resize(h + 1, None);
            }
            n += 1;
            let end = (n * 512);
            let node = *ids[h].get_or_insert_with(|| forest.add(leaf, end).unwrap());
            leaf = Some(node);
        }
        reqs.push(Request::new(i as u32, SimTime(ts * PS_PER_MS / speed), Prompt { leaf, tokens: inp }, out));
    }
    let mut w = FixedWorkload::new(forest, reqs);
    let t1 = std::time::Instant::now();
    let ic = InstanceConfig {
        cost: Arc::new(Fixed { p: 20 * PS_PER_MS, d: 10 * PS_PER_MS }),
        kv_blocks: blocks,
        block_tokens: 512,
        max_batched_tokens: 8192,
        max_seqs: 256,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig { visible: Visible::Scheduled, generated: Generated::Keep, ..Default::default() },
    };
    let cfg = ClusterConfig { instances: vec![ic; 8], seed: 1, stepping, slo_ttft: None, series: false };
    let reg = trimtab_sched::Registry::default();
    let def = reg.get("round-robin").unwrap();
    let s = (def.build)(&serde_json::Value::Null, &build_context(&cfg)).unwrap();
    let r = run(&cfg, def, s, &mut w);
    let t2 = std::time::Instant::now();
    eprintln!(
        "parse {:?} run {:?} iterations {} evicted {} gaps {:?} cv {}",
        t1 - t0,
        t2 - t1,
        r.instances.iter().map(|i| i.iterations).sum::<u64>(),
        r.instances.iter().map(|i| i.evicted_blocks).sum::<u64>(),
        r.gaps.summary(),
        r.load_cv
    );
    for (i, x) in r.rows.iter().enumerate() {
        println!(
            "{},{},{},{},{},{},{}",
            i,
            x.instance.0,
            x.first_token.0 as f64 / 1e9,
            x.finish.0 as f64 / 1e9,
            x.hit_tokens,
            x.preemptions,
            x.outcome as u8
        );
    }
}
