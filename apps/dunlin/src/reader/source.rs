//! [`Diagnostic`] and [`Source`]: errors with their places, as text.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use super::secret;

/// The characters around the content of a string.
const QUOTES: [char; 4] = ['"', '\'', '\r', '\n'];

/// A range of bytes in the file.
pub(crate) type Span = Range<usize>;

/// A configuration as it was read: the text of its file, and of those that it includes.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The text of all files, one after the other.
    pub(crate) text: String,
    /// The files, in the order of the text.
    files: Vec<File>,
    /// The values that no message may show.
    hidden: Vec<Hidden>,
    /// The places of the ends of lines, found when the first place is asked for.
    newlines: OnceLock<Vec<usize>>,
}

/// A file of a configuration.
#[derive(Debug)]
struct File {
    /// The name in messages: the path as it was given.
    name: String,
    /// The place of its first byte in the text.
    start: usize,
}

/// A value from outside the file that no message may show.
#[derive(Debug)]
pub(crate) struct Hidden {
    /// The place of the value that it is a part of.
    pub(crate) span: Span,
    pub(crate) value: String,
    /// The text that messages have in its place.
    pub(crate) shown: String,
}

/// The length from which a hidden value is looked for in every message, and not only in those
/// about its own place, where even a short one is.
const MIN_HIDDEN: usize = 4;

/// One error.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Diagnostic {
    span: Span,
    what: String,
    expected: Option<String>,
    meant: Option<String>,
    /// A related place, and its relation.
    other: Option<(Span, &'static str)>,
    /// `true` if its line may contain a secret.
    secret: bool,
}

/// The line and the column of a byte, counted from one, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

// === impl Diagnostic ===

impl Diagnostic {
    pub(crate) fn new(span: Span, what: impl Into<String>) -> Self {
        Self { span, what: what.into(), expected: None, meant: None, other: None, secret: false }
    }

    /// Adds the right form.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a guess, if there is one.
    pub(crate) fn meant(mut self, meant: Option<impl Into<String>>) -> Self {
        self.meant = meant.map(Into::into);
        self
    }

    /// Hides the line, which may contain a password.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same as a warning.
    pub(crate) fn into_warning(self) -> Self {
        Self { what: format!("warning: {}", self.what), ..self }
    }

    /// The message, with the right form and the guess.
    fn message(&self) -> String {
        let mut message = self.what.clone();
        if let Some(expected) = &self.expected {
            let _ = write!(message, "; expected {expected}");
        }
        if let Some(meant) = &self.meant {
            let _ = write!(message, "; did you mean \"{meant}\"?");
        }
        message
    }

    /// The place and the message, which are the same for errors that say the same.
    pub(super) fn identity(&self) -> (Span, String) {
        (self.span.clone(), self.what.clone())
    }

    /// Adds the other place of a clash.
    pub(crate) fn other(mut self, span: Span, why: &'static str) -> Self {
        self.other = Some((span, why));
        self
    }
}

// === impl Source ===

impl Source {
    /// The text of a file that includes no other.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { text: text.into(), files: vec![File { name: name.into(), start: 0 }], ..Self::default() }
    }

    /// Adds the text of another file. Returns the place of its first byte.
    pub(crate) fn add(&mut self, name: String, text: &str) -> usize {
        self.newlines = OnceLock::new();
        self.text.push('\n');
        let start = self.text.len();
        self.files.push(File { name, start });
        self.text.push_str(text);
        start
    }

    /// Hides values in all messages from now on.
    pub(crate) fn hide(&mut self, hidden: Vec<Hidden>) {
        self.hidden.extend(hidden);
    }

    /// The name of the first file.
    pub(crate) fn name(&self) -> &str {
        self.files.first().map_or("", |file| &file.name)
    }

    /// The file that a byte is in.
    fn file(&self, at: usize) -> (&str, usize) {
        let after = self.files.partition_point(|file| file.start <= at);
        let file = after.checked_sub(1).and_then(|index| self.files.get(index));
        file.map_or(("", 0), |file| (&file.name, file.start))
    }

    /// The message of a diagnostic, without what is hidden.
    fn message(&self, diagnostic: &Diagnostic) -> String {
        let mut message = diagnostic.message();
        for Hidden { span, value, shown } in &self.hidden {
            let is_near = span.start <= diagnostic.span.start && diagnostic.span.start < span.end.max(span.start + 1);
            if !value.is_empty() && (is_near || value.len() >= MIN_HIDDEN) && message.contains(&**value) {
                message = message.replace(&**value, shown);
            }
        }
        message
    }

    /// The error of a file whose syntax is wrong.
    pub(crate) fn syntax(&self, span: Span, what: &str) -> Diagnostic {
        let diagnostic = Diagnostic::new(span.clone(), what);
        match what.contains("duplicate key").then(|| self.earlier(&span)).flatten() {
            Some(first) => diagnostic.other(first, "the first one is here"),
            None => diagnostic,
        }
    }

    /// The place of a character of a string, whose value is `value` and whose text is at `span`;
    /// `None` if the text has escapes, so that its characters cannot be counted.
    pub(crate) fn within(&self, span: &Span, value: &str, character: usize) -> Option<Span> {
        let text = self.text.get(span.clone())?;
        let begin = text.find(value).filter(|_| text.trim_matches(QUOTES) == value.trim_matches(QUOTES))?;
        let (at, found) = value.char_indices().nth(character)?;
        let start = span.start + begin + at;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length =
            if word(found) { value[at..].find(|c| !word(c)).unwrap_or(value.len() - at) } else { found.len_utf8() };
        Some(start..start + length)
    }

    /// The place where the key at `span` stands for the first time in its table.
    fn earlier(&self, span: &Span) -> Option<Span> {
        let key = self.text.get(span.clone())?;
        let is_header = |line: &str| line.trim_start().starts_with('[');
        let mut at = 0;
        let mut found = None;
        for line in self.text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            if at > span.start {
                break;
            }
            let name = line.trim_start();
            let indent = line.len() - name.len();
            // Another table begins, where the same key is another one.
            if is_header(line) && !is_header(&self.text[self.line_start(span.start)..]) {
                found = None;
            } else if let Some(rest) = name.trim_start_matches('[').trim_start().strip_prefix(key)
                && rest.trim_start().starts_with(['=', '.', ']'])
            {
                let open = name.len() - name.trim_start_matches('[').len();
                let begin = start + indent + open;
                found.get_or_insert(begin..begin + key.len());
            }
        }
        found
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..self.floor(at)].rfind('\n').map_or(0, |newline| newline + 1)
    }

    pub(crate) fn place(&self, at: usize) -> Place {
        let at = self.floor(at);
        let file = self.file(at).1;
        let newlines = self.newlines.get_or_init(|| self.text.match_indices('\n').map(|(at, _)| at).collect());
        let before = |at: usize| newlines.partition_point(|newline| *newline < at);
        let (first, line) = (before(file), before(at));
        let start = if line > first { newlines[line - 1] + 1 } else { file };
        Place { line: line - first + 1, column: self.text[start..at].chars().count() + 1 }
    }

    /// The errors in the order of the file, each with its line and a caret below it.
    pub(crate) fn render(&self, mut diagnostics: Vec<Diagnostic>, colour: bool) -> String {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        let mut out = String::new();
        for diagnostic in &diagnostics {
            let message = self.message(diagnostic);
            let ink = Ink::error(colour);
            if diagnostic.secret || secret::is_secret(&self.text, diagnostic.span.start) {
                self.head(&mut out, &diagnostic.span, &message, ink);
            } else {
                self.show(&mut out, &diagnostic.span, &message, ink);
            }
            if let Some((span, why)) = &diagnostic.other {
                if secret::is_secret(&self.text, span.start) {
                    self.head(&mut out, span, why, Ink::note(colour));
                } else {
                    self.show(&mut out, span, why, Ink::note(colour));
                }
            }
        }
        out
    }

    /// A message with its place, on one line.
    pub(crate) fn line(&self, diagnostic: &Diagnostic) -> String {
        let place = self.place(diagnostic.span.start);
        let (name, _) = self.file(diagnostic.span.start);
        format!("{name}:{}:{}: {}", place.line, place.column, self.message(diagnostic))
    }

    /// Writes a message with its place.
    fn head(&self, out: &mut String, span: &Span, message: &str, Ink { bold, reset, .. }: Ink) -> Place {
        let place = self.place(span.start);
        let (name, _) = self.file(span.start);
        let _ = writeln!(out, "{bold}{name}:{}:{}:{reset} {message}", place.line, place.column);
        place
    }

    /// As [`Source::head`], with the line below.
    fn show(&self, out: &mut String, span: &Span, message: &str, ink: Ink) {
        let Place { line, column } = self.head(out, span, message, ink);
        let text = self.text[self.line_start(span.start)..].lines().next().unwrap_or("").trim_end();
        let marked = self.text.get(self.floor(span.start)..self.floor(span.end)).unwrap_or("");
        let width = marked.lines().next().unwrap_or("").chars().count().max(1);
        // The width of a tab depends on the terminal, so a tab is indented by a tab.
        let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(width);
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let Ink { accent, dim, reset, .. } = ink;
        let _ = writeln!(out, "{dim}{gutter} |{reset}");
        let _ = writeln!(out, "{dim}{number} |{reset} {text}");
        let _ = writeln!(out, "{dim}{gutter} |{reset} {indent}{accent}{carets}{reset}");
    }

    /// The start of the character that `at` is in.
    fn floor(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }
}

/// The escape sequences of a terminal, or nothing.
#[derive(Clone, Copy)]
struct Ink {
    bold: &'static str,
    accent: &'static str,
    dim: &'static str,
    reset: &'static str,
}

impl Ink {
    const PLAIN: Self = Self { bold: "", accent: "", dim: "", reset: "" };

    fn error(colour: bool) -> Self {
        if colour {
            Self { bold: "\x1b[1m", accent: "\x1b[1;31m", dim: "\x1b[34m", reset: "\x1b[0m" }
        } else {
            Self::PLAIN
        }
    }

    fn note(colour: bool) -> Self {
        if colour { Self { accent: "\x1b[1;36m", ..Self::error(true) } } else { Self::PLAIN }
    }
}
