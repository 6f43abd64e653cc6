//! [`Json`]: a JSON value with its text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// A JSON value with the text that the client sent. A number keeps its digits, and a `json` column
/// gets the text itself with its order, repeated keys and spaces.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

/// One level of a JSON value.
pub(super) enum Level<'v> {
    Null,
    Bool(bool),
    /// The text of the number.
    Number(&'v str),
    String(Cow<'v, str>),
    Array(Vec<&'v RawValue>),
    /// The members by name. The last one of a name counts.
    Object(BTreeMap<Cow<'v, str>, &'v RawValue>),
}

// === impl Json ===

impl Json {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// serde_json's error if the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    pub(crate) const fn from_raw(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    pub(super) const fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        // It cannot fail: the text of a value is JSON.
        Self(RawValue::from_string(value.to_string()).unwrap_or_default())
    }
}

/// The `Debug` form shows no value, because parameters do not belong in a log.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

// === impl Level ===

impl<'v> Level<'v> {
    /// Reads the outermost level of a JSON text. It is `None` for a string that is no text, for
    /// example with a lone surrogate.
    pub(super) fn of(raw: &'v RawValue) -> Option<Self> {
        let text = raw.get();
        match text.as_bytes().first()? {
            b'n' => Some(Self::Null),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'"' => Some(Self::String(string(text)?)),
            b'[' => serde_json::from_str(text).ok().map(Self::Array),
            b'{' => {
                let members: BTreeMap<String, &'v RawValue> = serde_json::from_str(text).ok()?;
                Some(Self::Object(members.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect()))
            }
            _ => Some(Self::Number(text)),
        }
    }
}

fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.get(1..text.len() - 1)?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
