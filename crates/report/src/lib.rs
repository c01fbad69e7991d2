//! Figures from stored results, as SVG, PDF and PNG, with the points drawn beside them as CSV.
//!
//! A figure type turns a results folder into [`figure::Figure`]s, which say what is shown; [`draw`] decides where it
//! goes. Schedulers keep their colour, marker and dashes across figures ([`look`]). Everything is deterministic: the same
//! results give the same bytes, on any machine, whatever fonts it has.
//!
//! This crate reads result files; it does not know the engine and never simulates. Only its canvas knows plotters, only
//! [`export`] knows svg2pdf.

pub mod axis;
mod canvas;
pub mod draw;
pub mod estimate;
pub mod export;
pub mod figure;
mod figures;
mod legend;
pub mod look;
mod page;
mod pages;
mod plot;
mod reference;
mod render;
pub mod results;
mod shade;
mod steps;
mod text;
pub mod theme;
mod theme_error;

pub use figures::{FIGURES, FigureDef, Unavailable, calibration, miss_ratio, prefixes};
pub use page::page;
pub use plot::{Available, PictureFormat, PlotError, available, figures, picture, plot, save};
pub use render::{RenderError, render};
pub use theme::{THEMES, Theme};
pub use theme_error::ThemeError;
