//! The commands of the command line: a module for each.

mod check;
mod doctor;
mod init;
mod openapi;
mod reload;
mod routes;
mod serve;
mod signals;
mod triggers;

use std::io::{self, Write};

use crate::failure::Failure;
pub(crate) use check::check;
pub(crate) use doctor::doctor;
pub(crate) use init::init;
pub(crate) use openapi::openapi;
pub(crate) use reload::reload;
pub(crate) use routes::routes;
pub(crate) use serve::serve;
pub(crate) use triggers::triggers;

/// Prints to the standard output. A reader that has read enough is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
