//! What a PDF says, read without a viewer.

use std::io::Read;

/// A PDF with everything in its compressed streams.
fn inflated(pdf: &[u8]) -> String {
    // A letter for each byte, so that none is lost.
    let letters = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    let mut all = letters(pdf);
    let mut rest = pdf;
    while let Some(start) = find(rest, b"stream\n") {
        rest = &rest[start + 7..];
        let mut bytes = Vec::new();
        if flate2::read::ZlibDecoder::new(rest).read_to_end(&mut bytes).is_ok() {
            all.push_str(&letters(&bytes));
        }
    }
    all
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What the text of a PDF says, without spaces and in drawing order: glyphs as shown, letters as its fonts map them.
pub(crate) fn said(pdf: &[u8]) -> String {
    let content = inflated(pdf);
    let hex = |text: &str| u32::from_str_radix(text.trim_matches(['<', '>']), 16).ok();
    let mut letters = std::collections::BTreeMap::new();
    for map in content.split("beginbfchar").skip(1).filter_map(|rest| rest.split_once("endbfchar")) {
        for pair in map.0.lines().filter_map(|line| line.trim().split_once(' ')) {
            if let (Some(glyph), Some(letter)) = (hex(pair.0), hex(pair.1).and_then(char::from_u32)) {
                letters.insert(glyph, letter);
            }
        }
    }
    let mut text = String::new();
    for shown in content.split("BT\n").skip(1).filter_map(|rest| rest.split_once("ET\n")) {
        let codes: Vec<u32> = literal_bytes(shown.0);
        let glyphs = codes.chunks_exact(2).filter_map(|pair| letters.get(&(pair[0] * 256 + pair[1])));
        text.extend(glyphs.filter(|letter| !letter.is_whitespace()));
    }
    text
}

/// The bytes of all strings in brackets.
fn literal_bytes(content: &str) -> Vec<u32> {
    let mut bytes = Vec::new();
    let mut inside = false;
    let mut rest = content.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '(' if !inside => inside = true,
            ')' if inside => inside = false,
            '\\' if inside => {
                let next = rest.next().unwrap();
                let octal = |digit: char| digit.to_digit(8).unwrap();
                bytes.push(match next {
                    'n' => 10,
                    'r' => 13,
                    't' => 9,
                    'b' => 8,
                    'f' => 12,
                    '0'..='7' => octal(next) * 64 + octal(rest.next().unwrap()) * 8 + octal(rest.next().unwrap()),
                    other => u32::from(other),
                });
            }
            letter if inside => bytes.push(u32::from(letter)),
            _ => {}
        }
    }
    bytes
}
