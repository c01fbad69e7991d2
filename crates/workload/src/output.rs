//! Files that are compressed by name, in pure Rust.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;

/// Uncompressed bytes of one zstd frame.
const FRAME: usize = 1 << 20;

/// A new file; zstd- or gzip-compressed if its name ends in `.zst` or `.gz`. It has its name only once it is finished; before
/// that it is a neighbour, which goes away if this value does. What is no file, as a pipe, is written to directly.
pub struct TraceFile {
    out: Compressed,
    /// The neighbour and the name.
    rename: Option<(PathBuf, PathBuf)>,
}

/// The three forms.
enum Compressed {
    Plain(BufWriter<File>),
    Zstd(ZstdWriter<File>),
    Gzip(GzEncoder<File>),
}

impl TraceFile {
    /// Makes the neighbour, or empties it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let rename = match fs::metadata(path) {
            Ok(found) if !found.is_file() => None,
            _ => Some((path.with_added_extension("partial"), path.to_owned())),
        };
        let file = File::create(rename.as_ref().map_or(path, |(partial, _)| partial))?;
        let out = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Compressed::Zstd(ZstdWriter::new(file)),
            Some("gz") => Compressed::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            _ => Compressed::Plain(BufWriter::new(file)),
        };
        Ok(Self { out, rename })
    }

    /// Writes what is left, and gives the file its name.
    pub fn finish(mut self) -> io::Result<()> {
        match &mut self.out {
            Compressed::Plain(out) => out.flush()?,
            Compressed::Zstd(out) => out.end()?,
            Compressed::Gzip(out) => out.try_finish()?,
        }
        if let Some((partial, path)) = &self.rename {
            fs::rename(partial, path)?;
            self.rename = None;
        }
        Ok(())
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.rename {
            let _ = fs::remove_file(partial);
        }
    }
}

impl Write for TraceFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Compressed::Plain(out) => out.write(bytes),
            Compressed::Zstd(out) => out.write(bytes),
            Compressed::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Compressed::Plain(out) => out.flush(),
            Compressed::Zstd(out) => out.flush(),
            Compressed::Gzip(out) => out.flush(),
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
        self.end()?;
        Ok(self.out)
    }

    fn end(&mut self) -> io::Result<()> {
        self.frame()?;
        self.out.flush()
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
