//! What can be wrong with an input, said so that the reader can mend it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::trace::Note;

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The content is not what it should be.
    #[error(transparent)]
    Bad(Box<BadInput>),
    /// Nothing was left to replay.
    #[error("cannot use `{}`: no requests in it ({rows} rows read){}", path.display(), tally(notes))]
    Empty {
        /// The file.
        path: PathBuf,
        /// Rows read, the dropped ones included.
        rows: u64,
        /// What was dropped.
        notes: Vec<Note>,
    },
    /// Lenient reading dropped too many rows.
    #[error(
        "cannot use `{}`: {dropped} of {rows} rows are unusable, more than {limit_percent} %{}\n\
         hint: repair the file, or accept the loss with `--max-dropped`", path.display(), tally(notes)
    )]
    Dropped {
        /// The file.
        path: PathBuf,
        /// Rows dropped.
        dropped: u64,
        /// Rows read.
        rows: u64,
        /// The share that is accepted, in percent.
        limit_percent: f64,
        /// The first of each kind.
        notes: Vec<Note>,
    },
    /// No such format.
    #[error("unknown trace format `{name}`\nhint: {hint}")]
    UnknownFormat {
        /// What was asked for.
        name: String,
        /// The nearest name, or all of them.
        hint: String,
    },
}

/// The notes as indented lines.
fn tally(notes: &[Note]) -> String {
    notes.iter().fold(String::new(), |text, note| text + "\n  " + &note.to_string())
}

/// One thing that is wrong, with its place.
#[derive(Debug)]
pub struct BadInput {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: u64,
    /// Byte offset in the (decompressed) file, from 0.
    pub byte: u64,
    /// What is wrong.
    pub issue: Issue,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`: line {} (byte {}): {}", self.path.display(), self.line, self.byte, self.issue)?;
        match &self.issue.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadInput {}

/// The kinds of faults, for the tally of lenient reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Not the syntax of the format.
    Syntax,
    /// A key or column is missing, empty or null.
    Missing,
    /// A value of the wrong type.
    WrongType,
    /// A value that the type allows and the field does not.
    OutOfRange,
    /// A prompt without tokens.
    ZeroInput,
    /// Block ids that contradict the prompt length or each other.
    BadBlocks,
    /// Sessions that contradict themselves.
    BadSession,
    /// Timestamps that decrease, where that was forbidden.
    OutOfOrder,
    /// A line that is longer than any trace needs. Stops reading even when lenient.
    TooLong,
    /// Bytes that are no UTF-8 text. Stops reading even when lenient.
    Encoding,
    /// A web page, a pointer or another format altogether. Stops reading even when lenient.
    NotATrace,
}

impl Kind {
    /// Whether skipping one row cannot help.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::TooLong | Self::Encoding | Self::NotATrace)
    }

    /// As a noun phrase.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "bad syntax",
            Self::Missing => "missing value",
            Self::WrongType => "wrong type",
            Self::OutOfRange => "value out of range",
            Self::ZeroInput => "empty prompt",
            Self::BadBlocks => "bad block ids",
            Self::BadSession => "bad session",
            Self::OutOfOrder => "out of order",
            Self::TooLong => "line too long",
            Self::Encoding => "bad encoding",
            Self::NotATrace => "not a trace",
        }
    }
}

/// What is wrong within one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Byte offset within the line.
    pub at: usize,
    /// The kind.
    pub kind: Kind,
    /// The field concerned.
    pub field: Option<Cow<'static, str>>,
    /// What was found there, clipped.
    pub value: String,
    /// What should have been there.
    pub expected: Cow<'static, str>,
    /// How to mend it.
    pub hint: Option<Cow<'static, str>>,
}

/// An issue on its way up, one pointer wide so that success stays cheap.
#[derive(Debug)]
pub(crate) struct Fault(Box<Issue>);

/// The result of reading within one line.
pub(crate) type Parsed<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(at: usize, kind: Kind, value: &[u8], expected: impl Into<Cow<'static, str>>) -> Self {
        let (value, expected) = (clip(value), expected.into());
        Self(Box::new(Issue { at, kind, field: None, value, expected, hint: None }))
    }

    /// Names the field, unless that was done deeper down.
    pub(crate) fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field.get_or_insert_with(|| field.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn issue(&self) -> &Issue {
        &self.0
    }

    pub(crate) fn into_issue(self) -> Issue {
        *self.0
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "field `{field}` ")?;
        }
        match (self.value.is_empty(), self.field.is_some()) {
            (true, true) => write!(f, "is absent")?,
            (true, false) => write!(f, "the line ends")?,
            (false, true) => write!(f, "is `{}`", self.value)?,
            (false, false) => write!(f, "found `{}`", self.value)?,
        }
        write!(f, ", expected {}", self.expected)
    }
}

/// Longest value that a message quotes.
const CLIP: usize = 40;

/// The start of a value, printable.
fn clip(value: &[u8]) -> String {
    let head = &value[..value.len().min(CLIP)];
    let mut text = String::new();
    for c in String::from_utf8_lossy(head).chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if value.len() > CLIP {
        text.push('…');
    }
    text
}
