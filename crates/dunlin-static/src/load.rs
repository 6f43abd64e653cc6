//! Makes entries from files on disk. All of it blocks, and runs in the pool.

use std::io::{self, BufReader};
use std::sync::Arc;

use dunlin_http::Clock;
use dunlin_http::conditional::Validators;

use crate::entry::{Content, Entry, Variant};
use crate::located::Located;
use crate::shared::Shared;
use crate::siblings::Sibling;
use crate::stamp::Stamp;
use crate::tag::Digest;
use crate::{snapshot, verify};

/// The file that siblings have to be encodings of.
struct Original<'a> {
    path: &'a str,
    len: u64,
    digest: Digest,
    text: bool,
}

// === impl Shared ===

impl Shared {
    /// Reads a file and its encodings into memory. Returns `None` if it is longer than `limit`.
    pub(crate) fn load(&self, located: &Located, limit: u64) -> io::Result<Option<Arc<Entry>>> {
        let Some(snapshot) = snapshot::read(&located.file, limit)? else { return Ok(None) };
        let original = Original {
            path: &located.path,
            len: snapshot.stamp.len,
            digest: Digest::of(&snapshot.bytes),
            text: std::str::from_utf8(&snapshot.bytes).is_ok(),
        };
        let old = self.table.get(&located.key);
        // A long file is loaded only if it is hot. A sealed one was hot before it changed.
        let hot = snapshot.stamp.len > self.config.max_file || old.as_ref().is_some_and(|old| old.is_sealed());
        let len = snapshot.bytes.len() as u64;
        let content = match old.as_ref().map(|old| &old.identity.content) {
            // Equal bytes keep their body id, so that a kept encoding of them stays valid.
            Some(Content::Memory(memory)) if memory.bytes == snapshot.bytes => Content::Memory(memory.clone()),
            _ => Content::new(snapshot.bytes),
        };
        let validators = self.validators(&snapshot.stamp, Some(original.digest));
        let identity = Variant::new(&self.rules, &located.path, original.text, len, validators, content);
        let mut entry = Entry::new(&located.path, snapshot.stamp, identity, located.looked_up_at);
        entry.settled = snapshot.settled;
        self.add_siblings(&mut entry, located, limit, &original)?;
        let entry = Arc::new(if hot { entry.sealed() } else { entry });
        self.table.insert(&located.key, Arc::clone(&entry));
        Ok(Some(entry))
    }

    /// Computes the tag of a file that is streamed, and reads its encodings.
    pub(crate) fn hash(&self, located: &Located, text: bool) -> io::Result<Entry> {
        let Some(digest) = snapshot::digest(&located.file, &located.stamp)? else {
            return Ok(self.disk_entry(located, None, text));
        };
        let mut entry = self.disk_entry(located, Some(digest), text);
        let original = Original { path: &located.path, len: located.stamp.len, digest, text };
        self.add_siblings(&mut entry, located, self.config.max_file, &original)?;
        Ok(entry.sealed())
    }

    /// The entry of a file whose content stays on disk.
    pub(crate) fn disk_entry(&self, located: &Located, digest: Option<Digest>, text: bool) -> Entry {
        let validators = self.validators(&located.stamp, digest);
        let identity = Variant::new(&self.rules, &located.path, text, located.stamp.len, validators, Content::Disk);
        let mut entry = Entry::new(&located.path, located.stamp, identity, located.looked_up_at);
        entry.siblings = located.siblings.stamps();
        entry
    }

    /// Adds the siblings that are encodings of the file.
    fn add_siblings(
        &self,
        entry: &mut Entry,
        located: &Located,
        limit: u64,
        original: &Original<'_>,
    ) -> io::Result<()> {
        entry.siblings = located.siblings.stamps();
        for sibling in &located.siblings.0 {
            // A rejected one counts too: if it is half written now, it may be whole later under the
            // same stamp.
            entry.settled &= sibling.stamp.is_settled(Clock::system().now());
            if let Some(variant) = self.encoded(sibling, limit, original)? {
                entry.add_encoding(sibling.coding, variant);
            }
        }
        Ok(())
    }

    /// A sibling as a representation. Returns `None` if it is not a shorter encoding of `original`.
    fn encoded(&self, sibling: &Sibling, limit: u64, original: &Original<'_>) -> io::Result<Option<Variant>> {
        let Sibling { coding, file, stamp } = sibling;
        let refuse = |reason: &io::Error| {
            tracing::warn!(path = %original.path, %coding, %reason, "a precompressed file is not served: encode it again");
        };
        if stamp.len >= original.len {
            return Ok(None);
        }
        let (digest, len, content) = if stamp.len > limit {
            let Some(digest) = snapshot::digest(file, stamp)? else { return Ok(None) };
            snapshot::rewind(file)?;
            if let Err(reason) = verify::decodes_to(*coding, BufReader::new(file), original.len, original.digest) {
                refuse(&reason);
                return Ok(None);
            }
            (digest, stamp.len, Content::Disk)
        } else {
            let Some(snapshot) = snapshot::read(file, limit)?.filter(|read| read.stamp.same_content(stamp)) else {
                return Ok(None);
            };
            if let Err(reason) = verify::decodes_to(*coding, &snapshot.bytes[..], original.len, original.digest) {
                refuse(&reason);
                return Ok(None);
            }
            (Digest::of(&snapshot.bytes), snapshot.bytes.len() as u64, Content::new(snapshot.bytes))
        };
        let validators = self.validators(stamp, Some(digest));
        Ok(Some(Variant::new(&self.rules, original.path, original.text, len, validators, content)))
    }

    fn validators(&self, stamp: &Stamp, digest: Option<Digest>) -> Validators {
        Validators { etag: digest.and_then(Digest::etag), last_modified: stamp.last_modified(self.config.clock.now()) }
    }
}
