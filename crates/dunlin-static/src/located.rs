//! [`Located`]: a file that was found for a path, open.

use std::fs::{File, Metadata};
use std::io;
use std::time::SystemTime;

use dunlin_http::negotiate::Coding;

use crate::pool::Pool;
use crate::siblings::Siblings;
use crate::stamp::Stamp;
use crate::stream::FileSource;

/// A file that was found for a path, open.
pub(crate) struct Located {
    /// The requested path.
    pub(crate) key: String,
    /// The file's own path. It differs from the key if the file is a folder's index.
    pub(crate) path: String,
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
    /// Files beside it that may be encodings of it. Empty until they are looked up.
    pub(crate) siblings: Siblings,
    /// The time of the lookup.
    pub(crate) looked_up_at: SystemTime,
}

// === impl Located ===

impl Located {
    pub(crate) fn new(key: &str, path: String, file: File, metadata: &Metadata, looked_up_at: SystemTime) -> Self {
        let stamp = Stamp::of(metadata);
        Self { key: key.to_owned(), path, file, stamp, siblings: Siblings::default(), looked_up_at }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            key: self.key.clone(),
            path: self.path.clone(),
            file: self.file.try_clone()?,
            stamp: self.stamp,
            siblings: self.siblings.try_clone()?,
            looked_up_at: self.looked_up_at,
        })
    }

    /// The open file that contains the representation in this coding. Returns `None` if there is
    /// none.
    pub(crate) fn into_source(self, coding: Option<Coding>, pool: Pool) -> Option<FileSource> {
        let (file, stamp) = match coding {
            None => (self.file, self.stamp),
            Some(coding) => {
                let sibling = self.siblings.0.into_iter().find(|sibling| sibling.coding == coding)?;
                (sibling.file, sibling.stamp)
            }
        };
        Some(FileSource::new(file, stamp, pool))
    }
}
