//! What is wrong with a theme, said for people who write themes.

use std::fmt;
use std::path::{Path, PathBuf};

use trimtab_core::params::{suggestion, type_in_words};

/// A theme that cannot be used.
#[derive(Debug)]
pub struct ThemeError {
    file: Option<PathBuf>,
    /// From 1.
    line: Option<usize>,
    message: String,
}

impl ThemeError {
    pub(crate) fn new(message: String) -> Self {
        Self { file: None, line: None, message }
    }

    /// An error in the text of a theme file.
    pub(crate) fn at(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        Self { file: None, line, message: in_words(error.message()) }
    }

    /// The same, of a file.
    pub fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }
}

impl fmt::Display for ThemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "theme, line {line}: ")?,
            (None, None) => write!(f, "theme: ")?,
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ThemeError {}

/// What serde says of keys, values and types, in words and with what was probably meant; anything else as it is.
fn in_words(message: &str) -> String {
    let Some((what, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    if let Some(field) = what.strip_prefix("unknown field ") {
        return format!("unknown key {field}{}", suggestion(field.trim_matches('`'), &names));
    }
    if let Some(variant) = what.strip_prefix("unknown variant ") {
        return format!("unknown value {variant}{}", suggestion(variant.trim_matches('`'), &names));
    }
    let expected = match expected {
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "a sequence" => "a list such as [4, 2]",
        "a map" => "a table of keys",
        other => type_in_words(other),
    };
    let found = what.strip_prefix("invalid type: ").or_else(|| what.strip_prefix("invalid value: "));
    found.map_or_else(|| message.to_owned(), |found| format!("{expected} is needed here, not {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Theme;

    #[test]
    fn faults_of_files_say_where_and_what_was_probably_meant() {
        for (text, complaint) in [
            ("base = 'papper'", "t.toml: no theme `papper`; did you mean `paper`?"),
            ("\nfont = 3", "t.toml:2: unknown key `font`; did you mean `font_pt`?"),
            ("thickness = 3", "t.toml:1: unknown key `thickness`; known: base, width_pt, "),
            ("[series.a]\ncolor = '#000000'", "t.toml:2: unknown key `color`; did you mean `colour`?"),
            ("[series.a]\nmarker = 'sqare'", "t.toml:2: unknown value `sqare`; did you mean `square`?"),
            ("[series.a]\ndashes = 'long'", "t.toml:2: a list such as [4, 2] is needed here, not string \"long\""),
            ("title = true\nfont_pt = 'x'", "t.toml:2: a number is needed here, not string \"x\""),
            ("title = 1", "t.toml:1: true or false is needed here, not integer `1`"),
            ("columns = -1", "t.toml:1: a whole number that is not negative is needed here, not integer `-1`"),
            ("base = 3", "t.toml:1: text in quotes is needed here, not integer `3`"),
            ("series = 3", "t.toml:1: a table of keys is needed here, not integer `3`"),
            ("dpi = 200\nink = 'black'", "t.toml:2: `black` is not a colour like `#0072B2`"),
            ("dpi = 0", "t.toml: dpi = 0 is not between 1 and 5000"),
            ("dpi =\n", "t.toml:1: "),
        ] {
            let error = Theme::parse(text).expect_err(text).in_file(Path::new("t.toml"));
            assert!(error.to_string().starts_with(complaint), "{text}: {error}");
        }
        assert_eq!(
            Theme::parse("title = 1").expect_err("a number").to_string().split(':').next(),
            Some("theme, line 1")
        );
    }
}
