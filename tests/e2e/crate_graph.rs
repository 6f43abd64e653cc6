//! The dependency rule of the architecture, checked against cargo's metadata.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).exec().expect("cargo metadata")
}

/// For each package of the workspace, which others it depends on, by kind of dependency.
fn edges(metadata: &Metadata, kind: DependencyKind) -> BTreeMap<&str, BTreeSet<&str>> {
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let edges = packages.iter().map(|package| {
        let of_kind = package.dependencies.iter().filter(|dependency| dependency.kind == kind);
        let known = of_kind.map(|dependency| dependency.name.as_str()).filter(|name| ours.contains(name));
        (package.name.as_str(), known.collect())
    });
    edges.collect()
}

#[test]
fn dunlin_http_depends_on_no_crate_of_ours_and_the_others_only_on_it() {
    let metadata = metadata();
    for (package, known) in edges(&metadata, DependencyKind::Normal) {
        let allowed: &[&str] = match package {
            "dunlin" | "dunlin-tests" => continue,
            "dunlin-http" | "dunlin-testkit" => &[],
            "xtask" => &["dunlin-testkit"],
            "dunlin-cache-redis" => &["dunlin-http", "dunlin-cache"],
            _ => &["dunlin-http"],
        };
        let beyond: Vec<_> = known.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(beyond.is_empty(), "{package} must not know {beyond:?}");
    }
}

#[test]
fn the_test_kit_is_for_tests() {
    for (package, known) in edges(&metadata(), DependencyKind::Normal) {
        assert!(package == "xtask" || !known.contains("dunlin-testkit"), "{package} ships the test kit");
    }
}

#[test]
fn every_package_lies_where_its_name_says_and_shares_lints_and_licence() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap();
        let relative = folder.strip_prefix(&metadata.workspace_root).unwrap().as_str();
        let expect = match package.name.as_str() {
            "dunlin" => "apps/dunlin".to_owned(),
            "dunlin-tests" => "tests".into(),
            "xtask" => "xtask".into(),
            name => format!("crates/{name}"),
        };
        assert_eq!(relative, expect);
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.name);
    }
}

#[test]
fn every_library_can_be_published_and_nothing_else() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let is_library = name.starts_with("dunlin-") && !["dunlin-testkit", "dunlin-tests"].contains(&name);
        // `publish = false` is an empty list of registries.
        assert_eq!(package.publish.as_ref().is_none_or(|to| !to.is_empty()), is_library, "publish of {name}");
        if !is_library {
            continue;
        }
        assert!(package.description.is_some(), "{name} has no description");
        assert!((1..=5).contains(&package.keywords.len()), "{name} has 1 to 5 keywords in a registry");
        assert!((1..=5).contains(&package.categories.len()), "{name} has 1 to 5 categories in a registry");
        assert!(package.metadata["docs"]["rs"].is_object(), "{name} has no [package.metadata.docs.rs]");
        let folder = package.manifest_path.parent().unwrap();
        for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(folder.join(file).is_file(), "the package of {name} has no {file}");
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let is_for_tests = dependency.kind == DependencyKind::Development;
            let matches = dependency.req.matches(&package.version) && dependency.req.to_string() != "*";
            assert!(is_for_tests || matches, "{name} needs {} in another version", dependency.name);
        }
    }
}

#[test]
fn licences_of_all_dependencies_are_permissive() {
    let permissive = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "0BSD",
        "BSL-1.0",
        "Unicode-3.0",
        "CC0-1.0",
        "Unlicense",
        "MIT-0",
        "CDLA-Permissive-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    for package in metadata().packages {
        let licence = package.license.unwrap_or_default().replace('/', " OR ");
        // One permissive choice for each part of a conjunction is enough.
        let fine = licence
            .replace(['(', ')'], "")
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|choice| permissive.contains(&choice.trim())));
        assert!(fine, "{} is under {licence:?}", package.name);
    }
}

#[test]
fn no_source_file_is_too_long() {
    let root = metadata().workspace_root.into_std_path_buf();
    let mut folders: Vec<_> = ["crates", "apps", "xtask", "tests"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.ends_with("target") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&entry).unwrap().lines().count();
                assert!(lines <= 400, "{} has {lines} lines; split it", entry.display());
            }
        }
    }
}
