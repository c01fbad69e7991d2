//! The statistics as a table for people.

use std::fmt::Write;

use super::sharing::{Quantiles, Zipf};
use super::{Lengths, Stats};

/// Width of the column of names, two spaces included.
const NAME: usize = 36;

impl Stats {
    /// As lines of name and value.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let line = format!("{name:<NAME$}{value}");
            writeln!(text, "{}", line.trim_end()).expect("memory");
        };
        let rate = self.rate_rps.map_or("n/a".to_owned(), |rate| format!("{rate:.3} /s"));
        line("requests", self.rows.to_string());
        line("span, rate", format!("{:.1} s, {rate}", self.span_s));
        line("distinct times", format!("{} of {}", self.distinct_times, self.rows));
        let arrivals = &self.arrivals;
        let optional = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
        line("gap CV, longest gap", format!("{}, {:.1} s", optional(arrivals.gap_cv), arrivals.longest_gap_s));
        line("variance/mean per tick", optional(arrivals.tick_dispersion));
        for window in &arrivals.windows {
            let (peak, mean, dispersion) = (window.peak, window.mean, window.dispersion);
            line(
                &format!("requests in {} s", window.window_s),
                format!("mean {mean:.1}, peak {peak}, variance/mean {dispersion:.2}"),
            );
        }
        line("input tokens", lengths(&self.input_tokens));
        line("output tokens", lengths(&self.output_tokens));
        let tail = if self.partial_tail { "partial last blocks matched" } else { "full blocks only" };
        line(
            "blocks, unique",
            format!("{}, {} ({} tokens; {tail})", self.blocks, self.unique_blocks, self.block_tokens),
        );
        let hit = &self.hit_ratio;
        line("hit ratio, infinite cache", String::new());
        line("  blocks / all blocks", format!("{:.3}", hit.blocks));
        line("  tokens / all tokens", format!("{:.3}", hit.tokens));
        line("  blocks / full blocks", format!("{:.3}", hit.full_blocks));
        line("  mean of requests", format!("{:.3}", hit.per_request));
        line("hit ratio, LRU", "blocks  tokens".to_owned());
        for point in &self.lru {
            line(
                &format!("  {:>9} blocks", point.capacity_blocks),
                format!("{:.3}   {:.3}", point.hit_blocks, point.hit_tokens),
            );
        }
        let s = &self.sharing;
        line("share >= 1, >= 2 blocks, earlier", percents(&[s.one_block_earlier, s.two_blocks_earlier]));
        line("share half, with an earlier", percents(&[s.half_earlier]));
        line("share half, with any other", percents(&[s.half_any]));
        line("share half, any other, >= 2 blocks", percents(&[s.half_any_two_blocks]));
        line("fully cached prompts", s.fully_cached.to_string());
        line("shared depth in blocks", quantiles(&s.depth_blocks, 1));
        line("branches on a prompt's path", quantiles(&s.branches, 1));
        line("blocks used once", percents(&[s.used_once]));
        line("reuse distance, s", quantiles(&self.reuse.ms, 1000));
        line("reuse distance, requests", quantiles(&self.reuse.requests, 1));
        for prefix in &self.popularity.prefixes {
            line(
                &format!("commonest prefix of {} blocks", prefix.blocks),
                format!("{:.2} %, top ten {:.2} %{}", 100.0 * prefix.top, 100.0 * prefix.top_10, zipf(prefix.zipf)),
            );
        }
        let all_blocks = zipf(self.popularity.all_blocks);
        line("popularity of all blocks", all_blocks.strip_prefix(", ").unwrap_or("too few for a fit").to_owned());
        let sessions = &self.sessions;
        line("sessions by prefix", format!("{} roots, {} follow-ups", sessions.roots, sessions.follow_ups));
        line("  of 1, 2, 3, 4 turns", percents(&sessions.turns));
        line("  turns", quantiles(&sessions.turns_quantiles, 1));
        line("  follow-ups that keep all blocks", percents(&[sessions.keep_all]));
        line("  their growth in tokens", quantiles(&sessions.growth, 1));
        line("  less the previous output", quantiles(&sessions.growth_less_output, 1));
        line("  the others keep on average", percents(&[sessions.kept_part]));
        line("  gap between turns, s", quantiles(&sessions.gap_ms, 1000));
        if self.recorded_sessions > 0 {
            line("recorded sessions", self.recorded_sessions.to_string());
        }
        text
    }
}

fn lengths(l: &Lengths) -> String {
    format!("mean {:.0}, p50 {}, p90 {}, p99 {}, max {}", l.mean, l.p50, l.p90, l.p99, l.max)
}

fn quantiles(q: &Quantiles, unit: u64) -> String {
    format!("p50 {}, p90 {}, p99 {}, max {}", q.p50 / unit, q.p90 / unit, q.p99 / unit, q.max / unit)
}

fn percents(shares: &[f64]) -> String {
    let texts: Vec<String> = shares.iter().map(|share| format!("{:.2} %", 100.0 * share)).collect();
    texts.join(", ")
}

fn zipf(fit: Option<Zipf>) -> String {
    fit.map_or(String::new(), |fit| format!(", Zipf s = {:.2} (r2 {:.2}, {} ranks)", fit.s, fit.r2, fit.ranks))
}
