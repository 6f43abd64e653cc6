//! A folder with files, the service over it, and helpers for requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_http::{Body, Clock};
use dunlin_static::{Config, Files};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// A folder `root` with files, and a secret beside it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) files: Files,
}

/// A response, read to its end.
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) const SECRET: &str = "this is never served";

// === impl Site ===

impl Site {
    /// Makes files by name and content, all of them settled.
    pub(crate) fn new(files: &[(&str, &str)], config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        for (name, content) in files {
            write(&root.join(name), content);
        }
        Self { files: Files::new(&root, config).unwrap(), folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    pub(crate) async fn get(&self, target: &str) -> Received {
        self.send(Method::GET, target, &[]).await
    }

    pub(crate) async fn send(&self, method: Method, target: &str, fields: &[(&'static str, &str)]) -> Received {
        read(self.files.respond(&method, &headers(fields), target).await).await.unwrap()
    }
}

/// Writes a file whose time of modification is a year ago.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let year = Duration::from_secs(365 * 86_400);
    let then = fs::metadata(path).unwrap().modified().unwrap() - year;
    fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// A clock that is ahead of the file system. By it, a new file is old enough to get a tag.
pub(crate) fn clock_ahead() -> Clock {
    Clock::manual(SystemTime::now() + Duration::from_secs(5))
}

pub(crate) fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

pub(crate) async fn read(response: Response<Body>) -> Result<Received, dunlin_http::BodyError> {
    let (parts, body) = response.into_parts();
    let body = body.collect(usize::MAX).await?;
    Ok(Received { status: parts.status, headers: parts.headers, body })
}

/// A time as the value of a field.
pub(crate) fn date(time: SystemTime) -> String {
    dunlin_http::date::format(time).to_str().unwrap().to_owned()
}

// === impl Received ===

impl Received {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The tag for the bytes of the body.
    pub(crate) fn tag_of_body(&self) -> String {
        format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(&self.body))
    }

    /// Asserts that the length and the tag are those of the body.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.field("content-length"), self.body.len().to_string());
        assert_eq!(self.field("etag"), self.tag_of_body());
    }
}
