//! What is wrong with a file, and where: the text that a person reads.

use std::fmt::Write as _;
use std::ops::Range;

/// A range of bytes in the file.
pub(crate) type Span = Range<usize>;

/// A configuration file as it was read.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// How its messages call it: the path as it was given.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One thing that is wrong.
#[derive(Debug)]
#[must_use]
pub(crate) struct Diagnostic {
    span: Span,
    what: String,
    expected: Option<String>,
    meant: Option<String>,
    /// Another place that has to do with it, and why.
    other: Option<(Span, &'static str)>,
    /// Whether its line is not for everybody's eyes.
    secret: bool,
}

/// Where a byte stands, counted from one, in characters.
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

    /// What would have been right.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What was probably meant, if there is a guess.
    pub(crate) fn meant(mut self, meant: Option<impl Into<String>>) -> Self {
        self.meant = meant.map(Into::into);
        self
    }

    /// There may be a password on its line, which is not shown.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The other place of a clash.
    pub(crate) fn other(mut self, span: Span, why: &'static str) -> Self {
        self.other = Some((span, why));
        self
    }
}

// === impl Source ===

impl Source {
    pub(crate) fn place(&self, at: usize) -> Place {
        let before = &self.text[..self.floor(at)];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }

    /// All that is wrong, in the order of the file, each with its line and a caret beneath it.
    pub(crate) fn render(&self, mut diagnostics: Vec<Diagnostic>, colour: bool) -> String {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        let mut out = String::new();
        for diagnostic in &diagnostics {
            let mut message = diagnostic.what.clone();
            if let Some(expected) = &diagnostic.expected {
                let _ = write!(message, "; expected {expected}");
            }
            if let Some(meant) = &diagnostic.meant {
                let _ = write!(message, "; did you mean \"{meant}\"?");
            }
            let ink = Ink::error(colour);
            if diagnostic.secret {
                self.tell(&mut out, &diagnostic.span, &message, ink);
            } else {
                self.show(&mut out, &diagnostic.span, &message, ink);
            }
            if let Some((span, why)) = &diagnostic.other {
                self.show(&mut out, span, why, Ink::note(colour));
            }
        }
        out
    }

    /// A message and its place.
    fn tell(&self, out: &mut String, span: &Span, message: &str, Ink { bold, reset, .. }: Ink) -> Place {
        let place = self.place(span.start);
        let _ = writeln!(out, "{bold}{}:{}:{}:{reset} {message}", self.name, place.line, place.column);
        place
    }

    /// As [`Source::tell`], with the line beneath.
    fn show(&self, out: &mut String, span: &Span, message: &str, ink: Ink) {
        let Place { line, column } = self.tell(out, span, message, ink);
        let text = self.text.lines().nth(line - 1).unwrap_or("").trim_end();
        let marked = self.text.get(self.floor(span.start)..self.floor(span.end)).unwrap_or("");
        let width = marked.lines().next().unwrap_or("").chars().count().max(1);
        // A tab is as wide as the terminal likes; beneath it stands a tab too.
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
