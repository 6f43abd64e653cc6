//! [`Storage`]: the folder with the account, the certificates, the challenges and the failures.
//!
//! Every file is replaced as a whole, by a rename. Only the holder of the [`Lock`] writes.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder of one authority in the storage.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
}

/// A kind of file in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A certificate with its key.
    Certificate,
    /// The failures since the last certificate.
    Failure,
    /// The answer to a challenge.
    Challenge,
}

/// The right to write, and to place orders. The system gives it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

/// The time of modification and the length of a file, which show a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) modified: SystemTime,
    length: u64,
}

/// The limit of a file's size, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The limit of files in one folder that are looked at.
const MAX_FILES: usize = 10_000;

/// The name of the file of the account.
const ACCOUNT: &str = "account.json";

// === impl Storage ===

impl Storage {
    /// The part of `storage` that is for the authority with this directory.
    pub(crate) fn new(storage: &Path, directory: &str) -> Self {
        let name = directory.trim_start_matches("https://").trim_end_matches('/');
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        let name: String = name.chars().map(plain).take(200).collect();
        Self { folder: storage.join(name.trim_start_matches('.')) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folders, and takes the right to write; `None` if another process or another part
    /// of this one has it.
    ///
    /// # Errors
    /// The storage cannot be written.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        for kind in [Kind::Certificate, Kind::Failure, Kind::Challenge] {
            DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join(kind.folder()))?;
        }
        // The folder may be older, or copied. Its files are keys.
        if self.folder.metadata()?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(self.folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The path of a file.
    pub(crate) fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.folder.join(kind.folder()).join(format!("{name}{}", kind.suffix()))
    }

    /// The stamp of a file; `None` if it is not there.
    pub(crate) fn stamp(&self, kind: Kind, name: &str) -> Option<Stamp> {
        Stamp::of(&self.path(kind, name))
    }

    pub(crate) fn read(&self, kind: Kind, name: &str) -> io::Result<Vec<u8>> {
        read(&self.path(kind, name))
    }

    /// The names of the files of a kind, with their stamps, in order.
    pub(crate) fn list(&self, kind: Kind) -> Vec<(String, Stamp)> {
        let Ok(entries) = std::fs::read_dir(self.folder.join(kind.folder())) else { return Vec::new() };
        let files = entries.take(MAX_FILES).filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(kind.suffix()).filter(|name| !name.starts_with('.'))?.to_owned();
            Some((name, Stamp::of(&entry.path())?))
        });
        let mut files: Vec<_> = files.collect();
        files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        files
    }

    /// Replaces a file.
    pub(crate) fn write(&self, _: &Lock, kind: Kind, name: &str, content: &[u8]) -> io::Result<()> {
        replace(&self.path(kind, name), content)
    }

    /// Removes a file, which may be gone already.
    pub(crate) fn remove(&self, kind: Kind, name: &str) {
        let _ = std::fs::remove_file(self.path(kind, name));
    }

    /// Fails if there is no room for a certificate.
    pub(crate) fn probe(&self, _: &Lock) -> io::Result<()> {
        let path = self.folder.join("probe");
        replace(&path, &[b' '; 32 * 1024])?;
        std::fs::remove_file(path)
    }

    /// The credentials of the account; `None` if there are none.
    pub(crate) fn account(&self) -> io::Result<Option<Vec<u8>>> {
        match read(&self.folder.join(ACCOUNT)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write_account(&self, content: &[u8]) -> io::Result<()> {
        replace(&self.folder.join(ACCOUNT), content)
    }

    /// Removes the credentials of an account that the authority does not know.
    pub(crate) fn forget_account(&self) {
        let _ = std::fs::remove_file(self.folder.join(ACCOUNT));
    }
}

// === impl Kind ===

impl Kind {
    const fn folder(self) -> &'static str {
        match self {
            Self::Certificate => "certificates",
            Self::Failure => "failures",
            Self::Challenge => "challenges",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Certificate => ".pem",
            Self::Failure | Self::Challenge => ".json",
        }
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len() })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(content)
}

/// Replaces a file at once: readers see the old content or the new one. Only the owner can read it.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new"));
    // A file that an ended process left behind may have other permissions.
    let _ = std::fs::remove_file(&new);
    let written = (|| {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written?;
    // So that the rename outlasts a crash of the machine. Some file systems cannot.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_at_a_time_writes() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), "https://acme.test/dir");
        let lock = storage.lock().unwrap().unwrap();
        assert!(storage.lock().unwrap().is_none());
        drop(lock);
        assert!(storage.lock().unwrap().is_some());
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_only_the_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), "https://acme.test/dir");
        let lock = storage.lock().unwrap().unwrap();
        let left_behind = storage.folder().join("certificates/.a.test.pem.new");
        std::fs::write(&left_behind, "half").unwrap();
        for content in ["one", "two"] {
            storage.write(&lock, Kind::Certificate, "a.test", content.as_bytes()).unwrap();
            assert_eq!(storage.read(Kind::Certificate, "a.test").unwrap(), content.as_bytes());
        }
        assert!(!left_behind.exists());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&storage.path(Kind::Certificate, "a.test")), 0o600);
        assert_eq!(mode(storage.folder()), 0o700);
        assert_eq!(storage.list(Kind::Certificate).len(), 1);
        storage.remove(Kind::Certificate, "a.test");
        assert_eq!(storage.stamp(Kind::Certificate, "a.test"), None);
    }

    #[test]
    fn the_folder_of_an_authority_stays_within_the_storage() {
        #[track_caller]
        fn check(directory: &str, expect: &str) {
            assert_eq!(Storage::new(Path::new("/s"), directory).folder(), Path::new("/s").join(expect));
        }
        check("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org_directory");
        check("https://localhost:14000/dir/", "localhost_14000_dir");
        check("https://../..", "_..");
    }

    #[test]
    fn a_folder_that_others_can_read_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), "https://acme.test/dir");
        std::fs::create_dir_all(storage.folder()).unwrap();
        std::fs::set_permissions(storage.folder(), Permissions::from_mode(0o755)).unwrap();
        storage.lock().unwrap();
        assert_eq!(storage.folder().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
