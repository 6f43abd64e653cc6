//! `include`: files whose tables are added to the configuration.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reader::{Diagnostic, Errors, MAX_CONFIGURATION, Source, Span, read_text};

const EXPECTED: &str = "a path such as \"api.toml\" or \"sites/*.toml\", or a list of them";

/// Adds the files that `include` names to `source`.
pub(super) fn add(source: &mut Source, dir: &Path, errors: &Errors) {
    let text = source.text.clone();
    let document = head(&text);
    let Some(include) = document.get_ref().get("include") else { return };
    let patterns: Vec<&Spanned<DeValue<'_>>> = match include.get_ref() {
        DeValue::Array(patterns) => patterns.iter().collect(),
        _ => vec![include],
    };
    for pattern in patterns {
        let DeValue::String(text) = pattern.get_ref() else {
            errors.push(Diagnostic::new(pattern.span(), "\"include\" is not a path").expected(EXPECTED));
            continue;
        };
        for path in paths(dir, text, pattern.span(), errors) {
            file(source, &path, pattern.span(), errors);
        }
    }
}

/// The files that `include` in this text names.
pub(super) fn named(text: &str, dir: &Path) -> Vec<PathBuf> {
    let (document, errors) = (head(text), Errors::default());
    let patterns = match document.get_ref().get("include").map(Spanned::get_ref) {
        Some(DeValue::Array(patterns)) => patterns.iter().map(Spanned::get_ref).collect(),
        Some(pattern) => vec![pattern],
        None => Vec::new(),
    };
    let patterns = patterns.into_iter().filter_map(DeValue::as_str);
    patterns.flat_map(|pattern| paths(dir, pattern, 0..0, &errors)).collect()
}

/// The keys that stand before the first header of a file, and perhaps those of later tables.
///
/// The headers and all that follows are left out, because reading the whole costs the whole.
fn head(text: &str) -> Spanned<DeTable<'_>> {
    let mut end = 0;
    let header = |line: &&str| line.trim_start().starts_with('[');
    let before = text.split_inclusive('\n').take_while(|line| !header(line));
    before.for_each(|line| end += line.len());
    // A line within a value may look like a header. Then the part before it is broken.
    match DeTable::parse(&text[..end]) {
        Ok(head) => head,
        Err(_) => DeTable::parse_recoverable(text).0,
    }
}

/// The files that a pattern names, in the order of their names.
fn paths(dir: &Path, pattern: &str, span: Span, errors: &Errors) -> Vec<PathBuf> {
    let path = dir.join(pattern);
    if !pattern.contains(['*', '?', '[']) {
        return vec![path];
    }
    // The folder's own name is no pattern.
    let folder = glob::Pattern::escape(&dir.display().to_string());
    match glob::glob(&Path::new(&folder).join(pattern).display().to_string()) {
        Ok(found) => found.filter_map(Result::ok).filter(|path| path.is_file()).collect(),
        Err(error) => {
            errors.push(
                Diagnostic::new(span, format!("\"include\" cannot be \"{pattern}\": {error}")).expected(EXPECTED),
            );
            Vec::new()
        }
    }
}

fn file(source: &mut Source, path: &Path, span: Span, errors: &Errors) {
    let text = match read_text(path, MAX_CONFIGURATION) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            return errors.push(Diagnostic::new(span, what).expected("a file, relative to this one"));
        }
    };
    let start = source.add(path.display().to_string(), &text);
    // Its tables have headers, so that none of its keys falls into a table of an earlier file.
    let document = head(&text);
    for key in document.get_ref().keys() {
        let Span { start: at, end } = key.span();
        let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if !text[line..at].trim_start().starts_with('[') {
            let what = format!("\"{}\" stands outside of a table in a file that is included", key.get_ref());
            let expected = "tables such as [[route]] only; the keys of the file itself belong to the first file";
            errors.push(Diagnostic::new(start + at..start + end, what).expected(expected));
        }
    }
}
