//! [`Fingerprint`]: a part of a configuration, to compare it with that of another reading.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use dunlin_http::{ContentHash, ContentHasher};
use toml::de::{DeTable, DeValue};

use super::file::{MAX_NAMED, read_file};

/// A hash of a part of a configuration. Two readings with equal fingerprints say the same, wherever
/// it stands in the files.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(ContentHash);

/// The parts of a fingerprint.
#[derive(Default)]
struct Fingerprinter(ContentHasher);

/// Keys whose values are files that are read once, so that their content belongs to the
/// fingerprint.
const FILES: &[&str] = &["ca_file", "redis_ca_file", "passfile"];

// === impl Fingerprint ===

impl Fingerprint {
    /// The fingerprint of tables of which each has the defaults of the one before.
    pub(crate) fn of_tables<'t>(tables: impl IntoIterator<Item = &'t DeTable<'t>>) -> Self {
        let mut parts = Fingerprinter::default();
        tables.into_iter().for_each(|table| parts.table(table));
        parts.finish()
    }

    pub(crate) fn of_text(text: &str) -> Self {
        let mut parts = Fingerprinter::default();
        parts.bytes(text.as_bytes());
        parts.finish()
    }

    /// The fingerprint of a top-level table, with the content of the files that it names.
    pub(crate) fn of_section(value: Option<&DeValue<'_>>, dir: &Path) -> Self {
        let mut parts = Fingerprinter::default();
        if let Some(value) = value {
            parts.value(value);
        }
        if let Some(DeValue::Table(table)) = value {
            for key in FILES {
                let Some(DeValue::String(path)) = table.get(*key).map(toml::Spanned::get_ref) else { continue };
                match read_file(&dir.join(&**path), MAX_NAMED) {
                    Ok(content) => parts.bytes(&content),
                    Err(_) => parts.bytes(b"-"),
                }
            }
        }
        parts.finish()
    }

    /// The fingerprints of the values of a table, by key.
    pub(crate) fn of_values(value: Option<&DeValue<'_>>) -> BTreeMap<String, Self> {
        let Some(DeValue::Table(table)) = value else { return BTreeMap::new() };
        let print = |value: &DeValue<'_>| {
            let mut parts = Fingerprinter::default();
            parts.value(value);
            parts.finish()
        };
        table.iter().map(|(key, value)| (key.get_ref().to_string(), print(value.get_ref()))).collect()
    }

    /// The fingerprint of this part together with others.
    pub(crate) fn with(self, others: impl IntoIterator<Item = Option<Self>>) -> Self {
        let mut parts = Fingerprinter::default();
        parts.bytes(self.to_string().as_bytes());
        for other in others {
            parts.bytes(other.map(|other| other.to_string()).unwrap_or_default().as_bytes());
        }
        parts.finish()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash may be one of a secret, so it is not shown.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

// === impl Fingerprinter ===

impl Fingerprinter {
    fn value(&mut self, value: &DeValue<'_>) {
        match value {
            DeValue::String(text) => self.tagged(b's', text.as_bytes()),
            DeValue::Integer(number) => self.tagged(b'i', number.to_string().as_bytes()),
            DeValue::Float(number) => self.tagged(b'f', number.to_string().as_bytes()),
            DeValue::Boolean(flag) => self.tagged(b'b', &[u8::from(*flag)]),
            DeValue::Datetime(time) => self.tagged(b'd', time.to_string().as_bytes()),
            DeValue::Array(values) => {
                self.tagged(b'a', &(values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| self.value(value.get_ref()));
            }
            DeValue::Table(table) => self.table(table),
        }
    }

    /// Adds a table. The order of its keys has no meaning.
    fn table(&mut self, table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.get_ref(), value.get_ref())).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.tagged(b't', &(entries.len() as u64).to_le_bytes());
        for (key, value) in entries {
            self.tagged(b'k', key.as_bytes());
            self.value(value);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.tagged(b'x', bytes);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finish())
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update(&[tag]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Fingerprint {
        Fingerprint::of_tables([DeTable::parse(text).unwrap().get_ref()])
    }

    #[test]
    fn places_and_the_order_of_keys_have_no_meaning() {
        let one = print("path = \"/\"\ncache = { age = \"1h\", groups = [\"a\", \"b\"] }");
        assert_eq!(one, print("\n\n# a comment\ncache = { groups = [\"a\", \"b\"], age = '1h' }\npath = \"/\""));
        for other in [
            "path = \"/\"\ncache = { age = \"1h\", groups = [\"b\", \"a\"] }",
            "path = \"/\"\ncache = { age = \"2h\", groups = [\"a\", \"b\"] }",
            "path = \"/\"\ncache = { age = \"1h\", groups = [\"ab\"] }",
            "path = \"/\"\n[cache]\nage = \"1h\"",
            "",
        ] {
            assert!(one != print(other), "{other}");
        }
        assert!(print("a = 1") != print("a = \"1\"") && print("a = true") != print("a = 1"));
    }

    #[test]
    fn the_content_of_a_named_file_belongs_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let document = DeTable::parse("[fetch]\nca_file = \"ca.pem\"").unwrap();
        let value = document.get_ref().get("fetch").unwrap();
        let print = || Fingerprint::of_section(Some(value.get_ref()), folder.path());
        let absent = print();
        std::fs::write(folder.path().join("ca.pem"), "one").unwrap();
        let one = print();
        std::fs::write(folder.path().join("ca.pem"), "two").unwrap();
        assert!(absent != one && one != print() && print() == print());
    }
}
