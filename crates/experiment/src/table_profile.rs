//! Measured grids from files, as a table model: plain CSV of step times, or Vidur's profiles of single operators.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trimtab_engine::cost::{DecodePoint, Deployment, PrefillPoint, StepShape, Table, TableError};

use crate::calibrate::{Kind, Row, RowsError, Selection, read_rows};

/// Why a profile could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TableProfileError {
    /// The rows could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}{}: {detail}", path.display(), line.map_or(String::new(), |l| format!(":{l}")))]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, where there is one.
        line: Option<u64>,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// The measurements make no table.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
}

/// A table for `deployment` from `path`: a CSV of step times (as for calibration, of which `selection` keeps some), or a
/// folder with Vidur's `mlp.csv` and `attention.csv`.
pub fn load(path: &Path, deployment: &Deployment, selection: &Selection) -> Result<Table, TableProfileError> {
    if path.is_dir() {
        return vidur(&path.join("mlp.csv"), &path.join("attention.csv"), deployment);
    }
    from_rows(path, &read_rows(path, selection)?)
}

/// A table from step times of one hardware, model, degree and engine. Mixed rows are not used.
pub fn from_rows(path: &Path, rows: &[Row]) -> Result<Table, TableProfileError> {
    if let Some(other) = rows.iter().find(|r| r.group() != rows[0].group() || r.engine != rows[0].engine) {
        let name = |r: &Row| format!("{} {} tp {} {}", r.hardware, r.model, r.tp, r.engine);
        let detail =
            format!("rows of `{}` and `{}`; choose one, with --engine for instance", name(&rows[0]), name(other));
        return Err(TableProfileError::Parse { path: path.into(), line: Some(other.line), detail });
    }
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for row in rows {
        let shape = row.shape();
        match row.kind {
            Kind::Prefill => prefill.push(prefill_point(&shape, row.seconds)),
            Kind::Decode => decode.push(decode_point(&shape, row.seconds)),
            Kind::Mixed => {}
        }
    }
    build(path, &prefill, &decode)
}

fn prefill_point(shape: &StepShape, seconds: f64) -> PrefillPoint {
    let pairs = u64::try_from(shape.prefill_pairs).unwrap_or(u64::MAX);
    PrefillPoint { tokens: shape.prefill_tokens, pairs, ps: ps(seconds) }
}

fn decode_point(shape: &StepShape, seconds: f64) -> DecodePoint {
    DecodePoint { seqs: shape.decode_seqs, context: shape.decode_context, ps: ps(seconds) }
}

fn ps(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
    let whole = libm::round(seconds * 1e12) as u64;
    whole
}

fn build(path: &Path, prefill: &[PrefillPoint], decode: &[DecodePoint]) -> Result<Table, TableProfileError> {
    Table::new(prefill, decode).map_err(|source| TableProfileError::Table { path: path.into(), source })
}

/// The operators of one layer in `mlp.csv`; a file may lack those that a model does not have.
const LAYER_OPERATORS: [&str; 9] = [
    "input_layernorm",
    "attn_pre_proj",
    "attn_rope",
    "attn_post_proj",
    "post_attention_layernorm",
    "mlp_up_proj",
    "mlp_act",
    "mlp_down_proj",
    "add",
];

/// Composes steps from Vidur's operator times (medians, in milliseconds): every layer takes its dense operators at the
/// step's tokens and its attention. The output head, the host and, for several GPUs, the all-reduces are not in these
/// files: they come from the analytic terms.
fn vidur(mlp: &Path, attention: &Path, deployment: &Deployment) -> Result<Table, TableProfileError> {
    let (model, tp) = (deployment.model(), u64::from(deployment.tp()));
    let [heads, kv_heads, hidden] = [model.heads, model.kv_heads, model.hidden].map(u64::from);
    let dense = Operators::read(mlp)?;
    let wanted = [
        ("n_head", heads),
        ("n_kv_head", kv_heads),
        ("n_embd", hidden),
        ("n_expanded_embd", u64::from(model.intermediate)),
        ("num_tensor_parallel_workers", tp),
    ];
    let mut by_tokens: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for row in dense.matching(&wanted)? {
        let layer = LAYER_OPERATORS.iter().map(|name| row.optional_ms(name)).sum::<Result<f64, _>>()?;
        by_tokens.entry(row.whole("num_tokens")?).or_default().push(layer);
    }
    let curve: Vec<(u64, f64)> =
        by_tokens.into_iter().map(|(n, times)| (n, times.iter().sum::<f64>() / times.len() as f64)).collect();
    let attention_file = Operators::read(attention)?;
    let wanted =
        [("n_q_head", heads), ("n_kv_head", kv_heads), ("n_embd", hidden), ("num_tensor_parallel_workers", tp)];
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for row in attention_file.matching(&wanted)? {
        let (batch, chunk) = (row.whole("batch_size")?, row.whole("prefill_chunk_size")?);
        let cached = row.whole("kv_cache_size")?;
        let narrow = |n: u64| u32::try_from(n).map_err(|_| row.fault(format!("{n} is too large")));
        let mut shape = StepShape::default();
        let kernel = if chunk > 0 {
            for _ in 0..batch {
                shape.add_chunk(narrow(chunk)?, narrow(cached)?);
            }
            row.ms("attn_prefill")?
        } else {
            shape = StepShape::decode(narrow(batch)?, batch * cached);
            row.ms("attn_decode")?
        };
        let tokens = shape.prefill_tokens + u64::from(shape.decode_seqs);
        let layer = at(&curve, tokens) + kernel + row.optional_ms("attn_kv_cache_save")?;
        let terms = deployment.terms(&shape);
        let outside = terms.all_reduce_start + terms.all_reduce_bytes + terms.head + terms.host_seqs + terms.host_step;
        let seconds = f64::from(model.layers) * layer / 1e3 + outside;
        if chunk > 0 {
            prefill.push(prefill_point(&shape, seconds));
        } else {
            decode.push(decode_point(&shape, seconds));
        }
    }
    build(attention, &prefill, &decode)
}

/// Interpolates a curve, flat before its first point and straight on after its last. It is not empty.
fn at(curve: &[(u64, f64)], n: u64) -> f64 {
    let next = curve.partition_point(|(knot, _)| *knot <= n);
    if next == 0 || curve.len() == 1 {
        return curve[0].1;
    }
    let upper = next.min(curve.len() - 1);
    let ((n0, t0), (n1, t1)) = (curve[upper - 1], curve[upper]);
    t0 + (t1 - t0) * (n as f64 - n0 as f64) / (n1 - n0) as f64
}

/// A CSV of operator times.
struct Operators {
    path: PathBuf,
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

/// One of its rows.
struct OperatorRow<'a> {
    file: &'a Operators,
    record: &'a csv::StringRecord,
}

impl Operators {
    fn read(path: &Path) -> Result<Self, TableProfileError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TableProfileError::Read { path: path.into(), source })?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let fault = |e: csv::Error| TableProfileError::Parse {
            path: path.into(),
            line: e.position().map(csv::Position::line),
            detail: e.to_string(),
        };
        let header = reader.headers().map_err(fault)?.clone();
        let records = reader.records().collect::<Result<_, _>>().map_err(fault)?;
        Ok(Self { path: path.into(), header, records })
    }

    /// The rows of one model and degree.
    fn matching(&self, wanted: &[(&str, u64)]) -> Result<Vec<OperatorRow<'_>>, TableProfileError> {
        let mut rows = Vec::new();
        for record in &self.records {
            let row = OperatorRow { file: self, record };
            let mut fits = true;
            for (name, value) in wanted {
                fits &= row.whole(name)? == *value;
            }
            if fits {
                rows.push(row);
            }
        }
        if rows.is_empty() {
            let asked: Vec<String> = wanted.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let detail = format!("none of {} rows has {}", self.records.len(), asked.join(", "));
            return Err(TableProfileError::Parse { path: self.path.clone(), line: None, detail });
        }
        Ok(rows)
    }
}

impl OperatorRow<'_> {
    fn cell(&self, name: &str) -> Option<&str> {
        self.file.header.iter().position(|h| h == name).and_then(|i| self.record.get(i))
    }

    fn fault(&self, detail: String) -> TableProfileError {
        let line = self.record.position().map(csv::Position::line);
        TableProfileError::Parse { path: self.file.path.clone(), line, detail }
    }

    fn whole(&self, name: &str) -> Result<u64, TableProfileError> {
        let cell = self.cell(name).ok_or_else(|| self.fault(format!("column `{name}` is missing")))?;
        // Some exports write whole numbers as floats.
        let value: f64 = cell.parse().unwrap_or(f64::NAN);
        if !(0.0..1e12).contains(&value) || libm::floor(value).total_cmp(&value).is_ne() {
            return Err(self.fault(format!("`{name}` is `{cell}`; expected a whole number")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        Ok(value as u64)
    }

    /// The median time of an operator that must be there.
    fn ms(&self, operator: &str) -> Result<f64, TableProfileError> {
        let name = format!("time_stats.{operator}.median");
        let cell = self.cell(&name).ok_or_else(|| self.fault(format!("column `{name}` is missing")))?;
        let value: f64 = cell.parse().unwrap_or(f64::NAN);
        if !(value.is_finite() && value > 0.0) {
            return Err(self.fault(format!("`{name}` is `{cell}`; expected a finite time above 0")));
        }
        Ok(value)
    }

    /// The median time of an operator, or nothing when the file or the row does not have it.
    fn optional_ms(&self, operator: &str) -> Result<f64, TableProfileError> {
        match self.cell(&format!("time_stats.{operator}.median")) {
            None | Some("") => Ok(0.0),
            Some(_) => self.ms(operator),
        }
    }
}

#[cfg(test)]
mod tests {
    use trimtab_engine::cost::StepCost;

    use super::*;
    use crate::calibrate::parse_rows;
    use crate::catalog::{Overrides, resolve};

    fn deployment() -> Deployment {
        resolve("llama-3.1-8b", "h100", 1, Overrides::default()).unwrap()
    }

    #[test]
    fn a_table_repeats_its_measurements() {
        let text = "hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms\n\
            h100,llama-3.1-8b,1,e,prefill,1,512,0,30\n\
            h100,llama-3.1-8b,1,e,prefill,1,512,4096,40\n\
            h100,llama-3.1-8b,1,e,prefill,2,512,0,55\n\
            h100,llama-3.1-8b,1,e,mixed,2,512,100,99\n\
            h100,llama-3.1-8b,1,e,decode,1,1,1000,8\n\
            h100,llama-3.1-8b,1,e,decode,4,1,1000,9\n";
        let path = Path::new("grid.csv");
        let rows = parse_rows(path, text, &Selection::default()).unwrap();
        let table = from_rows(path, &rows).unwrap();
        for row in rows.iter().filter(|r| r.kind != Kind::Mixed) {
            let error = table.step(&row.shape()) as f64 / (row.seconds * 1e12) - 1.0;
            assert!(error.abs() < 1e-6, "{row:?}: {error}");
        }
        let two = parse_rows(path, &text.replacen(",e,decode", ",f,decode", 1), &Selection::default()).unwrap();
        assert!(from_rows(path, &two).unwrap_err().to_string().contains("grid.csv:6: rows of"));
        let half = parse_rows(path, &text[..text.find("h100,llama-3.1-8b,1,e,decode").unwrap()], &Selection::default());
        assert!(from_rows(path, &half.unwrap()).unwrap_err().to_string().contains("no decode steps"));
    }

    #[test]
    fn vidur_profiles_are_composed() {
        let folder = std::env::temp_dir().join(format!("trimtab-vidur-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write(
            "mlp.csv",
            "n_head,n_kv_head,n_embd,n_expanded_embd,num_tensor_parallel_workers,num_tokens,\
             time_stats.attn_pre_proj.median,time_stats.mlp_up_proj.median\n\
             32,8,4096,14336,1,1,0.02,0.06\n32,8,4096,14336,1,101,0.03,0.07\n32,8,4096,14336,2,101,9,9\n",
        );
        write(
            "attention.csv",
            "n_q_head,n_kv_head,n_embd,num_tensor_parallel_workers,batch_size,prefill_chunk_size,kv_cache_size,\
             time_stats.attn_prefill.median,time_stats.attn_decode.median\n\
             32,8,4096,1,1,51,0,0.5,\n32,8,4096,1,1,0,100,,0.25\n",
        );
        let deployment = deployment();
        let table = load(&folder, &deployment, &Selection::default()).unwrap();
        let step = StepShape::decode(1, 100);
        let terms = deployment.terms(&step);
        let expected = 32.0 * (0.08 + 0.25) / 1e3 + terms.head + terms.host_seqs + terms.host_step;
        assert!((table.step(&step) as f64 / 1e12 / expected - 1.0).abs() < 1e-9);
        let mut chunk = StepShape::default();
        chunk.add_chunk(51, 0);
        let terms = deployment.terms(&chunk);
        let expected = 32.0 * (0.09 + 0.5) / 1e3 + terms.head + terms.host_seqs + terms.host_step;
        assert!((table.step(&chunk) as f64 / 1e12 / expected - 1.0).abs() < 1e-9);

        write("mlp.csv", "n_head\n32\n");
        assert!(
            load(&folder, &deployment, &Selection::default())
                .unwrap_err()
                .to_string()
                .contains("column `n_kv_head` is missing")
        );
        std::fs::remove_file(folder.join("mlp.csv")).unwrap();
        assert!(load(&folder, &deployment, &Selection::default()).unwrap_err().to_string().contains("mlp.csv"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
