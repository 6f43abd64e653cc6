//! `dunlin doctor`: what a web site does well and what it could do better.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use dunlin_doctor::Options;

use crate::failure::Failure;

/// Examines the site at `url`, and prints the report: as a text, or as a JSON document.
pub(crate) fn doctor(url: &str, json: bool, ca_file: Option<PathBuf>) -> Result<(), Failure> {
    let mut options = Options::default();
    options.ca_file = ca_file;
    if std::io::stderr().is_terminal() {
        eprintln!("Looking at {url}, which takes a few seconds …");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(dunlin_doctor::examine(url, &options))?;
    super::print(&if json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { report.to_string() })
}
