//! Runs cargo and other commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A `cargo` command in the workspace's folder.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(root());
    cargo
}

/// Runs a command to its end, with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} did not start", command.get_program()))?;
    if !status.success() {
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        bail!("{} {} failed", Path::new(command.get_program()).display(), args.join(" "));
    }
    Ok(())
}

/// Builds a release with these arguments. Returns the path of the executable.
pub(crate) fn build_release(args: &[&str]) -> Result<PathBuf> {
    build(args, true)
}

/// Builds with these arguments. Returns the path of the executable.
pub(crate) fn build(args: &[&str], release: bool) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--message-format=json-render-diagnostics"]);
    if release {
        build.arg("--release");
    }
    build.args(args);
    let out = build.stderr(Stdio::inherit()).output().context("cargo did not start")?;
    if !out.status.success() {
        bail!("the build failed");
    }
    let messages = String::from_utf8_lossy(&out.stdout);
    let path = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    path.context("cargo built no executable")
}
