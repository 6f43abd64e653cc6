//! [`Stamp`]: what the system says of a file, by which a change is seen.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// What the system says of a file without reading it. Another stamp, another file or other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    /// Last change of the content, in seconds and nanoseconds. Users can set it.
    modified: (i64, i64),
    /// Last change of the content or of what is known of it. The system alone sets it.
    changed: (i64, i64),
    place: (u64, u64),
}

// === impl Stamp ===

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            place: (metadata.dev(), metadata.ino()),
        }
    }

    /// Whether an open file still has the content that it had. Its other attributes may differ: an
    /// open file that is replaced in its folder loses a name, and keeps what is in it.
    pub(crate) fn same_content(&self, later: &Self) -> bool {
        (self.len, self.modified, self.place) == (later.len, later.modified, later.place)
    }

    /// Returns `true` if the file is the same one and has become longer, as a log or a recording
    /// does.
    pub(crate) fn has_grown(&self, later: &Self) -> bool {
        self.place == later.place && later.len > self.len
    }

    /// Whether any later change of the file will show in its stamp. File systems count time in
    /// ticks, and a second change within one tick leaves the same stamp.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        distance(time(self.changed), now) >= self.tick()
    }

    /// How long until the stamp is settled, at most a tick.
    pub(crate) fn settles_in(&self, now: SystemTime) -> Duration {
        self.tick().saturating_sub(distance(time(self.changed), now))
    }

    /// How long ago the file changed; nothing for a time to come.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(time(self.changed)).unwrap_or_default()
    }

    /// The longest tick that the file's times may be counted in: Linux counts jiffies of at most 10
    /// ms; times without a fraction are taken to come from a file system that has seconds, or two.
    fn tick(&self) -> Duration {
        if self.changed.1 == 0 { Duration::from_secs(2) } else { Duration::from_millis(20) }
    }

    /// When the content last changed, if that can be believed: builds that set all times to 1970
    /// tell nothing, and RFC 9110 §8.8.2.1 rules out a time to come.
    pub(crate) fn last_modified(&self, now: SystemTime) -> Option<SystemTime> {
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        Some(time(self.modified)).filter(|time| (day..=now).contains(time))
    }

    /// When the content last changed, as the system has it.
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
