//! Results that no run has made, as tables in a folder.

use std::path::Path;

use trimtab_table::{Column, Table};

const SCHEDULERS: [&str; 12] = [
    "round-robin",
    "least-loaded",
    "cache-affinity",
    "DualMap (β=1.5)",
    "mooncake",
    "min-ttft",
    "sglang-cache-aware",
    "production-stack-prefixaware",
    "join-shortest-queue",
    "sticky-session",
    "dynamo-kv",
    "power-of-two",
];

/// What a made-up experiment varied.
#[derive(Clone, Default)]
pub(crate) struct Varied {
    pub(crate) schedulers: usize,
    pub(crate) rates: Vec<Option<f64>>,
    /// Of the caches; not varied when empty.
    pub(crate) sizes: Vec<u64>,
    pub(crate) seeds: u64,
}

/// A cell of it: scheduler, rate, size and seed.
type Cell = (usize, Option<f64>, Option<u64>, u64);

impl Varied {
    fn cells(&self) -> Vec<Cell> {
        let sizes: Vec<Option<u64>> = self.sizes.iter().copied().map(Some).collect();
        let sizes = if sizes.is_empty() { vec![None] } else { sizes };
        let mut cells = Vec::new();
        for scheduler in 0..self.schedulers {
            for &size in &sizes {
                cells.extend(
                    self.rates.iter().flat_map(|&rate| (1..=self.seeds).map(move |seed| (scheduler, rate, size, seed))),
                );
            }
        }
        cells
    }
}

/// Quality falls and times grow with the rate, later schedulers being better, and larger caches.
pub(crate) fn write_results(folder: &Path, varied: &Varied) {
    let rows = varied.cells();
    let load = |&(scheduler, rate, size, seed): &Cell| {
        let help =
            2.5 * (scheduler % 4) as f64 + 0.6 * (scheduler / 4) as f64 + size.map_or(0.0, |size| size as f64 / 1e6);
        rate.unwrap_or(6.0) / (6.0 + help) * (1.0 + 0.03 * (seed as f64 - 3.0))
    };
    let hit = |row: &Cell| {
        (0.2 + 0.07 * row.0 as f64 + 0.02 * (row.3 as f64 - 2.0)) * row.2.map_or(1.0, |size| 1.0 - 5e4 / size as f64)
    };
    let real = |value: &dyn Fn(f64) -> f64| Column::real(rows.iter().map(|row| value(load(row))));
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).unwrap();
    add("cell", Column::text((0..rows.len()).map(|row| format!("c{row}"))));
    add("seed", Column::count(rows.iter().map(|row| row.3)));
    add("label", Column::text(rows.iter().map(|row| SCHEDULERS[row.0])));
    add("rate_rps", Column::Real(rows.iter().map(|row| row.1).collect()));
    if !varied.sizes.is_empty() {
        add("cluster.kv_tokens", Column::Count(rows.iter().map(|row| row.2).collect()));
    }
    add("requests", Column::count(rows.iter().map(|_| 1000)));
    add("slo_attainment", real(&|load| 1.0 / (1.0 + (8.0 * (load - 1.0)).exp())));
    add("goodput_rps", real(&|load| 6.0 * load / (1.0 + (8.0 * (load - 1.0)).exp())));
    for (time, scale) in [("ttft", 0.5), ("tpot", 0.03), ("e2e", 8.0)] {
        for (quantile, factor) in [("p50", 0.3), ("p90", 1.0), ("p99", 2.0)] {
            add(&format!("{time}_{quantile}_s"), real(&|load| scale * factor * (2.5 * load).exp()));
        }
    }
    add("hit_ratio_tokens", Column::real(rows.iter().map(hit)));
    add(
        "load_cv",
        Column::real(rows.iter().map(|row| 0.3 + 0.15 * row.0 as f64 + 0.3 * load(row) + 0.02 * row.3 as f64)),
    );
    table.write(&folder.join("summary.csv")).unwrap();
    let slo = "[slo]\nttft_s = 5.0\ntpot_s = 0.05\ne2e_s = 60.0\nattain = 0.9\n";
    std::fs::write(folder.join("spec.toml"), format!("schema = 1\nwarmup_requests = 1\n{slo}")).unwrap();
    for (number, row) in rows.iter().enumerate().filter(|_| varied.rates.len() == 1) {
        let cell = folder.join(format!("cells/c{number}"));
        std::fs::create_dir_all(&cell).unwrap();
        let mut requests = Table::new();
        for (name, scale) in [("ttft_s", 0.1), ("tpot_s", 0.02), ("e2e_s", 2.0)] {
            let time = |n: u32| (n != 40).then(|| load(row) * (0.2 * f64::from(n % 20)).exp() * scale);
            requests.push(name, Column::Real((0..200).map(time).collect())).unwrap();
        }
        requests.write(&cell.join("requests.parquet")).unwrap();
        write_load(&cell, load(row));
        // A cluster that grows: attainment falls, and recovers when there are more instances.
        let window = |n: u32| {
            let from = 10 * n;
            let (attainment, members) = if n < 7 { (1.0 - 0.1 * f64::from(n) * load(row), 4) } else { (0.95, 8) };
            format!(r#"{{"from_s": {from}.0, "members": {members}, "attainment": {attainment}, "hit_ratio": 0.4}}"#)
        };
        let windows: Vec<String> = (0..12).map(window).collect();
        let text = format!(r#"{{"metrics": {{"fleet": {{"windows": [{}]}}}}}}"#, windows.join(","));
        std::fs::write(folder.join(format!("cells/c{number}.json")), text).unwrap();
    }
}

/// Eight instances whose queues come and go, further apart where there is more load.
pub(crate) fn write_load(cell: &Path, load: f64) {
    let rows: Vec<(u32, u32)> = (0..36).flat_map(|window| (0..8).map(move |instance| (window, instance))).collect();
    let wave = |&(window, instance): &(u32, u32)| {
        let phase = 0.25 * f64::from(window) + f64::from(instance);
        load * load * (1.0 + phase.sin()) * f64::from(instance + 1)
    };
    let mut table = Table::new();
    table.push("from_s", Column::real(rows.iter().map(|row| 10.0 * f64::from(row.0)))).unwrap();
    table.push("instance", Column::count(rows.iter().map(|row| u64::from(row.1)))).unwrap();
    table.push("waiting", Column::real(rows.iter().map(wave))).unwrap();
    table.push("pending_tokens", Column::real(rows.iter().map(|row| 3000.0 * wave(row)))).unwrap();
    table.push("moved", Column::count(rows.iter().map(|row| u64::from((row.0 + row.1) % 3)))).unwrap();
    // The last instance joins after two minutes.
    let there = |row: &(u32, u32)| if row.1 == 7 && row.0 < 12 { 0.0 } else { 1.0 };
    table.push("serving", Column::real(rows.iter().map(there))).unwrap();
    table.write(&cell.join("load.parquet")).unwrap();
}

/// Ratios to the first scheduler; the last one has a single seed.
pub(crate) fn write_comparisons(folder: &Path, schedulers: usize) {
    let metrics = ["slo_attainment", "goodput_rps", "ttft_p90_s", "e2e_p90_s", "hit_ratio_tokens", "load_cv"];
    let rows: Vec<(usize, usize)> =
        (1..schedulers).flat_map(|label| (0..metrics.len()).map(move |m| (label, m))).collect();
    let ratio = |&(label, metric): &(usize, usize)| {
        let step = 0.12 * label as f64;
        if metric == 2 { 0.2 / step } else { 0.95 + step }
    };
    let end = |by: f64| {
        let one = |row: &(usize, usize)| (row.0 + 1 < schedulers).then(|| ratio(row) * by);
        Column::Real(rows.iter().map(one).collect())
    };
    let mut table = Table::new();
    table.push("label", Column::text(rows.iter().map(|row| SCHEDULERS[row.0]))).unwrap();
    table.push("rate_rps", Column::real(rows.iter().map(|_| 6.0))).unwrap();
    table.push("baseline", Column::text(rows.iter().map(|_| SCHEDULERS[0]))).unwrap();
    table.push("metric", Column::text(rows.iter().map(|row| metrics[row.1]))).unwrap();
    table.push("n", Column::count(rows.iter().map(|_| 5))).unwrap();
    table.push("ratio", Column::real(rows.iter().map(ratio))).unwrap();
    table.push("ratio_lo", end(0.9)).unwrap();
    table.push("ratio_hi", end(1.15)).unwrap();
    table.push("verdict", Column::text(rows.iter().map(|_| "better"))).unwrap();
    table.write(&folder.join("comparisons.csv")).unwrap();
}

pub(crate) fn write_capacity(folder: &Path) {
    let mut table = Table::new();
    table.push("label", Column::text(SCHEDULERS.iter().take(4).copied())).unwrap();
    table.push("capacity_lo_rps", Column::real([5.5, 8.25, 10.0, 64.0])).unwrap();
    table.push("capacity_hi_rps", Column::Real(vec![Some(6.1), Some(8.5), Some(11.5), None])).unwrap();
    table.push("seeds", Column::count([10; 4])).unwrap();
    table.write(&folder.join("capacity.csv")).unwrap();
}

/// A few schedulers at seven rates.
pub(crate) fn rates() -> Varied {
    Varied { schedulers: 4, rates: (1..=7).map(|n| Some(2.0 * f64::from(n))).collect(), sizes: Vec::new(), seeds: 5 }
}

/// A few schedulers at one rate.
pub(crate) fn single() -> Varied {
    Varied { rates: vec![None], ..rates() }
}

/// Caches of several sizes.
pub(crate) fn sizes() -> Varied {
    Varied { sizes: vec![100_000, 200_000, 800_000], ..single() }
}

/// Results that differ in the eviction policy, on two workloads.
pub(crate) fn write_evictions(folder: &Path) {
    let mut rows = Vec::new();
    for case in ["conversation", "long documents"] {
        for policy in ["lru", "rlt", "belady"] {
            for label in ["least-loaded", "dualmap"] {
                rows.extend([1.0, 2.0, 3.0].map(|seed| (case, policy, label, seed)));
            }
        }
    }
    let text =
        |get: fn(&(&'static str, &'static str, &'static str, f64)) -> &'static str| Column::text(rows.iter().map(get));
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).unwrap();
    add("cell", Column::text((0..rows.len()).map(|row| format!("c{row}"))));
    add("case", text(|row| row.0));
    add("label", text(|row| row.2));
    add("rate_rps", Column::Real(vec![None; rows.len()]));
    add("cluster.eviction", text(|row| row.1));
    add("requests", Column::count(rows.iter().map(|_| 1000)));
    add("hit_ratio_tokens", Column::real((0..rows.len()).map(|row| 0.1 + 0.01 * row as f64)));
    table.write(&folder.join("summary.csv")).unwrap();
}

/// Adds objectives besides the time to first token, which four of five requests of those in time meet as well.
pub(crate) fn add_objectives(folder: &Path) {
    let path = folder.join("summary.csv");
    let mut summary = Table::read(&path).unwrap();
    let ttft = summary.get("slo_attainment").unwrap();
    let all = (0..summary.rows()).map(|row| ttft.number(row).map(|share| 0.8 * share)).collect();
    summary.push("joint_attainment", Column::Real(all)).unwrap();
    summary.write(&path).unwrap();
    let path = folder.join("comparisons.csv");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let of_ttft = text.lines().filter(|line| line.contains("slo_attainment"));
        let of_all: String = of_ttft.map(|line| line.replace("slo_attainment", "joint_attainment") + "\n").collect();
        std::fs::write(&path, text + &of_all).unwrap();
    }
}
