//! [`Value`]: the value of a key, and the types that it can be read as.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::source::{Diagnostic, Span};

/// The errors that are found while a file is read.
#[derive(Debug, Default)]
pub(crate) struct Errors(RefCell<Found>);

/// Errors, each once.
#[derive(Debug, Default)]
struct Found {
    all: Vec<Diagnostic>,
    known: HashSet<(Span, String)>,
}

/// The value of a key.
#[derive(Clone, Copy)]
pub(crate) struct Value<'d> {
    key: &'static str,
    raw: &'d Spanned<DeValue<'d>>,
    errors: &'d Errors,
}

/// A type that a value can be read as.
pub(crate) trait Read: Sized {
    /// The right form, for messages: `expected …`.
    const EXPECTED: &'static str;

    /// Reads `value`; `None` if it is wrong, which is reported to `value`.
    fn read(value: Value<'_>) -> Option<Self>;
}

// === impl Errors ===

impl Errors {
    /// Adds an error, unless it is there already, as for a default of several routes.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        let mut found = self.0.borrow_mut();
        if found.known.insert(diagnostic.identity()) {
            found.all.push(diagnostic);
        }
    }

    pub(crate) fn into_inner(self) -> Vec<Diagnostic> {
        self.0.into_inner().all
    }
}

// === impl Value ===

impl<'d> Value<'d> {
    pub(crate) const fn new(key: &'static str, raw: &'d Spanned<DeValue<'d>>, errors: &'d Errors) -> Self {
        Self { key, raw, errors }
    }

    pub(crate) fn span(&self) -> Span {
        self.raw.span()
    }

    pub(crate) fn raw(&self) -> &'d DeValue<'d> {
        self.raw.get_ref()
    }

    /// The errors of the file.
    pub(super) const fn errors(&self) -> &'d Errors {
        self.errors
    }

    /// Another value, below this one, with `key` as its name in messages.
    pub(crate) const fn at(&self, key: &'static str, raw: &'d Spanned<DeValue<'d>>) -> Self {
        Self { key, raw, errors: self.errors }
    }

    pub(crate) fn error(&self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Reports that the value has another type than `expected`.
    pub(crate) fn wrong_type<T>(&self, expected: impl Into<String>) -> Option<T> {
        let what = format!("\"{}\" is {}", self.key, type_name(self.raw()));
        self.error(Diagnostic::new(self.span(), what).expected(expected));
        None
    }

    /// Reports that `text` is not what `expected` describes.
    pub(crate) fn wrong<T>(&self, text: impl Display, expected: impl Into<String>, meant: Option<String>) -> Option<T> {
        let what = format!("\"{}\" cannot be {text}", self.key);
        self.error(Diagnostic::new(self.span(), what).expected(expected).meant(meant));
        None
    }

    pub(crate) fn str(&self, expected: &'static str) -> Option<&'d str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(expected),
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let DeValue::String(text) = self.raw() else {
            return self.wrong_type(one_of(&names));
        };
        match words.iter().find(|(name, _)| name == text) {
            Some((_, value)) => Some(*value),
            None => self.wrong(format_args!("\"{text}\""), one_of(&names), nearest(text, &names).map(str::to_owned)),
        }
    }

    /// The elements of an array; any other value counts as an array of one.
    pub(crate) fn elements(self) -> Vec<Value<'d>> {
        match self.raw() {
            DeValue::Array(array) => array.iter().map(|raw| Value { raw, ..self }).collect(),
            _ => vec![self],
        }
    }

    /// Each element by `read`; `None` if one of them is wrong, after all were read.
    pub(crate) fn list<T>(self, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.elements().into_iter().map(read).collect();
        read.into_iter().collect()
    }

    pub(crate) fn integer(self, min: u64, max: u64, expected: &'static str) -> Option<u64> {
        let DeValue::Integer(integer) = self.raw() else { return self.wrong_type(expected) };
        match i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()) {
            Ok(number) if (min.into()..=max.into()).contains(&number) => u64::try_from(number).ok(),
            _ => self.wrong(integer, expected, None),
        }
    }
}

// === impl Read ===

impl Read for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: Value<'_>) -> Option<Self> {
        match value.raw() {
            DeValue::Boolean(yes) => Some(*yes),
            _ => value.wrong_type(Self::EXPECTED),
        }
    }
}

impl Read for String {
    const EXPECTED: &'static str = "a string";

    fn read(value: Value<'_>) -> Option<Self> {
        value.str(Self::EXPECTED).map(str::to_owned)
    }
}

impl Read for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(value: Value<'_>) -> Option<Self> {
        match value.str(Self::EXPECTED)? {
            "" => value.wrong("\"\"", Self::EXPECTED, None),
            path => Some(path.into()),
        }
    }
}

impl Read for u64 {
    const EXPECTED: &'static str = "an integer, zero or more";

    fn read(value: Value<'_>) -> Option<Self> {
        value.integer(0, Self::MAX >> 1, Self::EXPECTED)
    }
}

impl Read for usize {
    const EXPECTED: &'static str = "an integer, zero or more";

    fn read(value: Value<'_>) -> Option<Self> {
        value.integer(0, u32::MAX.into(), Self::EXPECTED).map(|number| number as usize)
    }
}

impl Read for u32 {
    const EXPECTED: &'static str = "an integer, zero or more";

    fn read(value: Value<'_>) -> Option<Self> {
        value.integer(0, Self::MAX.into(), Self::EXPECTED).map(|number| number as Self)
    }
}

/// A value with an absent state of its own.
impl<T: Read> Read for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: Value<'_>) -> Option<Self> {
        T::read(value).map(Some)
    }
}

impl<T: Read> Read for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: Value<'_>) -> Option<Self> {
        value.list(T::read)
    }
}

/// The type of a value, with its article.
const fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The word that is most like `word`, if one is like it.
pub(crate) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase().replace('-', "_");
    let likeness = |known: &&'w str| {
        let slip = strsim::damerau_levenshtein(&word, known) == 1 && word.len() > 2;
        (if slip { 1.0 } else { strsim::jaro_winkler(&word, known) }, *known)
    };
    let (likeness, known) = words.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.75).then_some(known)
}

/// `one of a, b, c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("\"{only}\""),
        _ => format!("one of {}", words.join(", ")),
    }
}
