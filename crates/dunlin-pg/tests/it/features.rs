//! What linking this crate changes in somebody's build.

use std::process::Command;

/// Cargo unifies features, so that one of ours would be everybody's. `arbitrary_precision` changes
/// how serde_json reads numbers, and breaks untagged and flattened types (serde-rs/json#505).
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
