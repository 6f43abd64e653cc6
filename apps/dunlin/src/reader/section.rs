//! [`Section`]: a table that is read key by key.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fingerprint::Fingerprint;
use super::source::{Diagnostic, Span};
use super::units::Size;
use super::value::{Errors, Read, Value, nearest, one_of};

/// A table that is being read. The keys that are asked for are the keys that it may have.
pub(crate) struct Section<'d> {
    /// The name in messages: `[server]`, or the key of the table.
    name: &'static str,
    table: &'d DeTable<'d>,
    /// Tables with values for keys that are absent, the one with precedence first.
    defaults: Vec<&'d DeTable<'d>>,
    pub(crate) span: Span,
    asked: Vec<&'static str>,
    errors: &'d Errors,
}

// === impl Section ===

impl<'d> Section<'d> {
    pub(crate) fn new(name: &'static str, table: &'d DeTable<'d>, span: Span, errors: &'d Errors) -> Self {
        Self { name, table, defaults: Vec::new(), span, asked: Vec::new(), errors }
    }

    /// The same table with `defaults` for the keys that it lacks, the one with precedence first.
    pub(crate) fn with_defaults(self, defaults: impl IntoIterator<Item = &'d DeTable<'d>>) -> Self {
        Self { defaults: defaults.into_iter().collect(), ..self }
    }

    /// The value of `key`, in the table itself or in its defaults.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        let errors = self.errors;
        self.tables().find_map(|table| table.get(key)).map(|raw| Value::new(key, raw, errors))
    }

    /// The values of `key` in the table itself and in each of its defaults.
    pub(crate) fn all(&mut self, key: &'static str) -> Vec<Value<'d>> {
        self.asked.push(key);
        self.tables().filter_map(|table| table.get(key)).map(|raw| Value::new(key, raw, self.errors)).collect()
    }

    /// The table itself, and its defaults.
    fn tables(&self) -> impl Iterator<Item = &'d DeTable<'d>> {
        std::iter::once(self.table).chain(self.defaults.iter().copied())
    }

    /// The fingerprint of the table and its defaults.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_tables(self.tables())
    }

    /// The value of `key` in the table itself, which is not asked for by this.
    pub(crate) fn peek(&self, key: &str) -> Option<&'d DeValue<'d>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    /// Returns `true` if the table itself has `key`, known or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The names of the tables under `key`.
    pub(crate) fn names(&self, key: &str) -> Vec<&'d str> {
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Table(tables)) => tables.keys().map(|name| &**name.get_ref()).collect(),
            _ => Vec::new(),
        }
    }

    /// The place of a value in tables within tables.
    pub(crate) fn nested_span(&self, keys: &[&str]) -> Span {
        let mut table = self.table;
        let mut span = self.span.clone();
        for key in keys {
            let Some(value) = table.get(*key) else { break };
            span = value.span();
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        span
    }

    /// Returns `true` if there is a value at this path of keys.
    pub(crate) fn contains(&self, keys: &[&str]) -> bool {
        let Some((last, tables)) = keys.split_last() else { return false };
        let inner = tables.iter().try_fold(self.table, |table, key| match table.get(*key)?.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        });
        inner.is_some_and(|table| table.contains_key(*last))
    }

    /// The place of `key` itself.
    pub(crate) fn key_span(&self, key: &str) -> Span {
        let entry = self.tables().find_map(|table| table.get_key_value(key));
        entry.map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// The place of the value of `key`.
    pub(crate) fn value_span(&self, key: &str) -> Span {
        let value = self.tables().find_map(|table| table.get(key));
        value.map_or(self.span.clone(), Spanned::span)
    }

    /// The value of `key` as a `T`; `None` if it is absent or wrong.
    pub(crate) fn read<T: Read>(&mut self, key: &'static str) -> Option<T> {
        T::read(self.get(key)?)
    }

    /// As [`Section::read`], with `default` for an absent key.
    pub(crate) fn or<T: Read>(&mut self, key: &'static str, default: T) -> T {
        self.read(key).unwrap_or(default)
    }

    /// Stores the value of `key` in `place` if there is one and it is right.
    pub(crate) fn set<T: Read>(&mut self, key: &'static str, place: &mut T) {
        if let Some(value) = self.read(key) {
            *place = value;
        }
    }

    /// As [`Section::set`], for a number of bytes.
    pub(crate) fn set_size<T: TryFrom<u64>>(&mut self, key: &'static str, place: &mut T) {
        if let Some(size) = self.read(key).and_then(|Size(size)| T::try_from(size).ok()) {
            *place = size;
        }
    }

    /// As [`Section::set_size`], for at least `min` bytes.
    pub(crate) fn set_size_from(&mut self, key: &'static str, min: u64, place: &mut usize) {
        let Some(value) = self.get(key) else { return };
        match Size::read(value).and_then(|Size(size)| usize::try_from(size).ok()) {
            Some(size) if size as u64 >= min => *place = size,
            Some(size) => {
                let _: Option<()> = value.wrong(format_args!("{size} bytes"), format!("at least {min}"), None);
            }
            None => {}
        }
    }

    /// As [`Section::set`], for a number that must not be zero.
    pub(crate) fn set_positive<T: TryFrom<u64>>(&mut self, key: &'static str, place: &mut T) {
        let number = self.get(key).and_then(|value| value.integer(1, u32::MAX.into(), "an integer, one or more"));
        if let Some(number) = number.and_then(|number| T::try_from(number).ok()) {
            *place = number;
        }
    }

    /// As [`Section::read`], for a time limit, which must not be zero.
    pub(crate) fn deadline(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?;
        let duration = Duration::read(value)?;
        if duration.is_zero() {
            return value.wrong("\"0s\"", "a duration longer than zero", None);
        }
        Some(duration)
    }

    /// As [`Section::set`], by [`Section::deadline`].
    pub(crate) fn set_deadline(&mut self, key: &'static str, place: &mut Duration) {
        if let Some(deadline) = self.deadline(key) {
            *place = deadline;
        }
    }

    /// As [`Section::set`], for one of a few words.
    pub(crate) fn set_word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)], place: &mut T) {
        if let Some(value) = self.get(key).and_then(|value| value.word(words)) {
            *place = value;
        }
    }

    /// As [`Section::read`]; an absent key is an error.
    pub(crate) fn require<T: Read>(&mut self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            let what = format!("\"{key}\" is missing in {}", self.name);
            self.errors.push(Diagnostic::new(self.span.clone(), what).expected(T::EXPECTED));
        }
        self.read(key)
    }

    /// The table under `key`, with `name` as its name in messages.
    pub(crate) fn section(&mut self, key: &'static str, name: &'static str) -> Option<Section<'d>> {
        self.get(key)?.section(name)
    }

    /// The keys that were not asked for, each with its place.
    pub(crate) fn unknown(&self) -> Vec<(&'d str, Span)> {
        let keys = self.table.keys().map(|key| (&**key.get_ref(), key.span()));
        keys.filter(|(name, _)| !self.asked.contains(name)).collect()
    }

    /// Reports the keys that were not asked for. `explain` may say where such a key belongs.
    pub(crate) fn finish(self, explain: impl Fn(&str) -> Option<String>) {
        for (name, span) in self.unknown() {
            let diagnostic = match explain(name) {
                Some(what) => Diagnostic::new(span, what),
                None => {
                    let unknown = Diagnostic::new(span, format!("unknown key \"{name}\" in {}", self.name));
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
    /// The value as a table, with `name` as its name in messages.
    pub(crate) fn section(self, name: &'static str) -> Option<Section<'d>> {
        match self.raw() {
            DeValue::Table(table) => Some(Section::new(name, table, self.span(), self.errors())),
            _ => self.wrong_type("a table"),
        }
    }
}
