//! [`Files`]: the files of a configuration, as they are on disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{include, text};

/// The files of a configuration, each with what tells two contents of it apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(Vec<(PathBuf, Option<Stamp>)>);

/// The time of the last change, the length, and the number of the file, which another file at the
/// path does not have.
type Stamp = (SystemTime, u64, u64);

// === impl Files ===

impl Files {
    /// Looks at the file at `path` and at those that it includes.
    pub(crate) fn look(path: &Path) -> Self {
        let dir = path.parent().unwrap_or(Path::new(""));
        let included = text(path).map(|(_, text)| include::named(&text, dir)).unwrap_or_default();
        let all = std::iter::once(path.to_owned()).chain(included);
        let stamped = |path: PathBuf| {
            let stamp = stamp(&path);
            (path, stamp)
        };
        Self(all.map(stamped).collect())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let look = || Files::look(&folder.path().join("dunlin.toml"));
        write("dunlin.toml", "include = \"*.part\"\n[log]\n");
        write("a.part", "[server]\n");
        let before = look();
        assert_eq!(before, look());
        assert_eq!(before.0.len(), 2);
        write("a.part", "[admin]\nhosts = []\n");
        let changed = look();
        assert_ne!(before, changed);
        write("b.part", "");
        let more = look();
        assert_ne!(changed, more);
        std::fs::rename(folder.path().join("b.part"), folder.path().join("dunlin.toml")).unwrap();
        assert_ne!(more, look());
    }
}
