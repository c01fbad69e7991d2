//! The trace formats. Adding one is a file here and a line in [`FORMATS`].

mod azure;
mod bailian;
mod blis;
mod burstgpt;
mod canonical;
mod fields;
mod llmservingsim;
mod mooncake;
mod table;
mod vidur;
mod weka;

pub use canonical::{CanonicalWriter, write_canonical, write_file};

use crate::build::Builder;
use crate::error::{Fault, Kind, Parsed};
use crate::row::Names;

/// One format.
pub struct FormatDef {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Tokens per block id, unless the file or the user says otherwise.
    pub(crate) block_tokens: u32,
    /// Whether times are dates, so that the first row is time 0.
    pub(crate) absolute: bool,
    /// Whether an object may go on over several lines.
    pub(crate) joins_lines: bool,
    /// What it calls its fields.
    pub(crate) names: Names,
    /// Whether a file whose first line is this may be of this format.
    pub(crate) sniff: fn(&[u8]) -> bool,
    /// A fresh reader.
    pub(crate) open: fn() -> Box<dyn Reader>,
}

/// Reads the lines of one file.
pub(crate) trait Reader {
    /// Reads one line that is not blank.
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()>;
}

/// All formats; the first that recognises a file reads it.
static FORMATS: &[&FormatDef] = &[
    &canonical::DEF,
    &bailian::DEF,
    &mooncake::DEF,
    &llmservingsim::DEF,
    &weka::DEF,
    &azure::DEF,
    &burstgpt::DEF,
    &vidur::DEF,
    &blis::DEF,
];

/// All formats.
pub fn formats() -> &'static [&'static FormatDef] {
    FORMATS
}

/// The format of this name.
pub fn format_by_name(name: &str) -> Option<&'static FormatDef> {
    FORMATS.iter().copied().find(|def| def.name == name)
}

/// What to write instead of a name that is unknown.
pub(crate) fn hint_for(name: &str) -> String {
    match trimtab_core::nearest_name(name, FORMATS.iter().map(|def| def.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => names_hint(),
    }
}

/// The known names, for a message.
pub(crate) fn names_hint() -> String {
    let names: Vec<&str> = FORMATS.iter().map(|def| def.name).collect();
    format!("known formats: {}", names.join(", "))
}

/// The format of a file that starts like this.
pub(crate) fn sniff(head: &[u8]) -> Parsed<&'static FormatDef> {
    let first = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty()).unwrap_or_default();
    FORMATS.iter().copied().find(|def| (def.sniff)(first)).ok_or_else(|| {
        Fault::new(0, Kind::NotATrace, first, "the first line of a known trace format")
            .hint(format!("{}; force one with `--format`", names_hint()))
    })
}

/// Whether a line holds `"key"`.
pub(crate) fn has_key(line: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    memchr::memmem::find(line, quoted.as_bytes()).is_some()
}
