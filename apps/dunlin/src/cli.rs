//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use dunlin_server::Addr;

use crate::command;
use crate::config::{Config, FIRST_FILE};
use crate::failure::Failure;
use crate::reload::Origin;

/// A fast web service from a configuration: static files, SQL as JSON, fetches and proxied
/// upstreams, compressed and cached.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, after_help = FIRST_FILE)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve {
        #[command(flatten)]
        file: File,
        /// Listen here instead of the addresses in the file; may be repeated
        #[arg(long, value_name = "ADDR")]
        listen: Vec<Addr>,
    },
    /// Make the running service read its configuration again; fails, and says why, if it does not
    /// take it
    Reload {
        #[command(flatten)]
        file: File,
    },
    /// Validate everything: syntax, folders, certificates; prepare every query
    Check {
        #[command(flatten)]
        file: File,
        /// Do not connect to the database, so that the queries are not prepared
        #[arg(long)]
        offline: bool,
    },
    /// Print the routes, with their cache and compression
    Routes {
        #[command(flatten)]
        file: File,
        /// Print a JSON document instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Print an OpenAPI 3.1 document of the query routes
    Openapi {
        #[command(flatten)]
        file: File,
        /// Do not connect to the database, so that the document has no types
        #[arg(long)]
        offline: bool,
    },
    /// Write a first configuration for what this folder has: static files, an upstream, a database
    Init {
        #[command(flatten)]
        file: File,
    },
    /// Measure what a web site does well and what it could do better, with at most 40 requests
    Doctor {
        /// The page to begin with
        url: String,
        /// Print a JSON document instead of a text
        #[arg(long)]
        json: bool,
        /// Certificates to trust besides the system's, as a PEM file
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print the SQL that makes a table notify the cache when its rows change; --apply runs it
    Triggers {
        #[command(flatten)]
        file: File,
        /// The table, with its schema if need be
        #[arg(long)]
        table: String,
        /// A group of answers that come from it; may be repeated
        #[arg(long = "group", visible_alias = "groups", value_delimiter = ',', required = true)]
        groups: Vec<String>,
        /// Run it in the database instead of printing it
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Args, Debug)]
struct File {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "dunlin.toml")]
    config: PathBuf,
}

/// Runs the command of the command line.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => {
            // clap decides about colours.
            Cli::command().print_help().map_err(Failure::from)
        }
        Some(Command::Serve { file, listen }) => command::serve(Origin { file: file.config, listen }),
        Some(Command::Reload { file }) => command::reload(&file.config),
        Some(Command::Check { file, offline }) => file.load_routes().and_then(|config| command::check(config, offline)),
        Some(Command::Routes { file, json }) => file.load_routes().and_then(|config| command::routes(&config, json)),
        Some(Command::Openapi { file, offline }) => {
            file.load_routes().and_then(|config| command::openapi(config, offline))
        }
        Some(Command::Init { file }) => command::init(&file.config),
        Some(Command::Doctor { url, json, ca_file }) => command::doctor(&url, json, ca_file),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man) => manual(),
        Some(Command::Triggers { file, table, groups, apply }) => {
            file.load().and_then(|config| command::triggers(&config, &table, &groups, apply))
        }
    };
    crate::log::flush();
    done.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

/// Prints the script that completes command lines in a shell.
fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dunlin", &mut script);
    command::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page, in the form of `man`.
fn manual() -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    command::print(&String::from_utf8_lossy(&page))
}

// === impl File ===

impl File {
    /// Reads a configuration that has a route.
    fn load_routes(&self) -> Result<Config, Failure> {
        Origin { file: self.config.clone(), listen: Vec::new() }.load()
    }

    /// Reads the configuration.
    fn load(&self) -> Result<Config, Failure> {
        let database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        Config::load(&self.config, database_url.as_deref()).map_err(Failure::from)
    }
}
