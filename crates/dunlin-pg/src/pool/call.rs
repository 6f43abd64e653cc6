//! [`Call`]: one run of a declared query.

use std::sync::Arc;

use smallvec::SmallVec;

use super::flights::Key;
use crate::declared::Declared;
use crate::json::Format;
use crate::param::Param;

/// One run of a declared query: its parameters, with the values of the settings behind them, and
/// the format of its answer.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) query: &'a Arc<Declared>,
    pub(super) params: &'a [Param],
    pub(super) format: Format,
    /// The number of rows of the page, which has at most one row more.
    pub(super) page: Option<usize>,
}

// === impl Call ===

impl Call<'_> {
    /// The key of identical reads: the query, the format, and each parameter to the byte.
    pub(super) fn key(&self) -> Key {
        (Arc::as_ptr(self.query).addr(), bytes(self.params, self.format))
    }
}

/// The format and each parameter to the byte.
pub(crate) fn key(params: &[Param], format: Format) -> Vec<u8> {
    bytes(params, format).into_vec()
}

fn bytes(params: &[Param], format: Format) -> SmallVec<[u8; 32]> {
    let mut key = SmallVec::new();
    key.push(format as u8);
    let text = |key: &mut SmallVec<_>, tag: u8, text: &str| {
        key.push(tag);
        key.extend_from_slice(&text.len().to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    for param in params {
        match param {
            Param::Null => key.push(0),
            Param::Text(value) => text(&mut key, 1, value),
            Param::Json(value) => text(&mut key, 2, value.as_str()),
            Param::Many(values) => {
                key.push(3);
                key.extend_from_slice(&values.len().to_le_bytes());
                values.iter().for_each(|value| text(&mut key, 1, value));
            }
            Param::Content(content) => {
                key.push(4);
                key.extend_from_slice(&content.as_bytes().len().to_le_bytes());
                key.extend_from_slice(content.as_bytes());
            }
        }
    }
    key
}
