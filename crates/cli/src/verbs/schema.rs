//! `trimtab schema`: the JSON Schema of specs, for editors.

use trimtab_experiment::spec::json_schema;

use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) fn run(printer: Printer) -> Result<(), Failure> {
    printer.json(&json_schema())
}
