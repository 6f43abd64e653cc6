//! [`Document`]: a file while it is read.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{Diagnostic, Source, Span};
use super::value::{Errors, Value, nearest};

/// The facts about the file that its sections need while they are read.
pub(crate) struct Document<'d> {
    /// The folder that relative paths are relative to.
    pub(crate) dir: &'d Path,
    pub(crate) source: &'d Source,
    pub(crate) errors: &'d Errors,
    /// Findings that do not keep the service from starting.
    pub(crate) warnings: &'d Errors,
    /// `true` if queries have a database to run on.
    pub(crate) database: bool,
    /// `true` if clients are asked for certificates.
    pub(crate) has_client_ca: bool,
    /// The names of the tables in `[auth]`.
    pub(crate) auth: Names<'d>,
    /// The names of the tables `[upstream.NAME]`.
    pub(crate) upstreams: Names<'d>,
}

/// The names of tables, in the order of the file.
#[derive(Default)]
pub(crate) struct Names<'d> {
    all: Vec<&'d str>,
    exact: HashSet<&'d str>,
    /// The first name of each that differ by case only.
    folded: HashMap<String, &'d str>,
}

/// The file types that a path can be required to have.
#[derive(Clone, Copy)]
enum Entry {
    File,
    Folder,
}

// === impl Document ===

impl Document<'_> {
    /// An existing folder.
    pub(crate) fn folder(&self, value: Value<'_>) -> Option<PathBuf> {
        self.existing(value, Entry::Folder)
    }

    /// An existing file.
    pub(crate) fn file(&self, value: Value<'_>) -> Option<PathBuf> {
        self.existing(value, Entry::File)
    }

    /// An existing file with a secret in it, which others should not be able to read.
    pub(crate) fn secret_file(&self, value: Value<'_>) -> Option<PathBuf> {
        let path = self.existing(value, Entry::File)?;
        if let Some(warning) = others_can_read(&path, value.span()) {
            self.warnings.push(warning);
        }
        Some(path)
    }

    /// Returns `true` if the configuration is somewhere in this folder, and in no hidden one.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        let dir = if self.dir.as_os_str().is_empty() { Path::new(".") } else { self.dir };
        let (Ok(dir), Ok(folder)) = (dir.canonicalize(), folder.canonicalize()) else { return false };
        let is_hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
        dir.strip_prefix(folder).is_ok_and(|below| !below.components().any(is_hidden))
    }

    /// Returns `true` if a value is written as `null`, without quotes; see [`super::nulls`].
    pub(crate) fn is_null(&self, value: &Spanned<DeValue<'_>>) -> bool {
        is_null(&self.source.text, value)
    }

    fn existing(&self, value: Value<'_>, entry: Entry) -> Option<PathBuf> {
        let text = value.str(entry.name())?;
        let path = self.dir.join(text);
        if entry.is(&path) {
            return Some(path);
        }
        let what = match path.exists() {
            true => format!("\"{}\" is not {}", path.display(), entry.name()),
            false => format!("\"{}\" does not exist", path.display()),
        };
        let diagnostic = Diagnostic::new(value.span(), what)
            .expected(format!("{}, relative to this file", entry.name()))
            .meant(self.sibling(text));
        value.error(diagnostic);
        None
    }

    /// A similar name in the same folder.
    fn sibling(&self, text: &str) -> Option<String> {
        let wanted = Path::new(text);
        let name = wanted.file_name()?.to_str()?;
        let parent = wanted.parent().unwrap_or(Path::new(""));
        // A relative file name has the empty path as its folder, which cannot be read as one.
        let folder = Path::new(".").join(self.dir).join(parent);
        let names: Vec<String> =
            std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(parent.join(nearest(name, &known)?).display().to_string())
    }
}

// === impl Names ===

impl<'d> Names<'d> {
    pub(crate) fn new(all: Vec<&'d str>) -> Self {
        let mut folded = HashMap::with_capacity(all.len());
        for name in &all {
            folded.entry(name.to_ascii_lowercase()).or_insert(*name);
        }
        Self { exact: all.iter().copied().collect(), folded, all }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.exact.contains(name)
    }

    /// The first name that is `name` in any case.
    pub(crate) fn ignoring_case(&self, name: &str) -> Option<&'d str> {
        self.folded.get(&name.to_ascii_lowercase()).copied()
    }

    pub(crate) fn as_slice(&self) -> &[&'d str] {
        &self.all
    }
}

// === impl Entry ===

impl Entry {
    const fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
        }
    }

    fn is(self, path: &Path) -> bool {
        match self {
            Self::File => path.is_file(),
            Self::Folder => path.is_dir(),
        }
    }
}

/// The places of `null` in tables named `default`. TOML has no such value, so its parser reports
/// each, and goes on with another value.
pub(crate) fn nulls(text: &str, table: &DeTable<'_>) -> HashSet<Span> {
    fn collect(text: &str, value: &DeValue<'_>, is_default: bool, found: &mut HashSet<Span>) {
        match value {
            DeValue::Table(table) => {
                for (key, value) in table {
                    if is_default && is_null(text, value) {
                        found.insert(value.span());
                    }
                    collect(text, value.get_ref(), &**key.get_ref() == "default", found);
                }
            }
            DeValue::Array(values) => values.iter().for_each(|value| collect(text, value.get_ref(), false, found)),
            _ => {}
        }
    }
    let mut found = HashSet::new();
    for (_, value) in table {
        collect(text, value.get_ref(), false, &mut found);
    }
    found
}

fn is_null(text: &str, value: &Spanned<DeValue<'_>>) -> bool {
    text.get(value.span()) == Some("null")
}

/// The warning about a file with a secret that every user of the machine can read.
pub(crate) fn others_can_read(path: &Path, span: Span) -> Option<Diagnostic> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let what = format!("every user of this machine can read {}", path.display());
    (mode & 0o004 != 0)
        .then(|| Diagnostic::new(span, what).expected("a file that only this service can read: chmod o-r"))
}
