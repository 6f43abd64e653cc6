//! Step 1: finds the file that a path names.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use crate::Config;
use crate::located::Located;
use crate::root::{Root, Wait, is_missing};

/// The thing that a path names.
pub(crate) enum Found {
    /// A file, open.
    File(Box<Located>),
    /// A folder that was requested without its final slash.
    Unslashed,
    /// A folder without an index, open.
    Folder(File),
    /// Nothing that is served.
    Missing,
}

/// Finds the file that `path` names. [`crate::path::parse`] has accepted the path.
pub(crate) fn resolve(root: &Root, path: &str, now: SystemTime, config: &Config, wait: Wait) -> io::Result<Found> {
    match find(root, path, now, config, wait) {
        Err(error) if is_missing(&error) => {
            // The response has no reason, so that it reveals nothing. The log has it.
            tracing::debug!(path, %error, "a path is not served");
            Ok(Found::Missing)
        }
        found => found,
    }
}

fn find(root: &Root, path: &str, now: SystemTime, config: &Config, wait: Wait) -> io::Result<Found> {
    if path.is_empty() || path.ends_with('/') {
        return folder(root, path, now, config, wait);
    }
    let file = root.open(path, wait)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(Found::File(Box::new(Located::new(path, path.to_owned(), file, &metadata, now))));
    }
    // Devices, pipes and sockets are not served. A folder is redirected to its slash only if it has
    // something to serve.
    let folder = metadata.is_dir().then(|| folder(root, &format!("{path}/"), now, config, wait));
    match folder {
        Some(Ok(Found::Missing)) | None => Ok(Found::Missing),
        Some(Ok(_)) => Ok(Found::Unslashed),
        Some(Err(error)) => Err(error),
    }
}

fn folder(root: &Root, path: &str, now: SystemTime, config: &Config, wait: Wait) -> io::Result<Found> {
    for name in &config.index {
        let index = format!("{path}{name}");
        match root.open(&index, wait).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((metadata, file)) if metadata.is_file() => {
                return Ok(Found::File(Box::new(Located::new(path, index, file, &metadata, now))));
            }
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if !config.listing {
        return Ok(Found::Missing);
    }
    let file = root.open(path, wait)?;
    Ok(if file.metadata()?.is_dir() { Found::Folder(file) } else { Found::Missing })
}
