//! Colours, markers and dashes, keyed by the scheduler's label so that they are the same in every figure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The colours of Okabe and Ito (2008), which people with any common colour vision tell apart, in the order we give
/// them out; grey instead of their yellow, which is faint on white.
const COLOURS: [&str; 8] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"];

const MARKERS: [Marker; 8] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Down,
    Marker::Plus,
    Marker::Cross,
    Marker::Star,
];

/// Lengths of dashes and gaps in line widths.
const DASHES: [&[u32]; 5] = [&[], &[5, 2], &[2, 2], &[6, 2, 1, 2], &[9, 3]];

/// Labels that have a place of their own; all others get one from their letters.
const PLACES: [&str; 14] = [
    "dualmap",
    "least-loaded",
    "cache-affinity",
    "min-ttft",
    "round-robin",
    "mooncake",
    "random",
    "power-of-d",
    "prefix-hash",
    "join-shortest-queue",
    "consistent-hash",
    "chwbl",
    "sticky-session",
    "oracle-min-ttft",
];

/// The shape of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "shapes")]
pub enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Down,
    Plus,
    Cross,
    Star,
}

/// How a series looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// `#rrggbb`.
    pub colour: String,
    /// At its points.
    pub marker: Marker,
    /// Dashes and gaps in line widths; none for a solid line.
    pub dashes: Vec<u32>,
}

/// What a theme file says about one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookOverride {
    /// `#rrggbb`.
    pub colour: Option<Colour>,
    /// At its points.
    pub marker: Option<Marker>,
    /// Dashes and gaps in line widths.
    pub dashes: Option<Vec<u32>>,
}

/// A colour as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Colour(String);

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        if digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is not a colour like `#0072B2`"))
        }
    }
}

impl Look {
    /// That of a figure's only series, which nothing has to be told from: the first colour, solid.
    pub fn single() -> Self {
        Self { colour: COLOURS[0].to_owned(), marker: MARKERS[0], dashes: DASHES[0].to_vec() }
    }
}

impl Colour {
    /// As `#rrggbb`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The looks of all labels of a results folder.
pub fn looks(labels: &[String], overrides: &BTreeMap<String, LookOverride>) -> BTreeMap<String, Look> {
    let mut taken: BTreeMap<usize, &str> = BTreeMap::new();
    let fixed = |label: &str| PLACES.iter().position(|known| *known == label);
    let mut sorted: Vec<&String> = labels.iter().collect();
    // Known labels first, so that a stranger never takes their place; then by name, so that order does not matter.
    sorted.sort_by_key(|label| (fixed(label).unwrap_or(usize::MAX), label.as_str()));
    let mut looks = BTreeMap::new();
    for label in sorted {
        let wanted = fixed(label).unwrap_or_else(|| hashed(label));
        let free =
            (0..COLOURS.len()).map(|step| (wanted + step) % COLOURS.len()).find(|place| !taken.contains_key(place));
        let place = if fixed(label).is_some() { wanted } else { free.unwrap_or(wanted + COLOURS.len()) };
        taken.insert(place, label);
        looks.insert(label.clone(), look(place, overrides.get(label)));
    }
    looks
}

/// Looks in the order of the labels, for figures that are not about schedulers.
pub(crate) fn in_order(labels: &[&str], overrides: &BTreeMap<String, LookOverride>) -> BTreeMap<String, Look> {
    labels.iter().enumerate().map(|(place, &label)| (label.to_owned(), look(place, overrides.get(label)))).collect()
}

fn look(place: usize, stated: Option<&LookOverride>) -> Look {
    let lap = place / COLOURS.len();
    let stated = stated.cloned().unwrap_or_default();
    Look {
        colour: stated.colour.map_or_else(|| COLOURS[place % COLOURS.len()].to_owned(), |colour| colour.0),
        marker: stated.marker.unwrap_or(MARKERS[(place + 3 * lap) % MARKERS.len()]),
        dashes: stated.dashes.unwrap_or_else(|| DASHES[(place + 2 * lap) % DASHES.len()].to_vec()),
    }
}

/// FNV-1a, reduced to a colour.
fn hashed(label: &str) -> usize {
    let hash = label
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from(hash % COLOURS.len() as u64).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(labels: &[&str]) -> BTreeMap<String, Look> {
        looks(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>(), &BTreeMap::new())
    }

    #[test]
    fn a_known_label_looks_the_same_in_any_company() {
        let alone = places(&["min-ttft"]);
        for company in [&["min-ttft", "dualmap"][..], &["my policy", "a", "b", "c", "min-ttft"], &PLACES] {
            assert_eq!(places(company)["min-ttft"], alone["min-ttft"], "{company:?}");
        }
    }

    #[test]
    fn up_to_eight_labels_have_eight_colours_and_all_known_ones_differ() {
        let strangers = places(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let mut colours: Vec<_> = strangers.values().map(|look| &look.colour).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), 8);
        let known = places(&PLACES);
        let all: Vec<_> = known.values().collect();
        for (at, look) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != look), "{look:?} twice");
        }
    }

    #[test]
    fn a_theme_file_can_restyle_a_label() {
        let stated: LookOverride = toml::from_str("colour = '#123456'\nmarker = 'star'\ndashes = [1, 1]").unwrap();
        let looks = looks(&["a".to_owned()], &BTreeMap::from([("a".to_owned(), stated)]));
        assert_eq!(looks["a"], Look { colour: "#123456".into(), marker: Marker::Star, dashes: vec![1, 1] });
        assert!(toml::from_str::<LookOverride>("colour = 'red'").is_err());
    }
}
