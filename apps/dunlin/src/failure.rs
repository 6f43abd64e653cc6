//! [`Failure`]: the reason why a command failed, and its exit status.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::config;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong: status 2. The message is complete, with its last newline.
    Config(String),
    /// Anything else: status 1.
    Other(anyhow::Error),
}

// === impl Failure ===

impl Failure {
    /// The message, on one line or several.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Config(message) => message,
            Self::Other(error) => chain(&error),
        }
    }

    /// Prints the message, and returns the exit status.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Config(message) => {
                eprint!("{message}");
                ExitCode::from(2)
            }
            Self::Other(error) => {
                eprintln!("dunlin: {}", chain(&error));
                ExitCode::FAILURE
            }
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::Config(error.render(is_coloured()))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// An error and its causes on one line, without repetition: some errors contain their cause.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match (text.is_empty(), text.contains(&cause)) {
            (true, _) => cause,
            (false, true) => text,
            (false, false) => format!("{text}: {cause}"),
        }
    })
}

/// Returns `true` if messages are read on a terminal that shows colours.
pub(crate) fn is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
