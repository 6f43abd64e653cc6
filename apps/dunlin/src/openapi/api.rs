//! [`Api`]: the document of the running service.

use bytes::Bytes;
use dunlin_http::ContentHash;
use parking_lot::RwLock;

/// The document of the running service.
#[derive(Debug, Default)]
pub(crate) struct Api(RwLock<Document>);

/// A document with its entity tag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
}

/// The title and the version of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) title: String,
    pub(crate) version: String,
}

// === impl Api ===

impl Api {
    /// Replaces the document.
    pub(crate) fn set(&self, document: &serde_json::Value) {
        let bytes = Bytes::from(format!("{document:#}\n"));
        *self.0.write() = Document { etag: ContentHash::of(&bytes).to_string(), bytes };
    }

    /// The document as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.read().bytes).into_owned()
    }

    pub(crate) fn get(&self) -> Document {
        self.0.read().clone()
    }
}

// === impl Info ===

impl Default for Info {
    fn default() -> Self {
        Self { title: "API".into(), version: "1".into() }
    }
}
