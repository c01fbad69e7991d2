//! The program under bad conditions: killed, without room to write, fed with hostile input.

mod files;
mod full;
mod hostile;
mod interrupted;
