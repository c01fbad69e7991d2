//! Grouped summaries.

use crate::table::{Column, Table, TableError};

/// One statistic of a column within a group. Missing cells do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// How many cells are not missing.
    Count,
    /// Their mean, summed in row order.
    Mean,
    /// The quantile at so many thousandths, by [`nearest_rank`]: always one of the values.
    PerMille(u32),
}

impl Stat {
    /// What is appended to a column's name: `n`, `mean`, `p50`, `p99.9`.
    pub fn suffix(self) -> String {
        match self {
            Self::Count => "n".to_owned(),
            Self::Mean => "mean".to_owned(),
            Self::PerMille(q) if q % 10 == 0 => format!("p{}", q / 10),
            Self::PerMille(q) => format!("p{}.{}", q / 10, q % 10),
        }
    }
}

/// The value of rank `ceil(n q / 1000)`, from 1, among `n` sorted values: the smallest value with at least `q`
/// thousandths of all values at or below it. No interpolation, as everywhere in trimtab.
pub fn nearest_rank(sorted: &[f64], per_mille: u32) -> Option<f64> {
    let rank = (sorted.len() as u64 * u64::from(per_mille)).div_ceil(1000).saturating_sub(1);
    usize::try_from(rank).ok().and_then(|rank| sorted.get(rank)).copied()
}

/// One row per group of rows that agree in the columns `by`, in the order of these; for each column in `of`, each
/// statistic as a column `<name>_<suffix>`.
pub fn summarise(table: &Table, by: &[&str], of: &[&str], stats: &[Stat]) -> Result<Table, TableError> {
    let groups = table.groups(by)?;
    let firsts: Vec<usize> = groups.iter().map(|group| group[0]).collect();
    let heads = table.take(&firsts);
    let mut summary = Table::new();
    for key in by {
        summary.push(*key, heads.column(key)?.clone())?;
    }
    for name in of {
        let column = table.column(name)?;
        let samples: Vec<Vec<f64>> =
            groups.iter().map(|group| group.iter().filter_map(|&row| column.number(row)).collect()).collect();
        for stat in stats {
            summary.push(format!("{name}_{}", stat.suffix()), stat_column(*stat, &samples))?;
        }
    }
    Ok(summary)
}

fn stat_column(stat: Stat, groups: &[Vec<f64>]) -> Column {
    match stat {
        Stat::Count => Column::count(groups.iter().map(|values| values.len() as u64)),
        Stat::Mean => Column::Real(groups.iter().map(|values| mean(values)).collect()),
        Stat::PerMille(q) => Column::Real(groups.iter().map(|values| quantile(values, q)).collect()),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn quantile(values: &[f64], per_mille: u32) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    nearest_rank(&sorted, per_mille)
}
