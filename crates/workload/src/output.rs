//! Files that are compressed by name, in pure Rust.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::write::GzEncoder;

/// Uncompressed bytes of one zstd frame.
const FRAME: usize = 1 << 20;

/// A new file; zstd- or gzip-compressed if its name ends in `.zst` or `.gz`.
pub enum TraceFile {
    /// As it is.
    Plain(BufWriter<File>),
    /// zstd.
    Zstd(ZstdWriter<File>),
    /// gzip.
    Gzip(GzEncoder<File>),
}

impl TraceFile {
    /// Makes the file, or empties it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Self::Zstd(ZstdWriter::new(file)),
            Some("gz") => Self::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            _ => Self::Plain(BufWriter::new(file)),
        })
    }

    /// Writes what is left.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Zstd(out) => out.finish().map(drop),
            Self::Gzip(out) => out.finish().map(drop),
        }
    }
}

impl Write for TraceFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
        }
    }
}

/// Compresses with zstd, in frames of a fixed size.
pub struct ZstdWriter<W: Write> {
    out: W,
    pending: Vec<u8>,
}

impl<W: Write> ZstdWriter<W> {
    /// Compresses into `out`.
    pub fn new(out: W) -> Self {
        Self { out, pending: Vec::with_capacity(FRAME) }
    }

    /// Writes the last frame.
    pub fn finish(mut self) -> io::Result<W> {
        self.frame()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let frame = ruzstd::encoding::compress_to_vec(self.pending.as_slice(), level);
        self.pending.clear();
        self.out.write_all(&frame)
    }
}

impl<W: Write> Write for ZstdWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == FRAME {
            self.frame()?;
        }
        Ok(taken)
    }

    /// Does not end the frame: short frames compress badly.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
