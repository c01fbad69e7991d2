//! Fitted parameters as a file: one profile for each hardware and engine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trimtab_engine::cost::Tuning;

/// What a profile file says it is.
pub const SCHEMA: &str = "trimtab-profile/1";

/// A file of profiles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// [`SCHEMA`].
    pub schema: String,
    /// The profiles.
    pub profile: Vec<Profile>,
}

/// Fitted parameters of one hardware and engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Hardware, as the catalogue calls it.
    pub hardware: String,
    /// Engine, as the rows called it.
    pub engine: String,
    /// Models that it was fitted on.
    pub models: Vec<String>,
    /// Rows that it was fitted on.
    pub rows: usize,
    /// Parameters that kept their default because the rows could not tell them.
    pub not_fitted: Vec<String>,
    /// The parameters.
    pub tuning: Tuning,
}

/// Why a profile could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a profile.
    #[error("{}: {detail}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// It holds nothing for the hardware or engine.
    #[error("{}: no profile for {wanted}; it holds {known}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
}

impl ProfileFile {
    /// Of some profiles.
    pub fn new(profile: Vec<Profile>) -> Self {
        Self { schema: SCHEMA.to_owned(), profile }
    }

    /// The profiles that come with trimtab.
    pub fn built_in() -> Self {
        toml::from_str(include_str!("../../../../experiments/profiles/fitted.toml")).expect("a test reads the profiles")
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path).map_err(|source| ProfileError::Read { path: path.into(), source })?;
        let file: Self = toml::from_str(&text)
            .map_err(|e| ProfileError::Parse { path: path.into(), detail: e.to_string().trim_end().to_owned() })?;
        if file.schema != SCHEMA {
            let detail = format!("schema is `{}`, expected `{SCHEMA}`", file.schema);
            return Err(ProfileError::Parse { path: path.into(), detail });
        }
        Ok(file)
    }

    /// The profile for a card and, when given, an engine. Of several engines, the one with the most rows.
    pub fn pick(&self, path: &Path, hardware: &str, engine: Option<&str>) -> Result<&Profile, ProfileError> {
        let fits = |p: &&Profile| p.hardware == hardware && engine.is_none_or(|e| e == p.engine);
        // Of equally many rows, the first in the file.
        self.profile.iter().rev().filter(fits).max_by_key(|p| p.rows).ok_or_else(|| ProfileError::Missing {
            path: path.into(),
            wanted: engine.map_or(hardware.to_owned(), |e| format!("{hardware} with {e}")),
            known: self
                .profile
                .iter()
                .map(|p| format!("{} with {}", p.hardware, p.engine))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let list = |items: &[String]| items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", ");
        let mut text = format!("schema = {}\n", quoted(&self.schema));
        for p in &self.profile {
            let _ = write!(
                text,
                "\n[[profile]]\nhardware = {}\nengine = {}\nmodels = [{}]\nrows = {}\nnot_fitted = [{}]\n\n[profile.tuning]\n",
                quoted(&p.hardware),
                quoted(&p.engine),
                list(&p.models),
                p.rows,
                list(&p.not_fitted)
            );
            for (name, value) in p.tuning.fields() {
                let _ = writeln!(text, "{name} = {value:?}");
            }
        }
        text
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
