//! The command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dunlin_server::Addr;

use crate::command;
use crate::config::{self, Config};

/// A fast web service from a configuration: static files, SQL as JSON, fetches and proxied upstreams, compressed, cached
/// and kept alive.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, after_help = AFTER_HELP)]
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
        /// Listen here instead of where the file says; may be repeated
        #[arg(long, value_name = "ADDR")]
        listen: Vec<Addr>,
    },
    /// Validate everything: syntax, folders, certificates; prepare every query
    Check {
        #[command(flatten)]
        file: File,
    },
    /// Print what answers where, with its cache and compression
    Routes {
        #[command(flatten)]
        file: File,
    },
    /// Print the SQL that makes a table tell the cache when its rows change; --apply runs it
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

/// Why a command failed, which is its exit status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong: 2. The message says where, and ends its last line.
    Config(String),
    /// Anything else: 1.
    Other(anyhow::Error),
}

const AFTER_HELP: &str = "\
A first dunlin.toml:

    [[route]]
    path = \"/\"
    text = \"Hello, World!\"

Then `dunlin serve`, and open http://127.0.0.1:8080/.";

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => {
            // clap knows whether to colour it.
            <Cli as clap::CommandFactory>::command().print_help().map_err(Failure::from)
        }
        Some(Command::Serve { file, listen }) => file.load().and_then(|config| command::serve(config, listen)),
        Some(Command::Check { file }) => file.load().and_then(command::check),
        Some(Command::Routes { file }) => file.load().and_then(|config| command::routes(&config)),
        Some(Command::Triggers { file, table, groups, apply }) => {
            file.load().and_then(|config| command::triggers(&config, &table, &groups, apply))
        }
    };
    crate::log::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(message)) => {
            eprint!("{message}");
            ExitCode::from(2)
        }
        Err(Failure::Other(error)) => {
            eprintln!("dunlin: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line, each said once: some errors say their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| {
        match (said.is_empty(), said.contains(&cause)) {
            (true, _) => cause,
            (false, true) => said,
            (false, false) => format!("{said}: {cause}"),
        }
    })
}

/// Whether messages are read on a terminal that shows colours.
pub(crate) fn coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

// === impl File ===

impl File {
    fn load(&self) -> Result<Config, Failure> {
        let database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        Config::load(&self.config, database_url.as_deref()).map_err(Failure::from)
    }
}

// === impl Failure ===

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::Config(error.render(coloured()))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}
