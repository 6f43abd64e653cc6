//! The project's commands. `cargo xtask` lists them.

mod bench;
mod cargo;
mod ci;
mod fuzz;
mod package;
mod postgres;
mod release;
mod run;
mod signals;
mod test;

use std::io::IsTerminal;

use clap::{Parser, Subcommand};

/// dunlin's own commands
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the service, start a database with the demo's data, and serve the demo
    Run {
        /// Passed on to `dunlin serve`, for example: -- --listen 127.0.0.1:9000
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run every test
    Test {
        /// Passed on to `cargo test --workspace`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Measure the service and other servers on the same work
    Bench(bench::Options),
    /// Run the fuzz targets of the crates
    Fuzz(fuzz::Options),
    /// Package the service for its operators: a Debian package and a tarball, in target/package
    Package(package::Options),
    /// Package the libraries and compile the packages, without publishing them
    Release(release::Options),
    /// Run what continuous integration runs: format, lints, docs, packages, fuzz targets, tests
    Ci,
}

fn main() -> std::process::ExitCode {
    let result = match Args::parse().command {
        Command::Run { args } => run::run(&args),
        Command::Test { args } => test::test(&args),
        Command::Bench(options) => bench::bench(&options),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Package(options) => package::package(&options),
        Command::Release(options) => release::release(&options),
        Command::Ci => ci::ci(),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Prints a line of progress.
fn say(what: impl std::fmt::Display) {
    let (bold, plain) = if std::io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    eprintln!("{bold}xtask{plain} {what}");
}
