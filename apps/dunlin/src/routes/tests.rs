use std::collections::BTreeSet;

use super::*;

#[test]
fn each_kind_has_a_name_and_keys_of_its_own() {
    let names: BTreeSet<&str> = Kind::names().collect();
    assert_eq!(names.len(), KINDS.len());
    for kind in KINDS {
        assert_eq!(kind.keys[0].name, kind.name, "the first key names the kind");
        let keys: BTreeSet<&str> = kind.keys.iter().map(|key| key.name).collect();
        assert_eq!(keys.len(), kind.keys.len(), "{}", kind.name);
        assert!(kind.keys.iter().all(|key| !key.meaning.is_empty()), "{}", kind.name);
    }
}

/// A table of keys in the form of CONFIGURATION.md.
fn table(keys: &[Key]) -> String {
    let default = |default: &str| match default {
        "" => String::new(),
        // A default in words has its own marks.
        words if words.contains('`') => words.to_owned(),
        value => format!("`{value}`"),
    };
    let row = |key: &Key| format!("| `{}` | {} | {} |\n", key.name, default(key.default), key.meaning);
    let rows: String = keys.iter().map(row).collect();
    format!("| key | default | |\n|---|---|---|\n{rows}")
}

/// `UPDATE_DOCS=1 cargo test -p dunlin` writes the tables.
#[test]
fn the_documentation_has_each_key_of_each_kind() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFIGURATION.md");
    let mut document = std::fs::read_to_string(path).unwrap();
    let kinds = KINDS.map(|kind| (kind.name, kind.keys));
    for (name, keys) in [("common", crate::config::COMMON)].into_iter().chain(kinds) {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let from = document.find(&begin).expect("the table's place") + begin.len();
        let to = from + document[from..].find(&end).expect("the table's end");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            document.replace_range(from..to, &table(keys));
            std::fs::write(path, &document).unwrap();
        } else {
            assert_eq!(document[from..to], table(keys), "the keys of {name}; update with UPDATE_DOCS=1");
        }
    }
}
