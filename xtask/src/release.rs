//! `cargo xtask release --dry-run`: packages the libraries and compiles them as their users will.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo::{cargo, run};
use crate::say;

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Package the libraries and compile each package outside the workspace; publish nothing
    #[arg(long)]
    dry_run: bool,
}

/// The packages of the workspace that can be published.
struct Release {
    /// Each library stands behind those that it depends on.
    libraries: Vec<Library>,
    /// The target folder of the workspace, where cargo leaves the packages.
    target: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Library {
    name: String,
    version: String,
    /// The names of the libraries of the workspace that this one depends on.
    dependencies: BTreeSet<String>,
}

pub(crate) fn release(options: &Options) -> Result<()> {
    if !options.dry_run {
        bail!("this command publishes nothing: run it with --dry-run, then run `cargo publish --workspace`");
    }
    let release = Release::read()?;
    release.package()?;
    release.check()?;
    say(format_args!("{} packages are ready for `cargo publish --workspace`", release.libraries.len()));
    Ok(())
}

/// Packages every library and compiles none. This takes seconds, and finds most of what prevents a
/// release: a dependency without a version, a file that is missing.
pub(crate) fn package() -> Result<()> {
    Release::read()?.package()
}

// === impl Release ===

impl Release {
    fn read() -> Result<Self> {
        let output = cargo(&["metadata", "--no-deps", "--format-version=1"]).output().context("cargo did not start")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")?;
        let target = text(&metadata, "target_directory").into();
        let libraries = in_order(libraries(&metadata))?;
        Ok(Self { libraries, target })
    }

    /// Packages all libraries in one call. Cargo then resolves those that are in no registry yet
    /// from one another.
    fn package(&self) -> Result<()> {
        let names: Vec<&str> = self.libraries.iter().map(|library| &*library.name).collect();
        say(format_args!("packages, in the order of their dependencies: {}", names.join(", ")));
        let mut package = cargo(&["package", "--quiet", "--no-verify", "--allow-dirty"]);
        package.args(names.iter().flat_map(|name| ["--package", name]));
        run(package.env("CARGO_TARGET_DIR", &self.target))?;
        for library in &self.libraries {
            let file = self.file(library);
            let size = file.metadata().with_context(|| format!("cargo left no {}", file.display()))?.len();
            say(format_args!("{} {}: {} KB", library.name, library.version, size.div_ceil(1000)));
        }
        Ok(())
    }

    /// Unpacks each package outside the workspace and compiles it there on its own. The other
    /// unpacked packages are its dependencies.
    fn check(&self) -> Result<()> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        for library in &self.libraries {
            unpack(&self.file(library), folder.path())?;
        }
        for (index, library) in self.libraries.iter().enumerate() {
            say(format_args!("checking {} ({} of {})", library.name, index + 1, self.libraries.len()));
            let mut check = cargo(&["check", "--quiet"]);
            check.current_dir(folder.path().join(library.folder()));
            check.env("CARGO_TARGET_DIR", self.target.join("release-check"));
            for other in self.needed_by(library) {
                let path = folder.path().join(other.folder());
                check.arg("--config").arg(format!("patch.crates-io.{}.path={:?}", other.name, path));
            }
            run(&mut check).with_context(|| format!("the package of {} does not compile", library.name))?;
        }
        Ok(())
    }

    /// The libraries that this one depends on, directly or through others.
    fn needed_by(&self, library: &Library) -> Vec<&Library> {
        let mut names = library.dependencies.clone();
        let mut needed = Vec::new();
        // A dependency comes before its dependents, so one pass from the end finds all.
        for other in self.libraries.iter().rev() {
            if names.contains(&other.name) {
                names.extend(other.dependencies.iter().cloned());
                needed.push(other);
            }
        }
        needed
    }

    fn file(&self, library: &Library) -> PathBuf {
        self.target.join("package").join(format!("{}.crate", library.folder()))
    }
}

// === impl Library ===

impl Library {
    /// The name of the folder in the package.
    fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// The packages of the workspace that may be published, from the output of `cargo metadata`.
fn libraries(metadata: &Value) -> Vec<Library> {
    // `publish` is an empty list in packages with `publish = false`.
    let publishable = |package: &&Value| package["publish"].as_array().is_none_or(|registries| !registries.is_empty());
    let packages: Vec<&Value> = list(metadata, "packages").iter().filter(publishable).collect();
    let names: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let library = |package: &&Value| {
        let dependencies = list(package, "dependencies").iter();
        let dependencies = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let dependencies = dependencies.map(|dependency| text(dependency, "name")).filter(|name| names.contains(name));
        Library {
            name: text(package, "name").to_owned(),
            version: text(package, "version").to_owned(),
            dependencies: dependencies.map(str::to_owned).collect(),
        }
    };
    packages.iter().map(library).collect()
}

/// Puts each library behind those that it depends on.
fn in_order(mut waiting: Vec<Library>) -> Result<Vec<Library>> {
    waiting.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut ordered: Vec<Library> = Vec::new();
    while !waiting.is_empty() {
        let done: BTreeSet<&str> = ordered.iter().map(|library| &*library.name).collect();
        let is_ready = |library: &Library| library.dependencies.iter().all(|name| done.contains(&**name));
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            let names: Vec<&str> = rest.iter().map(|library| &*library.name).collect();
            bail!("these libraries depend on one another in a circle: {}", names.join(", "));
        }
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
}

fn unpack(file: &Path, folder: &Path) -> Result<()> {
    run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(folder))
        .with_context(|| format!("cannot unpack {}", file.display()))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Library, Release, in_order, libraries};

    fn library(name: &str, dependencies: &[&str]) -> Library {
        let dependencies = dependencies.iter().map(ToString::to_string).collect();
        Library { name: name.to_owned(), version: "1.0.0".to_owned(), dependencies }
    }

    fn names(libraries: impl IntoIterator<Item = Library>) -> Vec<String> {
        libraries.into_iter().map(|library| library.name).collect()
    }

    #[test]
    fn libraries_are_what_can_be_published_and_tests_depend_on_nothing() {
        let metadata = json!({ "packages": [
            { "name": "app", "version": "1.0.0", "publish": [], "dependencies": [{ "name": "b", "kind": null }] },
            { "name": "b", "version": "1.0.0", "publish": null, "dependencies": [
                { "name": "c", "kind": null }, { "name": "d", "kind": "dev" }, { "name": "serde", "kind": null },
            ] },
            { "name": "c", "version": "1.0.0", "publish": null, "dependencies": [] },
            { "name": "d", "version": "1.0.0", "publish": ["crates-io"], "dependencies": [] },
        ] });
        assert_eq!(libraries(&metadata), [library("b", &["c"]), library("c", &[]), library("d", &[])]);
    }

    #[test]
    fn a_library_stands_behind_its_dependencies() {
        let ordered = in_order(vec![library("a", &["b", "c"]), library("b", &["c"]), library("c", &[])]);
        assert_eq!(names(ordered.unwrap()), ["c", "b", "a"]);
        assert!(in_order(vec![library("a", &["b"]), library("b", &["a"])]).is_err());
    }

    #[test]
    fn a_library_needs_the_dependencies_of_its_dependencies() {
        let libraries =
            in_order(vec![library("a", &["b"]), library("b", &["c"]), library("c", &[]), library("d", &[])]);
        let release = Release { libraries: libraries.unwrap(), target: "target".into() };
        let needed = release.needed_by(&library("a", &["b"]));
        assert_eq!(names(needed.into_iter().cloned()), ["b", "c"]);
    }
}
