//! `dunlin`: a fast web service from a configuration. This program composes the crates; it implements nothing that they
//! could.
//!
//! - [`config`] reads `dunlin.toml`, [`cli`] the command line, [`command`] does what it says.
//! - [`service`] is the way of a request: observe, route, compress, cache, answer.
//! - [`admin`] is the listener for those who run it; [`telemetry`] is what it and the log tell.

mod admin;
mod allocator;
mod cli;
mod command;
mod config;
mod log;
mod notices;
mod process;
mod service;
mod telemetry;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    allocator::keep_pages_small();
    cli::run()
}
