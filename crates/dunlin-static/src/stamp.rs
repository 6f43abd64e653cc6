//! [`Stamp`]: the metadata of a file that shows a change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// The metadata of a file that shows a change without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    /// The time of the last change of the content, in seconds and nanoseconds. Users can set it.
    modified: (i64, i64),
    /// The time of the last change of the content or the metadata. Only the system sets it.
    changed: (i64, i64),
    /// The device and the number of the file on it.
    inode: (u64, u64),
}

// === impl Stamp ===

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    /// Returns `true` if an open file still has the same content. Its other metadata may differ: a
    /// file that is replaced in its folder loses a name, but keeps its content.
    pub(crate) fn same_content(&self, later: &Self) -> bool {
        (self.len, self.modified, self.inode) == (later.len, later.modified, later.inode)
    }

    /// Returns `true` if the file is the same one and has become longer, as a log or a recording
    /// does.
    pub(crate) fn has_grown(&self, later: &Self) -> bool {
        self.inode == later.inode && later.len > self.len
    }

    /// Returns `true` if any later change of the file will show in its stamp. File systems count
    /// time in ticks, and a second change within one tick leaves the stamp as it is.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        distance(time(self.changed), now) >= self.tick()
    }

    /// The time until the stamp is settled, at most a tick.
    pub(crate) fn settles_in(&self, now: SystemTime) -> Duration {
        self.tick().saturating_sub(distance(time(self.changed), now))
    }

    /// The time since the last change of the file. Zero if that lies in the future.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(time(self.changed)).unwrap_or_default()
    }

    /// The longest possible tick of the file's times. Linux counts in jiffies of at most 10 ms. A
    /// time without a fraction may come from a file system that counts in seconds, or in two.
    fn tick(&self) -> Duration {
        if self.changed.1 == 0 { Duration::from_secs(2) } else { Duration::from_millis(20) }
    }

    /// The value of `Last-Modified`, if the time is plausible. Reproducible builds set all times to
    /// 1970, and RFC 9110 §8.8.2.1 forbids a time in the future.
    pub(crate) fn last_modified(&self, now: SystemTime) -> Option<SystemTime> {
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        Some(time(self.modified)).filter(|time| (day..=now).contains(time))
    }

    /// The time of the last change of the content.
    pub(crate) fn modified(&self) -> SystemTime {
        time(self.modified)
    }
}

fn time((seconds, nanos): (i64, i64)) -> SystemTime {
    let since = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}
