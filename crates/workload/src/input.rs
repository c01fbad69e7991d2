//! From a file to lines: decompression by content, and one buffer that never holds more than it must.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Fault, Kind};

/// First size of the buffer.
const CHUNK: usize = 256 << 10;
/// A longer line is an error: one line must not exhaust the memory. The longest real one, a 191 378-token prompt in
/// 16-token blocks, is 100 kB; sessions on one line reach some megabytes.
pub(crate) const MAX_LINE: usize = 64 << 20;
/// Largest zstd window that is accepted, so that a crafted header cannot ask for the whole memory.
const MAX_ZSTD_WINDOW: u64 = 128 << 20;

/// The lines of a source.
pub(crate) struct Lines {
    source: Box<dyn Read>,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    eof: bool,
    number: u64,
    offset: u64,
    join: bool,
}

/// One line without its end.
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

/// A failure to produce the next line.
pub(crate) enum LineError {
    Io(io::Error),
    TooLong { number: u64, offset: u64 },
}

impl From<io::Error> for LineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens a file, decompressing gzip and zstd by their magic bytes.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    decompressed(File::open(path)?)
}

/// The content of a source, decompressed if it is gzip or zstd.
pub(crate) fn decompressed(source: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    let mut magic = [0; 4];
    let mut got = 0;
    while got < magic.len() {
        match source.read(&mut magic[got..])? {
            0 => break,
            n => got += n,
        }
    }
    let whole = io::Cursor::new(magic[..got].to_vec()).chain(source);
    Ok(match &magic[..got] {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(Zstd::new(whole)),
        _ => Box::new(whole),
    })
}

/// All frames of a zstd stream, one after the other.
struct Zstd<R> {
    source: BufReader<R>,
    frame: ruzstd::decoding::FrameDecoder,
    started: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        let mut frame = ruzstd::decoding::FrameDecoder::new();
        frame.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { source: BufReader::new(source), frame, started: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        while !self.source.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.source) {
                Ok(()) => {
                    self.started = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
        loop {
            if self.started {
                while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                    self.frame.decode_blocks(&mut self.source, UptoBlocks(1)).map_err(io::Error::other)?;
                }
                if self.frame.can_collect() > 0 || out.is_empty() {
                    return self.frame.read(out);
                }
            }
            self.started = false;
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

impl Lines {
    pub(crate) fn new(source: Box<dyn Read>) -> Self {
        Self { source, buf: vec![0; CHUNK], start: 0, end: 0, eof: false, number: 0, offset: 0, join: false }
    }

    /// The first bytes, without consuming them; a byte order mark is passed over.
    pub(crate) fn head(&mut self) -> io::Result<&[u8]> {
        while !self.eof && self.end < self.buf.len() {
            self.fill()?;
        }
        if self.offset == 0 && self.buf[self.start..self.end].starts_with(b"\xef\xbb\xbf") {
            self.consume(3);
        }
        Ok(&self.buf[self.start..self.end])
    }

    /// From now on a line ends only where all brackets that it opened are closed.
    pub(crate) fn join_objects(&mut self) {
        self.join = true;
    }

    /// The next line, without LF or CRLF.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, LineError> {
        let mut searched = 0;
        let mut nesting = Nesting::default();
        let mut lines = 0;
        let (len, terminator) = loop {
            let ready = &self.buf[self.start..self.end];
            let mut end = None;
            while let Some(at) = memchr::memchr(b'\n', &ready[searched..]) {
                lines += 1;
                if !self.join || nesting.is_closed_after(&ready[searched..searched + at]) {
                    end = Some(searched + at);
                    break;
                }
                searched += at + 1;
            }
            if let Some(end) = end {
                break (end, 1);
            }
            if !self.join {
                searched = ready.len();
            }
            if self.eof {
                if ready.is_empty() {
                    return Ok(None);
                }
                break (ready.len(), 0);
            }
            if self.end - self.start >= MAX_LINE {
                return Err(LineError::TooLong { number: self.number + 1, offset: self.offset });
            }
            self.make_room();
            self.fill()?;
        };
        let (from, offset) = (self.start, self.offset);
        self.consume(len + terminator);
        let number = self.number + 1;
        self.number += lines.max(1);
        let line = &self.buf[from..from + len];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some(Line { bytes: line, number, offset }))
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
        self.offset += n as u64;
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buf.len() {
            self.buf.resize((2 * self.buf.len()).min(MAX_LINE + CHUNK), 0);
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        loop {
            match self.source.read(&mut self.buf[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    self.eof = n == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many brackets are open.
#[derive(Default)]
struct Nesting {
    open: i64,
}

impl Nesting {
    /// Whether none is, after this line (strings do not span lines).
    fn is_closed_after(&mut self, line: &[u8]) -> bool {
        let (mut quoted, mut at) = (false, 0);
        while let Some(byte) = line.get(at) {
            match byte {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => self.open += 1,
                b'}' | b']' if !quoted => self.open -= 1,
                _ => {}
            }
            at += 1;
        }
        self.open <= 0
    }
}

/// Recognises what is certainly no trace from its first bytes.
pub(crate) fn reject_foreign(head: &[u8]) -> Option<Fault> {
    let text = head.trim_ascii_start();
    let at = head.len() - text.len();
    let found = |expected: &'static str, hint: &'static str| {
        let shown = &text[..text.iter().position(|&b| b == b'\n').unwrap_or(text.len())];
        Some(Fault::new(at, Kind::NotATrace, shown, expected).hint(hint))
    };
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            return Some(Fault::new(at, Kind::Encoding, &text[..2], "UTF-8 text").hint("this is UTF-16; convert it"));
        }
        [b'<', ..] => return found("a trace", "this is an HTML page; download from the raw URL"),
        [b'P', b'A', b'R', b'1', ..] => {
            return found("a text trace", "this is Parquet; convert it with `trimtab trace convert`");
        }
        [b'P', b'K', 3, 4, ..] => return found("a text trace", "this is a zip archive; unpack it first"),
        _ => {}
    }
    if text.starts_with(b"version https://git-lfs") {
        return found("a trace", "this is a Git LFS pointer; fetch the real file with `git lfs pull` or the raw URL");
    }
    if text.starts_with(b"{\"error\"") || text.starts_with(b"{\"message\"") {
        return found("a trace", "this is a server's error message; download again");
    }
    if text.starts_with(b"[") {
        return found("one object per line", "this is a JSON array; write one element per line (`jq -c '.[]'`)");
    }
    None
}
