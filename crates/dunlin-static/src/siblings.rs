//! [`Siblings`]: the files beside a file that may be encodings of it.

use std::fs::File;
use std::io;

use dunlin_http::negotiate::Coding;

use crate::root::{Root, Wait, is_missing};
use crate::stamp::Stamp;

/// The files beside a file that may be encodings of it, open, in the order of [`Coding::ALL`].
#[derive(Default)]
pub(crate) struct Siblings(pub(crate) Vec<Sibling>);

/// A file such as `app.js.br` beside `app.js`.
pub(crate) struct Sibling {
    pub(crate) coding: Coding,
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
}

// === impl Siblings ===

impl Siblings {
    /// Opens the siblings of the file at `path`.
    pub(crate) fn find(root: &Root, path: &str, wait: Wait) -> io::Result<Self> {
        let mut found = Self::default();
        for coding in Coding::ALL {
            match root.open(&format!("{path}.{}", coding.extension()), wait) {
                Ok(file) => {
                    let metadata = file.metadata()?;
                    if metadata.is_file() {
                        found.0.push(Sibling { coding, file, stamp: Stamp::of(&metadata) });
                    }
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Their codings and stamps.
    pub(crate) fn stamps(&self) -> Vec<(Coding, Stamp)> {
        self.0.iter().map(|sibling| (sibling.coding, sibling.stamp)).collect()
    }

    /// Returns `true` if they have these codings and stamps.
    pub(crate) fn have_stamps(&self, stamps: &[(Coding, Stamp)]) -> bool {
        self.0.iter().map(|sibling| (sibling.coding, sibling.stamp)).eq(stamps.iter().copied())
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let clone = |sibling: &Sibling| {
            Ok(Sibling { coding: sibling.coding, file: sibling.file.try_clone()?, stamp: sibling.stamp })
        };
        self.0.iter().map(clone).collect::<io::Result<_>>().map(Self)
    }
}
