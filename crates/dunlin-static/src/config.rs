//! [`Config`]: the settings of a folder.

use std::time::Duration;

use dunlin_http::Clock;

use crate::Error;

/// The settings for the files of one folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `Cache-Control: max-age`, in whole seconds, of files that are neither HTML nor
    /// immutable. `None`, the default, sends `no-cache`: clients store the file, but revalidate it
    /// before each use.
    pub cache: Option<Duration>,
    /// Folders, as paths below the root, in which a name is never used again for other content.
    /// Their files are `immutable` for a year.
    pub immutable: Vec<String>,
    /// Makes files `immutable` whose name contains a content hash, such as `app-3f9a0c1b.js`.
    /// Default: `true`.
    pub fingerprints: bool,
    /// The file names that are tried for a folder, in this order. Default: `index.html`.
    pub index: Vec<String>,
    /// Serves the root's index for a missing path, for an application that routes in the browser.
    /// A name with a dot in its last segment gets 404, unless `Accept` names `text/html`. Default:
    /// `false`.
    pub spa: bool,
    /// Serves a list of its files, as HTML or JSON, for a folder without an index. Default:
    /// `false`.
    pub listing: bool,
    /// A file below the root that is sent as the content of a 404.
    pub not_found: Option<String>,
    /// Serves `app.js.zst`, `app.js.br` and `app.js.gz` in place of `app.js` to clients that accept
    /// the coding. Default: `true`.
    pub precompressed: bool,
    /// Pairs of an extension, without the dot, and its media type. They override the built-in ones.
    pub types: Vec<(String, String)>,
    /// The limit of the memory for content, heads and names, in bytes. At least 64 KiB. Default:
    /// 64 MiB.
    pub memory: usize,
    /// The largest file that is held in memory from its first request on, in bytes. A larger one is
    /// streamed. After eight requests it is held too, if it takes at most a quarter of `memory`.
    /// Default: 1 MiB.
    pub max_file: u64,
    /// The time within which a change on disk shows in responses. Zero compares with the disk on
    /// every request. Default: one second.
    pub seen_within: Duration,
    /// The source of the current time. Tests can move a manual one.
    pub clock: Clock,
}

/// The lower limit of [`Config::memory`]. It leaves room for entries without content, above all for
/// the tags of large files.
const MIN_MEMORY: usize = 64 << 10;

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            cache: None,
            immutable: Vec::new(),
            fingerprints: true,
            index: vec!["index.html".to_owned()],
            spa: false,
            listing: false,
            not_found: None,
            precompressed: true,
            types: Vec::new(),
            memory: 64 << 20,
            max_file: 1 << 20,
            seen_within: Duration::from_secs(1),
            clock: Clock::system(),
        }
    }
}

impl Config {
    /// Checks the settings, without a look at the disk.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let fail = |setting, problem| Err(Error::Setting { setting, problem });
        if self.memory < MIN_MEMORY {
            return fail(
                "memory",
                format!("{} bytes are too few for the heads of files; use at least {MIN_MEMORY}", self.memory),
            );
        }
        for name in &self.index {
            if name.is_empty() || name.contains('/') || crate::path::parse(name).is_none() {
                return fail("index", format!("{name:?} is not a file name; an example is \"index.html\""));
            }
        }
        if let Some(page) = &self.not_found
            && (page.is_empty() || page.ends_with('/') || crate::path::parse(page).is_none())
        {
            return fail(
                "not_found",
                format!("{page:?} is not the path of a file below the root; an example is \"404.html\""),
            );
        }
        for (extension, media_type) in &self.types {
            if dunlin_http::media_type::MediaType::parse(media_type).is_none()
                || http::HeaderValue::from_str(media_type).is_err()
            {
                return fail(
                    "types",
                    format!("{media_type:?} for {extension:?} is not a media type; an example is \"text/plain\""),
                );
            }
        }
        Ok(())
    }
}
