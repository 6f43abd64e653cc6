//! Step 1: which file a path names.

use std::fs::File;
use std::io;

use crate::root::{Root, Wait, is_missing};
use crate::stamp::Stamp;
use crate::variant::Siblings;

/// What a path names.
pub(crate) enum Found {
    /// A file, open, and what stands beside it if that was looked for. Its path differs from the one asked for when it
    /// is a folder's index.
    File { path: String, file: File, stamp: Stamp, siblings: Siblings },
    /// A folder that was named without its slash.
    Unslashed,
    /// A folder without an index.
    Folder(File),
    /// Nothing that is served.
    Missing,
}

/// Finds what `path` names. It was let through by [`crate::path::parse`].
pub(crate) fn resolve(root: &Root, path: &str, index: &[String], listing: bool, wait: Wait) -> io::Result<Found> {
    match find(root, path, index, listing, wait) {
        Err(error) if is_missing(&error) => {
            // The client is told nothing, and whoever wonders about a 404 is.
            tracing::debug!(path, %error, "not served");
            Ok(Found::Missing)
        }
        found => found,
    }
}

fn find(root: &Root, path: &str, index: &[String], listing: bool, wait: Wait) -> io::Result<Found> {
    if path.is_empty() || path.ends_with('/') {
        return folder(root, path, index, listing, wait);
    }
    let file = root.open(path, wait)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(Found::File {
            path: path.to_owned(),
            file,
            stamp: Stamp::of(&metadata),
            siblings: Siblings::default(),
        });
    }
    // A device, a pipe or a socket is nothing to serve, and a folder is only worth a redirect if something is there.
    let folder = metadata.is_dir().then(|| folder(root, &format!("{path}/"), index, listing, wait));
    match folder {
        Some(Ok(Found::Missing)) | None => Ok(Found::Missing),
        Some(Ok(_)) => Ok(Found::Unslashed),
        Some(Err(error)) => Err(error),
    }
}

fn folder(root: &Root, path: &str, index: &[String], listing: bool, wait: Wait) -> io::Result<Found> {
    for name in index {
        let path = format!("{path}{name}");
        match root.open(&path, wait).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((metadata, file)) if metadata.is_file() => {
                return Ok(Found::File { path, file, stamp: Stamp::of(&metadata), siblings: Siblings::default() });
            }
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if !listing {
        return Ok(Found::Missing);
    }
    let file = root.open(path, wait)?;
    Ok(if file.metadata()?.is_dir() { Found::Folder(file) } else { Found::Missing })
}
