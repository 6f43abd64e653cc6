//! How files are served.

use std::path::PathBuf;
use std::time::Duration;

use dunlin_http::Clock;

/// How the files of one folder are served.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long clients may keep a file that is neither HTML nor named by its content:
    /// `Cache-Control: max-age`, in whole seconds. `None`, the default, is `no-cache`: kept, but
    /// asked for again, and answered with 304.
    pub cache: Option<Duration>,
    /// Folders, as paths below the root, in which a name is never used for other content:
    /// `immutable` for a year.
    pub immutable: Vec<String>,
    /// Whether names with a content hash in them, `app-3f9a0c1b.js`, are `immutable` wherever they
    /// are. Default: yes.
    pub fingerprints: bool,
    /// What stands for a folder, the first that exists. Default: `index.html`.
    pub index: Vec<String>,
    /// Whether what is not found is answered with the root's index, for an application that routes
    /// in the browser. Names with a dot in the last segment stay 404, unless the client asks for
    /// HTML by name.
    pub spa: bool,
    /// Whether a folder without index is answered with a list of what is in it, as HTML or JSON.
    pub listing: bool,
    /// A file below the root that is the body of a 404.
    pub not_found: Option<String>,
    /// Whether `app.js.zst`, `.br` and `.gz` are served in place of `app.js` to those who take it.
    /// Default: yes.
    pub precompressed: bool,
    /// Media types by extension, without the dot, before the built-in ones.
    pub types: Vec<(String, String)>,
    /// The most that is held in memory, in bytes: content, heads and names. At least 64 KiB;
    /// default: 64 MiB.
    pub memory: usize,
    /// The largest file that is held in memory as soon as it is asked for, in bytes. A larger one
    /// is streamed, until it was asked for eight times and is at most a quarter of `memory`.
    /// Default: 1 MiB.
    pub max_file: u64,
    /// How soon a change on disk is seen. Zero looks at the disk for every request. Default: a
    /// second.
    pub seen_within: Duration,
    /// What tells the time.
    pub clock: Clock,
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened as a folder.
    #[error("cannot open the folder {}: {source}", path.display())]
    Root {
        /// The root as it was given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A setting makes no sense.
    #[error("{setting}: {problem}")]
    Setting {
        /// Its name in [`Config`].
        setting: &'static str,
        /// What is wrong with it, and what would do.
        problem: String,
    },
}

/// What is known of a file, without its content, has to have room: the tag of a large one above
/// all.
const LEAST_MEMORY: usize = 64 << 10;

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
    /// Checks what can be checked without the disk.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let fail = |setting, problem| Err(Error::Setting { setting, problem });
        if self.memory < LEAST_MEMORY {
            return fail(
                "memory",
                format!("{} bytes do not hold what is known of files; try {LEAST_MEMORY}", self.memory),
            );
        }
        for name in &self.index {
            if name.is_empty() || name.contains('/') || crate::path::parse(name).is_none() {
                return fail("index", format!("{name:?} is no file name; try \"index.html\""));
            }
        }
        if let Some(page) = &self.not_found
            && (page.is_empty() || page.ends_with('/') || crate::path::parse(page).is_none())
        {
            return fail("not_found", format!("{page:?} is no path of a file below the root; try \"404.html\""));
        }
        for (extension, media_type) in &self.types {
            if dunlin_http::media_type::MediaType::parse(media_type).is_none()
                || http::HeaderValue::from_str(media_type).is_err()
            {
                return fail(
                    "types",
                    format!("{media_type:?} for {extension:?} is no media type, as \"text/plain\" is"),
                );
            }
        }
        Ok(())
    }
}
