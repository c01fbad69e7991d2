//! The trimtab command line.

fn main() {}
