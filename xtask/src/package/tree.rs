//! [`Tree`]: files by their paths, and the archive of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tar::{Builder, EntryType, Header};

/// Files by their paths, below any folder. They belong to root.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<PathBuf, Entry>);

/// A file.
#[derive(Debug)]
pub(super) struct Entry {
    content: Vec<u8>,
    mode: u32,
}

// === impl Entry ===

impl Entry {
    pub(super) const fn file(content: Vec<u8>) -> Self {
        Self { content, mode: 0o644 }
    }

    pub(super) const fn program(content: Vec<u8>) -> Self {
        Self { content, mode: 0o755 }
    }
}

// === impl Tree ===

impl Tree {
    pub(super) fn add(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.into(), entry);
    }

    /// The paths and the contents.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0.iter().map(|(path, entry)| (&**path, &*entry.content))
    }

    /// Writes an archive with the files below `base`, and their folders before them.
    pub(super) fn write(&self, out: &mut impl Write, base: &Path, time: u64) -> Result<()> {
        let mut archive = Builder::new(out);
        let mut folders = BTreeSet::new();
        for (path, entry) in &self.0 {
            let path = base.join(path);
            let mut above: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
            above.reverse();
            for folder in above {
                if folder != Path::new(".") && folders.insert(folder.to_owned()) {
                    let mut header = header(0o755, 0, time);
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, folder.join(""), &[][..])?;
                }
            }
            let mut header = header(entry.mode, entry.content.len() as u64, time);
            archive.append_data(&mut header, &path, &*entry.content)?;
        }
        archive.finish()?;
        Ok(())
    }
}

fn header(mode: u32, size: u64, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header
}
