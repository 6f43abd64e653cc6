//! Makes entries from what is on disk. All of it blocks, and runs in the pool.

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::Arc;

use dunlin_http::Clock;
use dunlin_http::conditional::Validators;
use dunlin_http::negotiate::Coding;

use crate::entry::{Content, Entry, Variant};
use crate::lookup::{Located, Shared};
use crate::stamp::Stamp;
use crate::tag::Digest;
use crate::{snapshot, verify};

impl Shared {
    /// Reads a file and its encodings into memory; `None` if it has more than `limit` bytes.
    pub(crate) fn load(&self, found: &Located, limit: u64) -> io::Result<Option<Arc<Entry>>> {
        let Some(snapshot) = snapshot::read(&found.file, limit)? else { return Ok(None) };
        let digest = Digest::of(&snapshot.bytes);
        let text = std::str::from_utf8(&snapshot.bytes).is_ok();
        let known = self.table.get(&found.key);
        // What is held although it is large is hot; and what was hot before it changed, stays it.
        let hot = snapshot.stamp.len > self.config.max_file || known.as_ref().is_some_and(|known| known.is_sealed());
        let len = snapshot.bytes.len() as u64;
        let content = match known.as_ref().map(|known| &known.identity.content) {
            // The same bytes keep their name, so that what was made of them, an encoding, stays
            // good.
            Some(same @ Content::Memory { bytes, .. }) if *bytes == snapshot.bytes => same.clone(),
            _ => Content::new(snapshot.bytes),
        };
        let identity = self.held(found, (&snapshot.stamp, digest), text, len, content);
        let mut entry = Entry::new(&found.path, snapshot.stamp, identity, found.at);
        entry.settled = snapshot.settled;
        entry.siblings = found.siblings.stamps();
        for (coding, file, stamp) in &found.siblings.0 {
            // Good or not: one that is half written now may be whole under the same stamp.
            entry.settled &= stamp.is_settled(Clock::system().now());
            if let Some(variant) = self.beside(found, *coding, (file, stamp), limit, (digest, entry.stamp.len), text)? {
                entry.add(*coding, variant);
            }
        }
        let entry = Arc::new(if hot { entry.sealed() } else { entry });
        self.table.insert(&found.key, Arc::clone(&entry));
        Ok(Some(entry))
    }

    /// Computes the tag of a file that is streamed, and looks at its encodings.
    pub(crate) fn hash(&self, found: &Located, text: bool) -> io::Result<Entry> {
        let Some(digest) = snapshot::digest(&found.file, &found.stamp)? else {
            return Ok(self.unread(found, None, text));
        };
        let mut entry = self.unread(found, Some(digest), text);
        for (coding, file, stamp) in &found.siblings.0 {
            entry.settled &= stamp.is_settled(Clock::system().now());
            let limit = self.config.max_file;
            if let Some(variant) = self.beside(found, *coding, (file, stamp), limit, (digest, found.stamp.len), text)? {
                entry.add(*coding, variant);
            }
        }
        Ok(entry.sealed())
    }

    /// What is known of a file that stays on disk.
    pub(crate) fn unread(&self, found: &Located, digest: Option<Digest>, text: bool) -> Entry {
        let validators = self.validators(&found.stamp, digest);
        let identity = Variant::new(&self.rules, &found.path, text, found.stamp.len, validators, Content::Disk);
        let mut entry = Entry::new(&found.path, found.stamp, identity, found.at);
        entry.siblings = found.siblings.stamps();
        entry
    }

    /// An encoded file as a representation; `None` if it is not what it should be.
    fn beside(
        &self,
        found: &Located,
        coding: Coding,
        (file, stamp): (&File, &Stamp),
        limit: u64,
        (content, len): (Digest, u64),
        text: bool,
    ) -> io::Result<Option<Variant>> {
        let refuse = |reason: &dyn std::fmt::Display| {
            tracing::warn!(path = %found.path, %coding, %reason, "a precompressed file is not served");
        };
        if stamp.len >= len {
            return Ok(None);
        }
        let variant = if stamp.len > limit {
            let Some(digest) = snapshot::digest(file, stamp)? else { return Ok(None) };
            snapshot::rewind(file)?;
            if let Err(reason) = verify::decodes_to(coding, BufReader::new(file), len, content) {
                refuse(&reason);
                return Ok(None);
            }
            let validators = self.validators(stamp, Some(digest));
            Variant::new(&self.rules, &found.path, text, stamp.len, validators, Content::Disk)
        } else {
            let Some(snapshot) = snapshot::read(file, limit)?.filter(|read| read.stamp.same_content(stamp)) else {
                return Ok(None);
            };
            if let Err(reason) = verify::decodes_to(coding, &snapshot.bytes[..], len, content) {
                refuse(&reason);
                return Ok(None);
            }
            let (digest, len) = (Digest::of(&snapshot.bytes), snapshot.bytes.len() as u64);
            self.held(found, (stamp, digest), text, len, Content::new(snapshot.bytes))
        };
        Ok(Some(variant))
    }

    fn held(
        &self,
        found: &Located,
        (stamp, digest): (&Stamp, Digest),
        text: bool,
        len: u64,
        content: Content,
    ) -> Variant {
        Variant::new(&self.rules, &found.path, text, len, self.validators(stamp, Some(digest)), content)
    }

    fn validators(&self, stamp: &Stamp, digest: Option<Digest>) -> Validators {
        Validators { etag: digest.and_then(Digest::etag), last_modified: stamp.last_modified(self.config.clock.now()) }
    }
}
