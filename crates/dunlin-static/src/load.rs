//! Makes entries from what is on disk. All of it blocks, and runs in the pool.

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::Arc;

use dunlin_http::conditional::Validators;
use dunlin_http::negotiate::Coding;
use dunlin_http::{BodyId, Clock};
use sha2::{Digest, Sha256};

use crate::entry::{self, Content, Entry, Variant};
use crate::lookup::{Located, Shared};
use crate::stamp::Stamp;
use crate::{sealed, snapshot, verify};

impl Shared {
    /// Reads a file and its encodings into memory; `None` if it has more than `limit` bytes.
    pub(crate) fn load(&self, found: &Located, limit: u64) -> io::Result<Option<Arc<Entry>>> {
        let Some(snapshot) = snapshot::read(&found.file, limit)? else { return Ok(None) };
        let digest = Sha256::digest(&snapshot.bytes);
        let text = std::str::from_utf8(&snapshot.bytes).is_ok();
        let mut identity = self.held(found, &snapshot.stamp, &digest, text, snapshot.bytes);
        if let Some(known) = self.table.get(&found.key)
            && known.is_in_memory()
            && known.identity.validators.etag == identity.validators.etag
        {
            // The same bytes keep their name, so that what was made of them, an encoding, stays good.
            identity.content = known.identity.content.clone();
        }
        let mut entry = Entry::new(&found.path, snapshot.stamp, identity, found.at);
        entry.settled = snapshot.settled;
        entry.siblings = found.siblings.stamps();
        for (coding, file, stamp) in &found.siblings.0 {
            // Good or not: one that is half written now may be whole under the same stamp.
            entry.settled &= stamp.is_settled(Clock::system().now());
            if let Some(variant) =
                self.beside(found, *coding, (file, stamp), limit, (&digest, entry.stamp.len), text)?
            {
                entry.add(*coding, variant);
            }
        }
        let entry = Arc::new(entry);
        self.table.insert(&found.key, Arc::clone(&entry));
        Ok(Some(entry))
    }

    /// Computes the tag of a file that is streamed, and looks at its encodings.
    pub(crate) fn hash(&self, found: &Located, text: bool) -> io::Result<Entry> {
        let Some(digest) = snapshot::digest(&found.file, &found.stamp)? else {
            return Ok(self.unread(found, None, text));
        };
        let mut entry = self.unread(found, Some(&digest), text);
        for (coding, file, stamp) in &found.siblings.0 {
            entry.settled &= stamp.is_settled(Clock::system().now());
            let limit = self.config.max_file;
            if let Some(variant) =
                self.beside(found, *coding, (file, stamp), limit, (&digest, found.stamp.len), text)?
            {
                entry.add(*coding, variant);
            }
        }
        Ok(entry)
    }

    /// What is known of a file that stays on disk.
    pub(crate) fn unread(&self, found: &Located, digest: Option<&[u8]>, text: bool) -> Entry {
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
        (content, len): (&[u8], u64),
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
            let validators = self.validators(stamp, Some(&digest));
            Variant::new(&self.rules, &found.path, text, stamp.len, validators, Content::Disk)
        } else {
            let Some(snapshot) = snapshot::read(file, limit)?.filter(|read| read.stamp.same_content(stamp)) else {
                return Ok(None);
            };
            if let Err(reason) = verify::decodes_to(coding, &snapshot.bytes[..], len, content) {
                refuse(&reason);
                return Ok(None);
            }
            let digest = Sha256::digest(&snapshot.bytes);
            self.held(found, stamp, &digest, text, snapshot.bytes)
        };
        Ok(Some(variant))
    }

    fn held(&self, found: &Located, stamp: &Stamp, digest: &[u8], text: bool, bytes: Vec<u8>) -> Variant {
        let len = bytes.len() as u64;
        let (bytes, mapping) = sealed::hold(bytes);
        let content = Content::Memory { bytes, id: Some(BodyId::new()), mapping };
        Variant::new(&self.rules, &found.path, text, len, self.validators(stamp, Some(digest)), content)
    }

    fn validators(&self, stamp: &Stamp, digest: Option<&[u8]>) -> Validators {
        Validators { etag: digest.and_then(entry::etag), last_modified: stamp.last_modified(self.config.clock.now()) }
    }
}
