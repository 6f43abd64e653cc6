//! `cargo xtask fuzz`: runs the fuzz targets of the crates with libFuzzer, on the stable compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, root, run};
use crate::say;

/// The flags of `cargo fuzz` that instrument a program, without those that need a nightly compiler.
const INSTRUMENT: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1";

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target, for example range; without it, every target runs in turn
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print the targets and run none
    #[arg(long)]
    list: bool,
}

/// A fuzz target: a program of a crate's `fuzz` package.
struct Target {
    /// The crate, for example `dunlin-http`.
    package: String,
    name: String,
    manifest: PathBuf,
}

pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let targets = targets()?;
    let wanted: Vec<&Target> =
        targets.iter().filter(|target| options.target.as_ref().is_none_or(|name| *name == target.name)).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
        bail!("there is no fuzz target of that name; the targets are {}", names.join(", "));
    }
    if options.list {
        wanted.iter().for_each(|target| println!("{} {}", target.package, target.name));
        return Ok(());
    }
    wanted.into_iter().try_for_each(|target| target.run(options.seconds))
}

/// Compiles every fuzz target, so that all of them stay up to date with the code.
pub(crate) fn check() -> Result<()> {
    let mut manifests: Vec<PathBuf> = targets()?.into_iter().map(|target| target.manifest).collect();
    manifests.dedup();
    for manifest in manifests {
        let mut check = cargo(&["check", "--quiet", "--manifest-path"]);
        run(check.arg(&manifest).env("CARGO_TARGET_DIR", target_dir()))?;
    }
    Ok(())
}

/// All targets, by crate and name.
fn targets() -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for folder in ["crates", "apps"].map(|folder| root().join(folder)) {
        for package in names_in(&folder)? {
            let fuzz = folder.join(&package).join("fuzz");
            if !fuzz.is_dir() {
                continue;
            }
            for file in names_in(&fuzz.join("fuzz_targets"))? {
                let Some(name) = file.strip_suffix(".rs") else { continue };
                let (package, name) = (package.clone(), name.to_owned());
                targets.push(Target { package, name, manifest: fuzz.join("Cargo.toml") });
            }
        }
    }
    Ok(targets)
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

/// The target folder of the fuzz targets. In the common one, their flags would rebuild everything.
fn target_dir() -> PathBuf {
    root().join("target/fuzz")
}

/// The triple of this machine, as rustc names it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}

// === impl Target ===

impl Target {
    /// Builds the target and runs it for `seconds`. Inputs with new coverage are kept for the next
    /// run.
    fn run(&self, seconds: u64) -> Result<()> {
        say(format_args!("building {} {}", self.package, self.name));
        // With `--target`, build scripts are compiled without the instrumentation.
        let host = host()?;
        let mut build = cargo(&["build", "--release", "--quiet", "--bin", &self.name, "--target", &host]);
        build.arg("--manifest-path").arg(&self.manifest);
        build.env("RUSTFLAGS", INSTRUMENT).env("CARGO_TARGET_DIR", target_dir().join("run"));
        run(&mut build)?;
        let kept = target_dir().join(&self.package).join(&self.name);
        let (corpus, found) = (kept.join("corpus"), kept.join("found"));
        for folder in [&corpus, &found] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        say(format_args!("{}: {seconds} s; a failing input goes to {}", self.name, found.display()));
        let mut program = Command::new(target_dir().join("run").join(&host).join("release").join(&self.name));
        program.arg(&corpus);
        program.arg(format!("-max_total_time={seconds}"));
        program.arg(format!("-artifact_prefix={}/", found.display()));
        program.args(["-print_final_stats=1", "-timeout=30", "-rss_limit_mb=4096"]);
        run(&mut program)
    }
}
