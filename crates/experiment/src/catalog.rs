//! The catalogue of models and hardware: data files that are built in, and the user's own by path.
//!
//! Adding an entry is one TOML file under `experiments/profiles/` and one line here.

mod huggingface;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use trimtab_core::nearest_name;
use trimtab_engine::cost::{Deployment, DeploymentError, Hardware, Model, Tuning, WeightType};

macro_rules! embedded {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../experiments/profiles/", $folder, "/", $name, ".toml")))),*]
    };
}

/// Name and text of each built-in model, in the order in which they are listed.
const MODELS: &[(&str, &str)] = embedded! { "models":
    "llama-2-7b"
    "llama-2-70b"
    "llama-3.1-8b"
    "llama-3.1-70b"
    "qwen2.5-7b"
    "qwen2.5-14b"
    "qwen2.5-32b"
    "qwen2.5-72b"
    "qwen3-14b"
    "qwen3-32b"
    "qwen3-30b-a3b"
    "mistral-nemo-12b"
    "mixtral-8x7b"
    "yi-34b"
    "bloom-176b"
};

/// Name and text of each built-in card.
const HARDWARE: &[(&str, &str)] = embedded! { "hardware":
    "h100"
    "h200"
    "b200"
    "a100"
    "l40s"
    "rtx-4090"
    "rtx-a6000"
    "rtx-pro-6000"
    "ascend-910b3"
    "ascend-910b4"
};

/// Why a model or card could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No built-in entry has this name.
    #[error("unknown {kind} `{name}`{}; `trimtab list {list}` shows all, or give a path to a {files} file",
        nearest.as_ref().map_or(String::new(), |n| format!(", did you mean `{n}`?")))]
    Unknown {
        /// `model` or `hardware`.
        kind: &'static str,
        /// What `trimtab list` calls them.
        list: &'static str,
        /// What was asked for.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
        /// File types that are accepted instead.
        files: &'static str,
    },
    /// A user's file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A user's file is not what it should be.
    #[error("{}: {detail}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, field and reason.
        detail: String,
    },
    /// The model does not run on this hardware.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
}

/// What may be changed about a catalogue entry for one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Storage type of the layer weights instead of the model's own.
    pub weights: Option<WeightType>,
    /// Fitted parameters instead of the defaults.
    pub tuning: Option<Tuning>,
}

/// A model on `tp` cards: each by catalogue name, or by the path of a user's file.
pub fn resolve(model: &str, hardware: &str, tp: u32, overrides: Overrides) -> Result<Deployment, CatalogError> {
    let mut model = self::model(model)?;
    if let Some(weights) = overrides.weights {
        model.weights = weights;
    }
    Ok(Deployment::new(model, self::hardware(hardware)?, tp, overrides.tuning.unwrap_or_default())?)
}

/// A model by name or alias, by the path of a TOML file, or by the path of a Hugging Face `config.json`.
pub fn model(name: &str) -> Result<Model, CatalogError> {
    if is_path(name) {
        let path = Path::new(name);
        let text = read(path)?;
        if path.extension().is_some_and(|e| e == "json") {
            return huggingface::parse(path, &text).map_err(|detail| CatalogError::Parse { path: path.into(), detail });
        }
        return parse(path, &text);
    }
    let all = models();
    let names = || all.iter().flat_map(|m| std::iter::once(&m.name).chain(&m.aliases));
    all.iter().find(|m| answers_to(name, &m.name, &m.aliases)).cloned().ok_or_else(|| CatalogError::Unknown {
        kind: "model",
        list: "models",
        name: name.to_owned(),
        nearest: nearest_name(name, names().map(String::as_str)).map(str::to_owned),
        files: "TOML or Hugging Face config.json",
    })
}

/// A card by name or alias, or by the path of a TOML file.
pub fn hardware(name: &str) -> Result<Hardware, CatalogError> {
    if is_path(name) {
        let path = Path::new(name);
        return parse(path, &read(path)?);
    }
    let all = all_hardware();
    let names = || all.iter().flat_map(|h| std::iter::once(&h.name).chain(&h.aliases));
    all.iter().find(|h| answers_to(name, &h.name, &h.aliases)).cloned().ok_or_else(|| CatalogError::Unknown {
        kind: "hardware",
        list: "hardware",
        name: name.to_owned(),
        nearest: nearest_name(name, names().map(String::as_str)).map(str::to_owned),
        files: "TOML",
    })
}

/// All built-in models.
pub fn models() -> Vec<Model> {
    MODELS.iter().map(|(name, text)| built_in(name, text)).collect()
}

/// All built-in cards.
pub fn all_hardware() -> Vec<Hardware> {
    HARDWARE.iter().map(|(name, text)| built_in(name, text)).collect()
}

fn built_in<T: DeserializeOwned>(name: &str, text: &str) -> T {
    parse(Path::new(name), text).expect("a test parses every built-in file")
}

fn answers_to(wanted: &str, name: &str, aliases: &[String]) -> bool {
    let wanted = wanted.to_lowercase();
    name == wanted || aliases.contains(&wanted)
}

pub(crate) fn is_path(name: &str) -> bool {
    let extension = Path::new(name).extension();
    name.contains(['/', '\\']) || extension.is_some_and(|e| e == "toml" || e == "json")
}

fn read(path: &Path) -> Result<String, CatalogError> {
    std::fs::read_to_string(path).map_err(|source| CatalogError::Read { path: path.into(), source })
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, CatalogError> {
    toml::from_str(text)
        .map_err(|e| CatalogError::Parse { path: path.into(), detail: e.to_string().trim_end().to_owned() })
}

#[cfg(test)]
mod physics_tests;
#[cfg(test)]
mod tests;
