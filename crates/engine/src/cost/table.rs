//! The table model: interpolates measured step times, in whole picoseconds once built.

use std::collections::BTreeMap;

use super::{Line, StepCost, StepShape};

/// A measured prefill step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillPoint {
    /// New tokens.
    pub tokens: u64,
    /// Query-key pairs of its attention, as in [`StepShape::prefill_pairs`].
    pub pairs: u64,
    /// Time, in picoseconds.
    pub ps: u64,
}

/// A measured decode step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodePoint {
    /// Sequences; at least 1.
    pub seqs: u32,
    /// Their contexts together.
    pub context: u64,
    /// Time, in picoseconds.
    pub ps: u64,
}

/// Why no table could be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// One of the two grids is empty.
    #[error("the profile has no {0} steps; a table needs both kinds")]
    Empty(&'static str),
    /// A number is 0 or too large to compute with.
    #[error("a {0} step of the profile has a time or size of 0, or beyond 2^62")]
    Range(&'static str),
}

/// Sizes and times beyond this could overflow when they are added up.
const LARGEST: u64 = 1 << 62;

/// Measured grids of prefill steps (by new tokens and query-key pairs) and decode steps (by sequences and context).
///
/// - Between knots it interpolates linearly in both directions; before the first knot it is flat; after the last one it
///   goes on with the slope of the largest measured batch.
/// - It is monotone by construction: where a measurement falls below a smaller step's, the larger time stands for both.
/// - A mixed step takes its prefill (with the decodes' tokens added), plus what its decodes take beyond the smallest
///   decode step: their weight reads are shared.
#[derive(Clone, Debug)]
pub struct Table {
    prefill: Grid,
    decode: Decode,
    /// The smallest decode step: what every step costs at least.
    base: u64,
}

impl Table {
    /// Builds both grids.
    pub fn new(prefill: &[PrefillPoint], decode: &[DecodePoint]) -> Result<Self, TableError> {
        let prefill: Vec<_> = prefill.iter().map(|p| (p.tokens, p.pairs, p.ps)).collect();
        let decode: Vec<_> = decode.iter().map(|p| (u64::from(p.seqs), p.context, p.ps)).collect();
        for (kind, points) in [("prefill", &prefill), ("decode", &decode)] {
            if points.is_empty() {
                return Err(TableError::Empty(kind));
            }
            if points.iter().any(|&(x, y, ps)| x == 0 || ps == 0 || x.max(y).max(ps) >= LARGEST) {
                return Err(TableError::Range(kind));
            }
        }
        let decode = Decode::new(&Grid::new(&decode));
        let base = decode.at(1, 0);
        Ok(Self { prefill: Grid::new(&prefill), decode, base })
    }
}

impl StepCost for Table {
    fn step(&self, shape: &StepShape) -> u64 {
        let decode = if shape.decode_seqs > 0 { self.decode.at(shape.decode_seqs, shape.decode_context) } else { 0 };
        if shape.prefill_seqs == 0 {
            return decode.max(1);
        }
        let pairs = u64::try_from(shape.prefill_pairs).unwrap_or(LARGEST);
        let prefill = self.prefill.at(shape.prefill_tokens + u64::from(shape.decode_seqs), pairs);
        prefill.max(self.base) + decode.saturating_sub(self.base)
    }

    fn line(&self, seqs: u32, context: u64) -> Line {
        let first = self.step(&StepShape::decode(seqs, context));
        let (slope, left) = self.decode.slope(seqs, context);
        // The step at the knot itself still lies on this side's line.
        let steps = if seqs == 0 { u64::MAX } else { left.map_or(u64::MAX, |tokens| tokens / u64::from(seqs) + 1) };
        Line { first, delta: slope * u64::from(seqs), steps }
    }
}

/// Times over a rectangle of knots, never decreasing in either direction.
#[derive(Clone, Debug)]
struct Grid {
    xs: Vec<u64>,
    ys: Vec<u64>,
    /// By x, then y.
    times: Vec<Vec<u64>>,
}

impl Grid {
    /// From scattered (x, y, time) points: each x has a row of its own; rows are interpolated at the knots of all.
    fn new(points: &[(u64, u64, u64)]) -> Self {
        let mut rows: BTreeMap<u64, BTreeMap<u64, (u128, u128)>> = BTreeMap::new();
        for &(x, y, ps) in points {
            // Repeated measurements count by their mean.
            let (sum, n) = rows.entry(x).or_default().entry(y).or_default();
            *sum += u128::from(ps);
            *n += 1;
        }
        let rows: BTreeMap<u64, Vec<(u64, u64)>> = rows
            .into_iter()
            .map(|(x, row)| (x, row.into_iter().map(|(y, (sum, n))| (y, whole(sum / n))).collect()))
            .collect();
        let mut ys: Vec<u64> = rows.values().flatten().map(|&(y, _)| y).collect();
        ys.sort_unstable();
        ys.dedup();
        let mut times: Vec<Vec<u64>> = Vec::new();
        for row in rows.values() {
            let mut most = 0;
            let mut line: Vec<u64> = Vec::new();
            for (j, &y) in ys.iter().enumerate() {
                let below = times.last().map_or(0, |smaller| smaller[j]);
                most = row_at(row, y).max(most).max(below);
                line.push(most);
            }
            times.push(line);
        }
        Self { xs: rows.into_keys().collect(), ys, times }
    }

    fn at(&self, x: u64, y: u64) -> u64 {
        let (i, last) = (segment(&self.xs, x), self.xs.len() - 1);
        let low = self.row_at(i, y);
        if x <= self.xs[0] {
            return low;
        }
        if i == last {
            return low.saturating_add(whole(u128::from(self.x_slope()) * u128::from(x - self.xs[last])));
        }
        let high = self.row_at(i + 1, y);
        low + share(high - low, x - self.xs[i], self.xs[i + 1] - self.xs[i])
    }

    /// The i-th row at `y`.
    fn row_at(&self, i: usize, y: u64) -> u64 {
        let (j, last, row) = (segment(&self.ys, y), self.ys.len() - 1, &self.times[i]);
        if y <= self.ys[0] {
            return row[0];
        }
        if j == last {
            // All rows go on with one slope, or they would cross.
            return row[j].saturating_add(whole(u128::from(self.y_slope()) * u128::from(y - self.ys[j])));
        }
        row[j] + share(row[j + 1] - row[j], y - self.ys[j], self.ys[j + 1] - self.ys[j])
    }

    /// Time per unit of x beyond the last row, taken where y is least, so that rows beyond stay parallel.
    fn x_slope(&self) -> u64 {
        let n = self.xs.len();
        if n < 2 {
            return 0;
        }
        (self.times[n - 1][0] - self.times[n - 2][0]) / (self.xs[n - 1] - self.xs[n - 2])
    }

    /// Time per unit of y beyond the last knot.
    fn y_slope(&self) -> u64 {
        let (n, row) = (self.ys.len(), &self.times[self.xs.len() - 1]);
        if n < 2 {
            return 0;
        }
        (row[n - 1] - row[n - 2]) / (self.ys[n - 1] - self.ys[n - 2])
    }
}

/// Interpolates one measured row; flat before its first point, straight on after its last.
fn row_at(row: &[(u64, u64)], y: u64) -> u64 {
    let next = row.partition_point(|&(knot, _)| knot <= y);
    if next == 0 {
        return row[0].1;
    }
    // Past the end, the last two points lead on.
    let upper = next.min(row.len() - 1).max(1.min(row.len() - 1));
    let ((y0, t0), (y1, t1)) = (row[upper.saturating_sub(1)], row[upper]);
    if y1 == y0 || t1 <= t0 {
        return if next == row.len() { t0.max(t1) } else { t0 };
    }
    t0 + whole(u128::from(t1 - t0) * u128::from(y - y0) / u128::from(y1 - y0))
}

/// The decode grid with one row for every number of sequences and whole slopes, so that runs of steps are exact.
#[derive(Clone, Debug)]
struct Decode {
    /// Context knots.
    ys: Vec<u64>,
    /// For 1, 2, 3, ... sequences: time at each knot.
    times: Vec<Vec<u64>>,
    /// And picoseconds per context token after it.
    slopes: Vec<Vec<u64>>,
    /// Picoseconds for each sequence beyond the last row.
    per_seq: u64,
}

impl Decode {
    fn new(grid: &Grid) -> Self {
        let last = *grid.xs.last().expect("a grid has rows");
        let beyond = grid.y_slope();
        let mut times: Vec<Vec<u64>> = Vec::new();
        let mut slopes: Vec<Vec<u64>> = Vec::new();
        for seqs in 1..=last {
            let smaller = times.last();
            let (mut row, mut slope): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            let mut at = grid.at(seqs, grid.ys[0]).max(smaller.map_or(0, |s| s[0]));
            for j in 0..grid.ys.len() {
                row.push(at);
                let Some(&next) = grid.ys.get(j + 1) else {
                    slope.push(beyond);
                    break;
                };
                // Aim at the next knot's time from where rounding has brought us, and never below fewer sequences.
                let span = next - grid.ys[j];
                let aim = (grid.at(seqs, next).saturating_sub(at) + span / 2) / span;
                let floor = smaller.map_or(0, |s| s[j + 1].saturating_sub(at).div_ceil(span));
                slope.push(aim.max(floor));
                at += aim.max(floor) * span;
            }
            times.push(row);
            slopes.push(slope);
        }
        Self { ys: grid.ys.clone(), times, slopes, per_seq: grid.x_slope() }
    }

    /// The row of a number of sequences, and how many sequences lie beyond the last row.
    fn row(&self, seqs: u32) -> (usize, u64) {
        let rows = self.times.len();
        let wanted = usize::try_from(seqs).unwrap_or(usize::MAX).max(1);
        (wanted.min(rows) - 1, wanted.saturating_sub(rows) as u64)
    }

    fn at(&self, seqs: u32, context: u64) -> u64 {
        let ((row, beyond), j) = (self.row(seqs), segment(&self.ys, context));
        let past = context.saturating_sub(self.ys[j]);
        self.times[row][j] + self.slopes[row][j] * past + self.per_seq * beyond
    }

    /// Picoseconds per context token at a place, and the tokens left to the next knot, if there is one.
    fn slope(&self, seqs: u32, context: u64) -> (u64, Option<u64>) {
        if context < self.ys[0] {
            return (0, Some(self.ys[0] - context));
        }
        let ((row, _), j) = (self.row(seqs), segment(&self.ys, context));
        (self.slopes[row][j], self.ys.get(j + 1).map(|next| next - context))
    }
}

/// The last knot at or below `at`, or the first.
fn segment(knots: &[u64], at: u64) -> usize {
    knots.partition_point(|&knot| knot <= at).saturating_sub(1)
}

/// `rise * part / whole`, rounded down: never decreases with `part` or `rise`.
fn share(rise: u64, part: u64, of: u64) -> u64 {
    whole(u128::from(rise) * u128::from(part) / u128::from(of))
}

fn whole(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefill(tokens: u64, pairs: u64, ps: u64) -> PrefillPoint {
        PrefillPoint { tokens, pairs, ps }
    }

    fn decode(seqs: u32, context: u64, ps: u64) -> DecodePoint {
        DecodePoint { seqs, context, ps }
    }

    fn small() -> Table {
        let prefills = [prefill(10, 55, 2_000), prefill(10, 1_055, 3_000), prefill(30, 465, 5_000)];
        let decodes = [decode(1, 100, 1_000), decode(1, 300, 1_400), decode(3, 100, 1_200), decode(3, 300, 2_000)];
        Table::new(&prefills, &decodes).unwrap()
    }

    #[test]
    fn measured_points_and_the_places_between() {
        let table = small();
        for (seqs, context, expected) in [
            (1, 100, 1_000),
            (1, 300, 1_400),
            (3, 300, 2_000),
            (1, 200, 1_200),
            (2, 300, 1_700),
            // Flat before the first knot, the largest batch's slope of 4 after the last, 100 a sequence beyond the last row.
            (1, 5, 1_000),
            (1, 310, 1_440),
            (3, 310, 2_040),
            (5, 310, 2_240),
        ] {
            assert_eq!(table.step(&StepShape::decode(seqs, context)), expected, "{seqs} {context}");
        }
        let step = |new, cached, seqs, context| {
            let mut shape = StepShape::decode(seqs, context);
            shape.add_chunk(new, cached);
            table.step(&shape)
        };
        assert_eq!(step(10, 0, 0, 0), 2_000);
        assert_eq!(step(10, 100, 0, 0), 3_000);
        assert_eq!(step(20, 0, 0, 0), 2_155 + (5_000 - 2_155) / 2);
        // A mixed step: 20 tokens in the prefill grid (10 of them decodes), and 10 decodes less the smallest decode step.
        assert_eq!(step(10, 0, 10, 100), step_of(&table, 20, 55) + (1_200 + 7 * 100 - 1_000));
    }

    fn step_of(table: &Table, tokens: u64, pairs: u64) -> u64 {
        table.prefill.at(tokens, pairs)
    }

    #[test]
    fn a_measurement_that_falls_is_lifted() {
        let falling = [decode(1, 100, 1_000), decode(1, 200, 900), decode(2, 100, 800), decode(2, 200, 1_300)];
        let table = Table::new(&[prefill(1, 1, 1)], &falling).unwrap();
        for (seqs, context, expected) in [(1, 100, 1_000), (1, 200, 1_000), (2, 100, 1_000), (2, 200, 1_300)] {
            assert_eq!(table.step(&StepShape::decode(seqs, context)), expected, "{seqs} {context}");
        }
    }

    #[test]
    fn runs_end_at_knots() {
        let table = small();
        // 100 tokens to the knot at 300 in steps of 3: 34 steps start at or before it.
        assert_eq!(table.line(3, 200), Line { first: 1_600, delta: 12, steps: 34 });
        assert_eq!(table.line(3, 300), Line { first: 2_000, delta: 12, steps: u64::MAX });
        assert_eq!(table.line(1, 97), Line { first: 1_000, delta: 0, steps: 4 });
    }

    #[test]
    fn empty_and_impossible_profiles_are_refused() {
        let good = decode(1, 1, 1);
        assert_eq!(Table::new(&[], &[good]).unwrap_err(), TableError::Empty("prefill"));
        assert_eq!(Table::new(&[prefill(1, 1, 1)], &[]).unwrap_err(), TableError::Empty("decode"));
        assert_eq!(Table::new(&[prefill(1, 1, 0)], &[good]).unwrap_err(), TableError::Range("prefill"));
        assert_eq!(Table::new(&[prefill(1, 1, 1)], &[decode(0, 1, 1)]).unwrap_err(), TableError::Range("decode"));
    }
}
