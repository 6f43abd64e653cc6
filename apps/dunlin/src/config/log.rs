//! `[log]`.

use std::path::PathBuf;

use toml::de::DeValue;
use tracing::Level;

use crate::reader::{Diagnostic, Document, Read, Section, Value};

/// `[log]`.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
    /// `true` if requests get access lines.
    pub(crate) access: bool,
    /// The file that lines go to, instead of the standard error.
    pub(crate) file: Option<PathBuf>,
    /// The share of the successful requests that get an access line, from 0 to 1.
    pub(crate) sample: f64,
    /// The names of a query whose values no line shows, besides the usual ones.
    pub(crate) redact: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Pretty on a terminal, fields for systemd's journal, JSON otherwise.
    Auto,
    Pretty,
    Json,
    /// nginx's format of this name, for access lines.
    Combined,
}

/// A number from 0 to 1.
struct Share(f64);

const LEVELS: &[(&str, Level)] = &[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

const FORMATS: &[(&str, Format)] =
    &[("auto", Format::Auto), ("pretty", Format::Pretty), ("json", Format::Json), ("combined", Format::Combined)];

/// Keys that other servers have, each with its place here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("path", "the file is \"file\""),
    ("access_log", "the file is \"file\""),
    ("error_log", "the file is \"file\"; with format = \"combined\", other lines go to standard error"),
    ("output", "the file is \"file\""),
];

impl Read for Share {
    const EXPECTED: &'static str = "a number from 0 to 1, such as 0.1";

    fn read(value: Value<'_>) -> Option<Self> {
        let number = match value.raw() {
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => return value.wrong_type(Self::EXPECTED),
        };
        match number.filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Some(Self(number)),
            None => value.wrong("this number", Self::EXPECTED, None),
        }
    }
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::INFO, format: Format::Auto, access: true, file: None, sample: 1.0, redact: Vec::new() }
    }
}

impl Log {
    pub(super) fn read(mut table: Section<'_>, document: &Document<'_>) -> Self {
        let mut log = Self::default();
        table.set_word("level", LEVELS, &mut log.level);
        table.set_word("format", FORMATS, &mut log.format);
        table.set("access", &mut log.access);
        log.file = table.read("file").map(|path: PathBuf| document.dir.join(path));
        if let Some(Share(share)) = table.read("sample") {
            log.sample = share;
        }
        table.set("redact", &mut log.redact);
        if let Some(path) = &log.file
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            let what = format!("there is no folder {} for the log", folder.display());
            document
                .errors
                .push(Diagnostic::new(table.value_span("file"), what).expected("a file in a folder that is there"));
        } else if log.file.as_ref().is_some_and(|path| path.is_dir()) {
            let what = "the log file is a folder";
            document.errors.push(Diagnostic::new(table.value_span("file"), what).expected("the path of a file"));
        }
        table.finish(|key| {
            let (_, hint) = ELSEWHERE.iter().find(|(name, _)| *name == key)?;
            Some(format!("unknown key \"{key}\" in [log]; {hint}"))
        });
        log
    }
}
