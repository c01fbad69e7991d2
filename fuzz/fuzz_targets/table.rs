//! CSV or Parquet as a table, by the first byte: what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trimtab_table::{Format, Stat, Table, summarise};

/// The decoder of Parquet panics on damaged files, which becomes an error: that is no finding.
fn spare_the_decoder() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !trimtab_table::decoding() {
            abort(info);
        }
    }));
}

fuzz_target!(init: spare_the_decoder(), |bytes: &[u8]| {
    let Some((&choice, content)) = bytes.split_first() else { return };
    let format = if choice & 1 == 0 { Format::Csv } else { Format::Parquet };
    let Ok(table) = Table::decode(content, format) else { return };
    let names: Vec<&str> = table.names().take(2).collect();
    let _ = summarise(&table, &names[..names.len().min(1)], &names, &[Stat::Count, Stat::Mean, Stat::PerMille(990)]);
    let text = table.encode(Format::Csv).expect("a table is text");
    let again = Table::decode(&text, Format::Csv).expect("what we wrote is sound");
    assert_eq!(again.encode(Format::Csv).expect("a table is text"), text);
    let columns = table.encode(Format::Parquet).expect("a table is columns");
    let again = Table::decode(&columns, Format::Parquet).expect("what we wrote is sound");
    assert_eq!(again.encode(Format::Csv).expect("a table is text"), text);
});
