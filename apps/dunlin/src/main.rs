//! `dunlin`: a fast web service from a configuration. This program composes the crates.
//!
//! - [`cli`] reads the command line, and [`command`] has a module for each command.
//! - [`config`] reads `dunlin.toml` with the parts of [`reader`].
//! - [`routes`] has a module for each kind of route.
//! - [`service`] is the path of a request: observe, route, admit, compress, cache, handle, finish.
//! - [`reload`] exchanges all that while the service runs.
//! - [`certificates`] has those that come by ACME.
//! - [`admin`] is the listener for operators; [`telemetry`] has the figures that it shows.

mod admin;
mod admit;
mod allocator;
mod certificates;
mod cli;
mod command;
mod config;
mod failure;
mod fields;
mod finish;
mod hosts;
mod log;
mod notices;
mod openapi;
mod process;
mod reader;
mod reload;
mod routes;
mod service;
mod telemetry;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    allocator::keep_pages_small();
    cli::run()
}
