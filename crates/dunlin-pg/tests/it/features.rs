//! The effect of this crate on the build of an application.

use std::process::Command;

/// Cargo unifies features over a build. `arbitrary_precision` would change how serde_json reads
/// numbers in the whole application, and break untagged and flattened types (serde-rs/json#505).
#[test]
fn serde_json_keeps_its_numbers() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "dunlin-pg", "-e", "normal", "--prefix", "none", "-f", "{p} [{f}]"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let line = tree.lines().find(|line| line.starts_with("serde_json ")).unwrap_or_else(|| panic!("{tree}"));
    assert!(line.contains("raw_value") && !line.contains("arbitrary_precision"), "{line}");
}
