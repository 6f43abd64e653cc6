//! [`Document`]: a file while it is read.

use std::path::{Path, PathBuf};

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
        self.warn_of_readers(&path, value.span());
        Some(path)
    }

    /// Warns if a file with a secret can be read by every user of the machine.
    pub(super) fn warn_of_readers(&self, path: &Path, span: Span) {
        use std::os::unix::fs::PermissionsExt as _;
        let is_readable = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0);
        if is_readable {
            let what = format!("every user of this machine can read {}", path.display());
            self.warnings.push(Diagnostic::new(span, what).expected("chmod o-r on it"));
        }
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
