//! A static file service as fast as memory: validators, ranges, precompressed variants, no way out
//! of the folder.
//!
//! [`Files`] serves what is beneath one folder. It is a [`tower_service::Service`], and a router
//! that matched a prefix calls [`Files::respond`] with what is left of the path.
//!
//! A request goes through five steps, a module each: *resolve* (which file), *variant* (which representation),
//! *preconditions* (RFC 9110 §13), *range* (§14), *respond*.
//!
//! - **Memory.** Files of up to [`Config::max_file`] are held with their head made ready, [`Config::memory`] bytes in
//!   all. Such a request costs a look into a table and no system call. Larger files are streamed: what the page cache
//!   has is copied on the loop, the rest is read by a bounded number of blocking threads. One that is asked for again
//!   and again, and leaves room for others, is held too.
//! - **Sending.** On Linux, what is held of 32 KiB and more, and asked for again and again, lies in a sealed file without
//!   a name, mapped into memory: it is bytes to everybody, and a server that knows [`dunlin_http::Mapped`] has the kernel
//!   send it without a copy. At most 1,024 descriptors, or a sixteenth of those that the process may have, are used so.
//! - **Encodings** that stand beside a file, `app.js.br` by `app.js`, are answered with if they decode to that very
//!   file.
//! - **Change.** What is held is compared with the disk twice in [`Config::seen_within`]. A file that is being written
//!   when it is looked at stays what it was until the writer paused or the time is up. An answer's bytes, length and
//!   tag always belong together: a large file that is written to in place while it is sent breaks its connection off.
//! - **Tags** are strong, from the XXH3 of the content. That of a large file is computed once, by a blocking thread.
//!   Until it is known, a request that names a tag waits for it, and any other is answered without one after at most
//!   100 ms.
//! - **Names.** A path is refused with 404 by its letters alone when it has dot segments, hidden names (but for
//!   `.well-known`), empty segments, escapes of dots and slashes, backslashes, control characters or bytes that are no
//!   UTF-8. What is left is opened beneath the root by the kernel (`openat2`), or component by component where it
//!   cannot; a symlink that leaves the root is not followed.
//!
//! ```
//! use dunlin_static::{Config, Files};
//! use http::{HeaderMap, Method};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! std::fs::write(folder.path().join("app.css"), "a { color: teal }").unwrap();
//! let files = Files::new(folder.path(), Config::default()).unwrap();
//!
//! let response = files.respond(&Method::GET, &HeaderMap::new(), "app.css").await;
//! assert_eq!(response.headers()["content-type"], "text/css; charset=utf-8");
//! assert_eq!(response.body().as_bytes(), Some(&b"a { color: teal }"[..]));
//!
//! let again = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, response.headers()["etag"].clone())]);
//! assert_eq!(files.respond(&Method::GET, &again, "app.css").await.status(), 304);
//! assert_eq!(files.respond(&Method::GET, &HeaderMap::new(), "../etc/passwd").await.status(), 404);
//! # });
//! ```

mod buffer;
mod config;
mod entry;
mod files;
mod listing;
mod load;
mod lookup;
mod path;
mod pool;
mod precondition;
mod range;
mod resolve;
mod respond;
mod root;
mod rules;
mod sealed;
mod snapshot;
mod stamp;
mod stream;
mod table;
mod tag;
mod variant;
mod verify;
mod walk;

pub use config::{Config, Error};
pub use files::{Files, Respond, ResponseFuture, Stats};
