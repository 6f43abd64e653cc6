//! Reading of tables: what is asked for is known, what nobody asked for is an error, and errors are gathered.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{Diagnostic, Span};
use super::units::Size;

/// Where all that is wrong gathers while a file is read.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<Diagnostic>>);

/// A table that is being read. The keys it was asked for are the keys it may have.
pub(super) struct Section<'d> {
    /// How messages call it: `[server]`, or where it stands.
    name: &'static str,
    table: &'d DeTable<'d>,
    pub(super) span: Span,
    asked: Vec<&'static str>,
    errors: &'d Errors,
}

/// The value of a key.
#[derive(Clone, Copy)]
pub(super) struct Value<'d> {
    key: &'static str,
    raw: &'d Spanned<DeValue<'d>>,
    errors: &'d Errors,
}

/// What a value can be read as.
pub(super) trait Read: Sized {
    /// What a person should write, as in `expected …`.
    const EXPECTED: &'static str;

    /// Reads it; `None` when it is wrong, and that was said to `value`.
    fn read(value: Value<'_>) -> Option<Self>;
}

// === impl Errors ===

impl Errors {
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub(super) fn into_inner(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}

// === impl Section ===

impl<'d> Section<'d> {
    pub(super) const fn new(name: &'static str, table: &'d DeTable<'d>, span: Span, errors: &'d Errors) -> Self {
        Self { name, table, span, asked: Vec::new(), errors }
    }

    /// The value of `key`, if the table has it.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        self.table.get(key).map(|raw| Value { key, raw, errors: self.errors })
    }

    /// Whether the table has `key`; it need not be known afterwards.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` itself stands.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Where the value of `key` stands.
    pub(super) fn value_span(&self, key: &str) -> Span {
        self.table.get(key).map_or(self.span.clone(), Spanned::span)
    }

    /// The value of `key` as a `T`: `None` when it is absent or wrong.
    pub(super) fn read<T: Read>(&mut self, key: &'static str) -> Option<T> {
        T::read(self.get(key)?)
    }

    /// As [`Section::read`]; absent stands for `default`.
    pub(super) fn or<T: Read>(&mut self, key: &'static str, default: T) -> T {
        self.read(key).unwrap_or(default)
    }

    /// Puts the value of `key` into `place`, if there is one and it is right.
    pub(super) fn set<T: Read>(&mut self, key: &'static str, place: &mut T) {
        if let Some(value) = self.read(key) {
            *place = value;
        }
    }

    /// As [`Section::set`], for a number of bytes.
    pub(super) fn set_size<T: TryFrom<u64>>(&mut self, key: &'static str, place: &mut T) {
        if let Some(size) = self.read(key).and_then(|Size(size)| T::try_from(size).ok()) {
            *place = size;
        }
    }

    /// As [`Section::set_size`]; fewer than `least` bytes will not do.
    pub(super) fn set_size_from(&mut self, key: &'static str, least: u64, place: &mut usize) {
        let Some(value) = self.get(key) else { return };
        match Size::read(value).and_then(|Size(size)| usize::try_from(size).ok()) {
            Some(size) if size as u64 >= least => *place = size,
            Some(size) => {
                let _: Option<()> = value.wrong(format_args!("{size} bytes"), format!("at least {least}"), None);
            }
            None => {}
        }
    }

    /// As [`Section::set`], for a number without which nothing would go on.
    pub(super) fn set_positive<T: TryFrom<u64>>(&mut self, key: &'static str, place: &mut T) {
        let number = self.get(key).and_then(|value| value.integer(1, u32::MAX.into(), "an integer, one or more"));
        if let Some(number) = number.and_then(|number| T::try_from(number).ok()) {
            *place = number;
        }
    }

    /// As [`Section::read`], for a time within which something has to happen: none at all would leave nothing working.
    pub(super) fn deadline(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?;
        let duration = Duration::read(value)?;
        if duration.is_zero() {
            return value.wrong("\"0s\"", "a duration longer than zero", None);
        }
        Some(duration)
    }

    /// As [`Section::set`], by [`Section::deadline`].
    pub(super) fn set_deadline(&mut self, key: &'static str, place: &mut Duration) {
        if let Some(deadline) = self.deadline(key) {
            *place = deadline;
        }
    }

    /// As [`Section::set`], for one of a few words.
    pub(super) fn set_word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)], place: &mut T) {
        if let Some(value) = self.get(key).and_then(|value| value.word(words)) {
            *place = value;
        }
    }

    /// As [`Section::read`]; to be absent is an error.
    pub(super) fn require<T: Read>(&mut self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            let what = format!("\"{key}\" is missing in {}", self.name);
            self.errors.push(Diagnostic::new(self.span.clone(), what).expected(T::EXPECTED));
        }
        self.read(key)
    }

    /// The table under `key`, called `name` in messages.
    pub(super) fn section(&mut self, key: &'static str, name: &'static str) -> Option<Section<'d>> {
        self.get(key)?.section(name)
    }

    /// The keys that nobody asked for are errors. `foreign` may say where such a key would belong.
    pub(super) fn finish(self, foreign: impl Fn(&str) -> Option<String>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let diagnostic = match foreign(name) {
                Some(what) => Diagnostic::new(key.span(), what),
                None => {
                    let what = format!("unknown key \"{name}\" in {}", self.name);
                    let unknown = Diagnostic::new(key.span(), what);
                    match nearest(name, &self.asked) {
                        Some(meant) => unknown.meant(Some(meant)),
                        None => unknown.expected(one_of(&self.asked)),
                    }
                }
            };
            self.errors.push(diagnostic);
        }
    }
}

// === impl Value ===

impl<'d> Value<'d> {
    pub(super) fn span(&self) -> Span {
        self.raw.span()
    }

    pub(super) fn raw(&self) -> &'d DeValue<'d> {
        self.raw.get_ref()
    }

    pub(super) fn error(&self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Says that the value is of another type than `expected`.
    pub(super) fn wrong_type<T>(&self, expected: impl Into<String>) -> Option<T> {
        let what = format!("\"{}\" is {}", self.key, kind(self.raw()));
        self.error(Diagnostic::new(self.span(), what).expected(expected));
        None
    }

    /// Says that `text` is not what `expected` says.
    pub(super) fn wrong<T>(&self, text: impl Display, expected: impl Into<String>, meant: Option<String>) -> Option<T> {
        let what = format!("\"{}\" cannot be {text}", self.key);
        self.error(Diagnostic::new(self.span(), what).expected(expected).meant(meant));
        None
    }

    pub(super) fn str(&self, expected: &'static str) -> Option<&'d str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(expected),
        }
    }

    pub(super) fn section(self, name: &'static str) -> Option<Section<'d>> {
        match self.raw() {
            DeValue::Table(table) => Some(Section::new(name, table, self.span(), self.errors)),
            _ => self.wrong_type("a table"),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let DeValue::String(text) = self.raw() else {
            return self.wrong_type(one_of(&names));
        };
        match words.iter().find(|(name, _)| name == text) {
            Some((_, value)) => Some(*value),
            None => self.wrong(format_args!("\"{text}\""), one_of(&names), nearest(text, &names).map(str::to_owned)),
        }
    }

    /// Each element of an array; a value that is none counts as an array of one.
    pub(super) fn elements(self) -> Vec<Value<'d>> {
        match self.raw() {
            DeValue::Array(array) => array.iter().map(|raw| Value { raw, ..self }).collect(),
            _ => vec![self],
        }
    }

    /// Each element by `read`. One that is wrong makes the whole wrong, after all were looked at.
    pub(super) fn list<T>(self, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.elements().into_iter().map(read).collect();
        read.into_iter().collect()
    }

    pub(super) fn integer(self, min: u64, max: u64, expected: &'static str) -> Option<u64> {
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

/// What may be absent, or stand for nothing.
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

/// An array or a table or a string, with its article.
const fn kind(value: &DeValue<'_>) -> &'static str {
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

/// The word that was probably meant.
pub(super) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase().replace('-', "_");
    let likeness = |known: &&'w str| {
        let slip = strsim::damerau_levenshtein(&word, known) == 1 && word.len() > 2;
        (if slip { 1.0 } else { strsim::jaro_winkler(&word, known) }, *known)
    };
    let (likeness, known) = words.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.75).then_some(known)
}

/// `one of a, b, c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("\"{only}\""),
        _ => format!("one of {}", words.join(", ")),
    }
}
