//! What the command line can ask for: a file for each command.

mod check;
mod routes;
mod serve;
mod triggers;

pub(crate) use check::check;
pub(crate) use routes::routes;
pub(crate) use serve::serve;
pub(crate) use triggers::triggers;
