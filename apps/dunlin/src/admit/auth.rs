//! `[auth.NAME]`: how clients prove who they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dunlin_auth::{ApiKey, ApiKeys, Authenticate, Basic, ClientCertificate, Forward, Jwt, JwtConfig, KeySet, Users};
use dunlin_fetch::Client;
use dunlin_http::{Body, BoxError, Metric};
use http::{HeaderName, Request, StatusCode, Uri};
use serde_json::json;
use toml::de::DeValue;

use super::watched_files::{Watch, WatchedFiles};
use crate::reader::{Diagnostic, Document, Field, MAX_NAMED, Section, Span, Value, read_file, read_text, upstream_url};

/// An `[auth.NAME]` as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    pub(crate) name: String,
    /// The place of its name.
    pub(crate) span: Span,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Basic { users: PathBuf, realm: String },
    Key { keys: PathBuf, header: HeaderName, realm: String },
    Jwt { keys: JwtKeys, config: JwtConfig },
    Forward { url: Uri, copy: Vec<HeaderName> },
    Certificate,
}

/// The source of the keys that tokens are verified with.
#[derive(Clone, Debug)]
enum JwtKeys {
    Url(Uri),
    Set(KeySet),
}

/// An authenticator that all event loops share, or the parts of one that each loop has.
pub(crate) struct Prepared {
    part: Part,
    /// The watch over its file, if it has one.
    _watch: Option<Watch>,
}

enum Part {
    Shared(Arc<dyn Authenticate>),
    Basic(Basic),
    Forward { url: Uri, copy: Vec<HeaderName> },
}

const KINDS: [&str; 5] = ["basic", "jwt", "forward", "key", "certificate"];
/// Bytes of a JWK set.
const MAX_JWKS: usize = 1 << 20;

// === impl Auth ===

impl Auth {
    /// Reads `[auth]`.
    pub(crate) fn read_all(value: Value<'_>, document: &Document<'_>) -> Vec<Self> {
        let DeValue::Table(tables) = value.raw() else {
            let _: Option<()> = value.wrong_type("tables such as [auth.staff]");
            return Vec::new();
        };
        let auths = tables.iter().filter_map(|(name, raw)| {
            let mut table = value.at("auth", raw).section("this [auth.NAME]")?;
            let kind = Kind::read(name.get_ref(), &mut table, document);
            if kind.is_some() {
                table.finish(|_| None);
            }
            Some(Self { name: name.get_ref().to_string(), span: name.span(), kind: kind? })
        });
        auths.collect()
    }

    /// The security scheme of an OpenAPI document (OpenAPI 3.1 §4.8.27).
    pub(crate) fn scheme(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Basic { .. } => json!({"type": "http", "scheme": "basic"}),
            Kind::Jwt { .. } => json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
            Kind::Key { header, .. } => json!({"type": "apiKey", "in": "header", "name": header.as_str()}),
            Kind::Certificate => json!({"type": "mutualTLS"}),
            Kind::Forward { .. } => {
                let what = "another service decides about the credentials";
                json!({"type": "apiKey", "in": "header", "name": "authorization", "description": what})
            }
        }
    }

    /// Returns `true` if a reload may keep the authenticator while its table stays the same. One
    /// whose keys are read from a file once may have others.
    pub(crate) const fn is_kept(&self) -> bool {
        !matches!(self.kind, Kind::Jwt { keys: JwtKeys::Set(_), .. })
    }

    /// Makes the authenticator, and has its files read again when they change.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn prepare(&self, fetch: &dunlin_fetch::Config, files: &WatchedFiles) -> anyhow::Result<Prepared> {
        let mut watch = None;
        let part = match &self.kind {
            Kind::Basic { users, realm } => {
                let basic = Basic::new(read_users(users)?, realm);
                let (target, path) = (basic.clone(), users.clone());
                watch = Some(files.add(users, move || read_users(&path).map(|users| target.replace(users))));
                Part::Basic(basic)
            }
            Kind::Key { keys, header, realm } => {
                let key = ApiKey::new(header.clone(), read_keys(keys)?, realm);
                let (target, path) = (key.clone(), keys.clone());
                watch = Some(files.add(keys, move || read_keys(&path).map(|keys| target.replace(keys))));
                Part::Shared(Arc::new(key))
            }
            Kind::Jwt { keys: JwtKeys::Set(keys), config } => {
                Part::Shared(Arc::new(Jwt::new(keys.clone(), config.clone())))
            }
            Kind::Jwt { keys: JwtKeys::Url(url), config } => {
                let (url, fetch) = (url.clone(), fetch.clone());
                let source = move || fetch_keys(url.clone(), fetch.clone());
                Part::Shared(Arc::new(Jwt::with_source(source, config.clone())))
            }
            Kind::Certificate => Part::Shared(Arc::new(ClientCertificate)),
            Kind::Forward { url, copy } => Part::Forward { url: url.clone(), copy: copy.clone() },
        };
        Ok(Prepared { part, _watch: watch })
    }
}

// === impl Kind ===

impl Kind {
    fn read(name: &str, table: &mut Section<'_>, document: &Document<'_>) -> Option<Self> {
        let words = KINDS.map(|kind| (kind, kind));
        table.require::<String>("kind")?;
        match table.get("kind")?.word(&words)? {
            "basic" => {
                let realm = table.or("realm", name.to_owned());
                let (users, span) = file(table, "users", document)?;
                checked(read_users(&users), span, document)?;
                Some(Self::Basic { users, realm })
            }
            "key" => {
                let realm = table.or("realm", name.to_owned());
                let header = table.read("header").map(|Field(name)| name);
                let (keys, span) = file(table, "keys", document)?;
                checked(read_keys(&keys), span, document)?;
                Some(Self::Key { keys, header: header.unwrap_or(HeaderName::from_static("x-api-key")), realm })
            }
            "jwt" => Self::jwt(name, table, document),
            "certificate" => {
                if !document.has_client_ca {
                    let what = "client certificates are not asked for";
                    let value = table.get("kind")?;
                    value.error(Diagnostic::new(value.span(), what).expected("client_ca = \"FILE\" in [server.tls]"));
                }
                Some(Self::Certificate)
            }
            _ => {
                table.require::<String>("url")?;
                let url = table.get("url").and_then(upstream_url);
                let copy: Vec<Field> = table.or("copy", Vec::new());
                Some(Self::Forward { url: url?, copy: copy.into_iter().map(|Field(name)| name).collect() })
            }
        }
    }

    fn jwt(name: &str, table: &mut Section<'_>, document: &Document<'_>) -> Option<Self> {
        const SOURCES: [&str; 3] = ["jwks", "key_file", "secret_file"];
        let mut config = JwtConfig { realm: table.or("realm", name.to_owned()), ..JwtConfig::default() };
        table.set("issuer", &mut config.issuer);
        table.set("audience", &mut config.audience);
        table.set("leeway", &mut config.leeway);
        let present: Vec<&str> = SOURCES.into_iter().filter(|key| table.has(key)).collect();
        let jwks = table.get("jwks").map(upstream_url);
        let mut set = |key, parse: fn(&[u8]) -> Result<KeySet, dunlin_auth::Error>| {
            let value = table.get(key)?;
            let path = document.secret_file(value)?;
            let bytes = read_file(&path, MAX_NAMED).map_err(anyhow::Error::from);
            let keys = bytes.and_then(|bytes| Ok(parse(&bytes)?));
            checked(keys.map_err(|error| at(&path, &error)), value.span(), document)
        };
        let pem = set("key_file", |bytes| {
            if bytes.trim_ascii_start().starts_with(b"{") { KeySet::from_jwks(bytes) } else { KeySet::from_pem(bytes) }
        });
        let secret = set("secret_file", |bytes| KeySet::from_secret(bytes.trim_ascii_end()));
        let keys = match &present[..] {
            [_] => jwks.flatten().map(JwtKeys::Url).or_else(|| pem.or(secret).map(JwtKeys::Set))?,
            _ => {
                let what = match &present[..] {
                    [] => "nothing here says which keys tokens are verified with".to_owned(),
                    [first, second, ..] => format!("\"{first}\" and \"{second}\" both say which keys are used"),
                    [_] => return None,
                };
                let diagnostic = Diagnostic::new(table.span.clone(), what);
                document.errors.push(diagnostic.expected("exactly one of jwks, key_file, secret_file"));
                return None;
            }
        };
        Some(Self::Jwt { keys, config })
    }
}

// === impl Prepared ===

impl Prepared {
    /// The authenticator of one event loop, whose client sends subrequests.
    pub(crate) fn build(&self, client: &Client) -> Arc<dyn Authenticate> {
        match &self.part {
            Part::Shared(shared) => shared.clone(),
            Part::Basic(basic) => Arc::new(basic.clone()),
            Part::Forward { url, copy } => {
                let (client, url) = (client.clone(), url.clone());
                let send = move |mut request: Request<Body>| {
                    *request.uri_mut() = url.clone();
                    let client = client.clone();
                    async move { client.request(request).await.map_err(BoxError::from) }
                };
                Arc::new(Forward::new(send, copy.clone()))
            }
        }
    }

    /// The figures of what is shared.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        match &self.part {
            Part::Basic(basic) => basic.stats().metrics(),
            _ => Vec::new(),
        }
    }
}

/// Reads a required key that names a file with secrets.
fn file(table: &mut Section<'_>, key: &'static str, document: &Document<'_>) -> Option<(PathBuf, Span)> {
    table.require::<PathBuf>(key)?;
    let value = table.get(key)?;
    Some((document.secret_file(value)?, value.span()))
}

/// Reports an error at a place of the file.
fn checked<T>(result: anyhow::Result<T>, span: Span, document: &Document<'_>) -> Option<T> {
    result.map_err(|error| document.errors.push(Diagnostic::new(span, format!("{error:#}")))).ok()
}

fn at(path: &Path, error: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!("{}: {error:#}", path.display())
}

fn read_users(path: &Path) -> anyhow::Result<Users> {
    let users = read_text(path, MAX_NAMED).map_err(anyhow::Error::from).and_then(|text| Ok(Users::parse(&text)?));
    users.map_err(|error| at(path, &error))
}

fn read_keys(path: &Path) -> anyhow::Result<ApiKeys> {
    let keys = read_text(path, MAX_NAMED).map_err(anyhow::Error::from).and_then(|text| Ok(ApiKeys::parse(&text)?));
    keys.map_err(|error| at(path, &error))
}

/// Fetches a JWK set. A client of its own, because the loop that fetches may be any.
async fn fetch_keys(url: Uri, config: dunlin_fetch::Config) -> Result<bytes::Bytes, BoxError> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = url;
    let response = Client::new(config)?.request(request).await?;
    match response.status() {
        StatusCode::OK => Ok(response.into_body().collect(MAX_JWKS).await?),
        status => Err(format!("the server of the keys answered {status}").into()),
    }
}
