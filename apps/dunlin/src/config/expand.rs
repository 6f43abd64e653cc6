//! Variables and secret files: `${NAME}` in strings, and `{ file = "…" }` for secrets.
//!
//! The values are put in before any key is read, so that no key has to know of them. They are
//! remembered, so that no message shows them.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reader::{Diagnostic, Errors, Hidden, MAX_NAMED, others_can_read, read_text};

/// The keys whose values are secrets, and may be files instead.
const SECRETS: &[(&str, &[&str])] =
    &[("database", &["url", "read_url", "listen_url", "password"]), ("cache", &["redis"])];

/// The source of variables, and the places of what is found.
pub(super) struct Expansion<'e> {
    /// The folder that relative paths are relative to.
    pub(super) dir: &'e Path,
    pub(super) variable: &'e dyn Fn(&str) -> Option<String>,
    pub(super) errors: &'e Errors,
    pub(super) warnings: &'e Errors,
    /// The values that no message may show.
    pub(super) hidden: Vec<Hidden>,
}

/// The error in a text with variables.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// The environment has no such variable.
    Absent(String),
    /// `${` without its end, or without a name.
    Form,
}

// === impl Expansion ===

impl Expansion<'_> {
    /// Replaces all variables and secret files in a table.
    pub(super) fn table(&mut self, table: &mut DeTable<'_>) {
        for (name, value) in table.iter_mut() {
            let secrets = SECRETS.iter().find(|(section, _)| *section == &**name.get_ref()).map(|(_, keys)| *keys);
            if let (Some(keys), DeValue::Table(section)) = (secrets, value.get_mut()) {
                for (key, value) in section.iter_mut().filter(|(key, _)| keys.contains(&&**key.get_ref())) {
                    self.secret(key.get_ref(), value);
                }
            }
            self.value(value);
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains('$') => match expand(text, self.variable) {
                Ok((expanded, used)) => {
                    *text = expanded.into();
                    let hide = |(name, value)| Hidden { span: span.clone(), value, shown: format!("${{{name}}}") };
                    self.hidden.extend(used.into_iter().map(hide));
                }
                Err(Wrong::Absent(name)) => {
                    let what = format!("the environment has no variable {name}");
                    let expected = format!("a value for it, a default such as ${{{name}:-…}}, or $$ for a dollar sign");
                    self.errors.push(Diagnostic::new(span, what).expected(expected));
                }
                Err(Wrong::Form) => {
                    let what = "\"${\" does not begin the name of a variable here";
                    self.errors.push(
                        Diagnostic::new(span, what).expected("${NAME}, ${NAME:-default}, or $${ for the text itself"),
                    );
                }
            },
            DeValue::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            DeValue::Table(table) => table.iter_mut().for_each(|(_, value)| self.value(value)),
            _ => {}
        }
    }

    /// Replaces `{ file = "…" }` by the content of the file.
    fn secret(&mut self, key: &str, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        let DeValue::Table(table) = value.get_mut() else { return };
        table.iter_mut().for_each(|(_, value)| self.value(value));
        let file = match table.get("file").map(Spanned::get_ref) {
            Some(DeValue::String(file)) if table.len() == 1 => self.dir.join(&**file),
            _ => {
                let what = format!("\"{key}\" is a table");
                self.errors.push(Diagnostic::new(span, what).expected("the value itself, or { file = \"path\" }"));
                *value.get_mut() = DeValue::String("".into());
                return;
            }
        };
        let content = match read_text(&file, MAX_NAMED) {
            Ok(content) => content.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", file.display());
                self.errors.push(Diagnostic::new(span.clone(), what).expected("a file with the value of this key"));
                String::new()
            }
        };
        if let Some(warning) = others_can_read(&file, span.clone()) {
            self.warnings.push(warning);
        }
        self.hidden.push(Hidden { span, value: content.clone(), shown: format!("the content of {}", file.display()) });
        *value.get_mut() = DeValue::String(content.into());
    }
}

/// The text with its variables replaced, and the variables that were used.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, Vec<(String, String)>), Wrong> {
    let (mut out, mut used) = (String::with_capacity(text.len()), Vec::new());
    let mut left = text;
    while let Some((before, after)) = left.split_once('$') {
        out.push_str(before);
        if let Some(rest) = after.strip_prefix('$') {
            out.push('$');
            left = rest;
            continue;
        }
        let Some(inner) = after.strip_prefix('{') else {
            // A dollar sign by itself, as in the parameters of SQL.
            out.push('$');
            left = after;
            continue;
        };
        let (inner, rest) = inner.split_once('}').ok_or(Wrong::Form)?;
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err(Wrong::Form);
        }
        // As in a shell, the default is for an empty variable, too.
        match (variable(name).filter(|value| !value.is_empty() || default.is_none()), default) {
            (Some(value), _) => {
                out.push_str(&value);
                used.push((name.to_owned(), value));
            }
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(Wrong::Absent(name.to_owned())),
        }
        left = rest;
    }
    out.push_str(left);
    Ok((out, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        #[track_caller]
        fn check(text: &str, expect: Result<&str, Wrong>) {
            let variable = |name: &str| match name {
                "NAME" => Some("value".to_owned()),
                "DOLLAR" => Some("${NAME}".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            };
            assert_eq!(expand(text, &variable).map(|(text, _)| text), expect.map(str::to_owned), "{text}");
        }
        check("", Ok(""));
        check("plain", Ok("plain"));
        check("a ${NAME} b ${NAME}", Ok("a value b value"));
        check("${ABSENT:-default}", Ok("default"));
        check("${ABSENT:-}", Ok(""));
        check("${EMPTY:-default}", Ok("default"));
        check("${EMPTY}", Ok(""));
        check("${NAME:-default}", Ok("value"));
        // The value of a variable is not looked into.
        check("${DOLLAR}", Ok("${NAME}"));
        check("$$", Ok("$"));
        check("$${NAME}", Ok("${NAME}"));
        check("$$$$", Ok("$$"));
        check("SELECT $1", Ok("SELECT $1"));
        check("costs 5$", Ok("costs 5$"));
        check("${ABSENT}", Err(Wrong::Absent("ABSENT".to_owned())));
        check("${", Err(Wrong::Form));
        check("${}", Err(Wrong::Form));
        check("${a b}", Err(Wrong::Form));
        check("${1}", Err(Wrong::Form));
    }
}
