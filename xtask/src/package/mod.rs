//! `cargo xtask package`: the service for its operators: a Debian package, and a tarball.

mod deb;
mod tree;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cargo::{build, cargo, root, run};
use crate::say;
use tree::{Entry, Tree};

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Package a debug build, without compression, for tests
    #[arg(long)]
    dev: bool,
}

/// The facts that the packages are made of.
struct Package {
    version: String,
    /// The architecture, as Debian names it.
    arch: &'static str,
    /// The time of every file, in seconds since 1970, so that the same sources make the same bytes.
    time: u64,
    dev: bool,
    compression: Compression,
    binary: PathBuf,
    /// `true` if the binary needs no library of the system.
    is_static: bool,
}

/// The target whose binaries need no library of the system.
#[cfg(target_arch = "x86_64")]
const MUSL: &str = "x86_64-unknown-linux-musl";
#[cfg(not(target_arch = "x86_64"))]
const MUSL: &str = "aarch64-unknown-linux-musl";

pub(crate) fn package(options: &Options) -> Result<()> {
    // A package of a debug build is not taken for a release.
    let out = target_folder()?.join(if options.dev { "package-dev" } else { "package" });
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let package = Package::new(build(&["--package", "dunlin"], !options.dev)?, options.dev)?;
    let deb = out.join(format!("dunlin_{}_{}.deb", package.version, package.arch));
    deb::write(&deb, &package)?;
    say(format_args!("{}: {} KB", deb.display(), deb.metadata()?.len().div_ceil(1000)));

    let reason = if options.dev { Some("a debug build".to_owned()) } else { no_musl() };
    let portable = match reason {
        None => Package::new(build(&["--package", "dunlin", "--target", MUSL], true)?, false)?,
        Some(reason) => {
            say(format_args!("{reason}: the tarball's binary needs this system's libc"));
            package
        }
    };
    let libc = if portable.is_static { "static" } else { "glibc" };
    let name = format!("dunlin-{}-{}-{libc}", portable.version, std::env::consts::ARCH);
    let tarball = out.join(format!("{name}.tar.gz"));
    let mut encoder = GzEncoder::new(File::create(&tarball)?, portable.compression);
    portable.tarball()?.write(&mut encoder, Path::new(&name), portable.time)?;
    encoder.finish()?;
    say(format_args!("{}: {} KB", tarball.display(), tarball.metadata()?.len().div_ceil(1000)));
    Ok(())
}

/// The reason why no static binary can be built here; `None` if one can.
fn no_musl() -> Option<String> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
    let sysroot = sysroot.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or_default();
    if !sysroot.join("lib/rustlib").join(MUSL).is_dir() {
        return Some(format!("this toolchain has no {MUSL} (rustup target add {MUSL})"));
    }
    // It compiles the dependencies in C, unless a variable of the `cc` crate names another one.
    let named = std::env::var_os(format!("CC_{}", MUSL.replace('-', "_"))).is_some();
    let compiles = Command::new("musl-gcc").arg("--version").output().is_ok_and(|out| out.status.success());
    (!named && !compiles).then(|| "there is no musl-gcc (Debian's package musl-tools)".to_owned())
}

fn target_folder() -> Result<PathBuf> {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1"]).output().context("cargo did not start")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")?;
    Ok(metadata.get("target_directory").and_then(|path| path.as_str()).context("cargo names no target folder")?.into())
}

/// The time of the last commit, or the one that the environment asks for.
fn time() -> u64 {
    let asked = std::env::var("SOURCE_DATE_EPOCH").ok();
    let commit = || {
        let out = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output().ok()?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    asked.or_else(commit).and_then(|text| text.parse().ok()).unwrap_or(1_700_000_000)
}

// === impl Package ===

impl Package {
    fn new(binary: PathBuf, dev: bool) -> Result<Self> {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => bail!("no Debian architecture is known for {other}"),
        };
        let compression = if dev { Compression::none() } else { Compression::best() };
        let is_static = binary.components().any(|part| part.as_os_str() == MUSL);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arch,
            time: time(),
            dev,
            compression,
            binary,
            is_static,
        })
    }

    /// The binary, in a release without its table of symbols.
    fn program(&self) -> Result<Vec<u8>> {
        if self.dev {
            return read(&self.binary);
        }
        let file = tempfile::NamedTempFile::new()?;
        run(Command::new("strip").arg("-o").arg(file.path()).arg(&self.binary))?;
        read(file.path())
    }

    /// The output of the binary with these arguments.
    fn output(&self, args: &[&str]) -> Result<Vec<u8>> {
        let out = Command::new(&self.binary).args(args).output().context("the binary did not start")?;
        if !out.status.success() {
            bail!("dunlin {} failed: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(out.stdout)
    }

    fn gzip(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), self.compression);
        std::io::Write::write_all(&mut encoder, bytes)?;
        Ok(encoder.finish()?)
    }

    /// The files of the system.
    fn system(&self) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.add("usr/bin/dunlin", Entry::program(self.program()?));
        for (path, source) in [
            ("usr/lib/systemd/system/dunlin.service", "dunlin.service"),
            ("usr/lib/systemd/system/dunlin.socket", "dunlin.socket"),
            ("usr/share/dunlin/www/index.html", "www/index.html"),
            ("usr/share/doc/dunlin/copyright", "debian/copyright"),
            ("usr/share/doc/dunlin/examples/kubernetes.yaml", "kubernetes.yaml"),
            ("etc/dunlin/dunlin.toml", "dunlin.toml"),
            ("etc/logrotate.d/dunlin", "logrotate"),
        ] {
            tree.add(path, Entry::file(read(&packaging(source))?));
        }
        tree.add(
            "usr/share/doc/dunlin/CONFIGURATION.md",
            Entry::file(read(&root().join("apps/dunlin/CONFIGURATION.md"))?),
        );
        tree.add("usr/share/doc/dunlin/upgrade.md", Entry::file(read(&root().join("docs/upgrade.md"))?));
        let changelog = self.gzip(&read(&root().join("CHANGELOG.md"))?)?;
        tree.add("usr/share/doc/dunlin/CHANGELOG.md.gz", Entry::file(changelog));
        tree.add("usr/share/man/man1/dunlin.1.gz", Entry::file(self.gzip(&self.output(&["man"])?)?));
        for (path, shell) in [
            ("usr/share/bash-completion/completions/dunlin", "bash"),
            ("usr/share/zsh/vendor-completions/_dunlin", "zsh"),
            ("usr/share/fish/vendor_completions.d/dunlin.fish", "fish"),
        ] {
            tree.add(path, Entry::file(self.output(&["completions", shell])?));
        }
        Ok(tree)
    }

    /// The files of a folder that is unpacked anywhere.
    fn tarball(&self) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.add("dunlin", Entry::program(self.program()?));
        tree.add("dunlin.1", Entry::file(self.output(&["man"])?));
        for name in ["dunlin.service", "dunlin.socket", "dunlin.toml", "kubernetes.yaml", "www/index.html"] {
            tree.add(name, Entry::file(read(&packaging(name))?));
        }
        for name in [
            "README.md",
            "CHANGELOG.md",
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "apps/dunlin/CONFIGURATION.md",
            "docs/upgrade.md",
        ] {
            let path = root().join(name);
            let file = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name);
            tree.add(file, Entry::file(read(&path)?));
        }
        Ok(tree)
    }
}

/// A file of the sources for packages.
fn packaging(name: &str) -> PathBuf {
    root().join("apps/dunlin/packaging").join(name)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
