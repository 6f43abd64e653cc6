//! [`Target`]: a libpq URL. tokio-postgres gets the options that it knows. The others are here.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::config::{Host, TargetSessionAttrs};

use crate::config_error::ConfigError;
use crate::named_file;
use crate::ssl_mode::SslMode;

/// The destination of connections.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) pg: tokio_postgres::Config,
    pub(crate) ssl_mode: Option<SslMode>,
    pub(crate) ssl_root_cert: Option<PathBuf>,
    pub(crate) ssl_cert: Option<PathBuf>,
    pub(crate) ssl_key: Option<PathBuf>,
    pub(crate) server: ServerKind,
    pub(crate) passfile: Option<PathBuf>,
}

/// The kind of server that is acceptable (libpq's `target_session_attrs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby, or else any.
    PreferStandby,
}

// === impl Target ===

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        let mut rest = String::with_capacity(url.len());
        let mut extra = ExtraOptions::default();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (base, query) = url.split_once('?').unwrap_or((url, ""));
            rest.push_str(base);
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let plain = percent_decode(value);
                if !extra.take(key, &plain)? {
                    rest.push(if rest.contains('?') { '&' } else { '?' });
                    rest.push_str(pair);
                }
            }
        } else {
            for (word, key, value) in words(url) {
                if !extra.take(key, &value)? {
                    rest.push_str(word);
                    rest.push(' ');
                }
            }
        }
        // The library's message contains the option, but never its value.
        let mut pg: tokio_postgres::Config =
            rest.parse().map_err(|error: tokio_postgres::Error| ConfigError::new(crate::error::one_line(&error)))?;
        if pg.get_hosts().is_empty() {
            // As in libpq, an address is also the name, for TLS and in a password file.
            for addr in pg.get_hostaddrs().to_vec() {
                pg.host(addr.to_string());
            }
        }
        if pg.get_hosts().is_empty() {
            let socket = Path::new("/var/run/postgresql");
            if socket.is_dir() {
                pg.host_path(socket)
            } else {
                pg.host("localhost")
            };
        }
        let (hosts, addrs, ports) = (pg.get_hosts().len(), pg.get_hostaddrs().len(), pg.get_ports().len());
        if (addrs > 0 && addrs != hosts) || (ports > 1 && ports != hosts) {
            return Err(ConfigError::new(format!("{hosts} hosts do not go with {addrs} hostaddrs and {ports} ports")));
        }
        let server = extra.server.unwrap_or(match pg.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => ServerKind::ReadWrite,
            TargetSessionAttrs::ReadOnly => ServerKind::ReadOnly,
            _ => ServerKind::Any,
        });
        let ExtraOptions { ssl_mode, ssl_root_cert, ssl_cert, ssl_key, passfile, .. } = extra;
        Ok(Self { pg, ssl_mode, ssl_root_cert, ssl_cert, ssl_key, server, passfile })
    }

    /// The mode in effect. As in libpq, a Unix socket has no TLS.
    pub(crate) fn effective_ssl(&self) -> SslMode {
        let local = self.pg.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        if local { SslMode::Disable } else { self.ssl_mode.unwrap_or_default() }
    }
}

/// The user, hosts and name of the database, without a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = self.pg.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.pg.get_ports();
        for (index, host) in self.pg.get_hosts().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => {
                    // One port is for all hosts. Without a port it is PostgreSQL's own.
                    let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                    write!(f, "{comma}{name}:{port}")?;
                }
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        write!(f, "/{}", self.pg.get_dbname().unwrap_or_default())
    }
}

/// The options that tokio-postgres does not know, or of which it does not know all values.
#[derive(Default)]
struct ExtraOptions {
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    passfile: Option<PathBuf>,
    server: Option<ServerKind>,
}

impl ExtraOptions {
    fn take(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "sslmode" => self.ssl_mode = Some(value.parse()?),
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            "passfile" => self.passfile = Some(value.into()),
            "target_session_attrs" => {
                self.server = Some(match value {
                    "any" => ServerKind::Any,
                    "read-write" => ServerKind::ReadWrite,
                    "read-only" => ServerKind::ReadOnly,
                    "primary" => ServerKind::Primary,
                    "standby" => ServerKind::Standby,
                    "prefer-standby" => ServerKind::PreferStandby,
                    _ => return Err(ConfigError::new(format!("target_session_attrs {value:?} is not known"))),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn percent_decode(text: &str) -> String {
    // A plus sign is no space here.
    let text = text.replace('+', "%2B");
    let pair = format!("v={text}");
    dunlin_http::query::pairs(&pair).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The words `key=value` of libpq's other form. Each has its text, its key, and its value without
/// quotes.
fn words(text: &str) -> Vec<(&str, &str, String)> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some(equals) = rest.find('=') else {
            // It is no option, which tokio-postgres reports.
            words.push((rest, rest, String::new()));
            break;
        };
        let key = rest[..equals].trim();
        let (value, length) = word_value(rest[equals + 1..].trim_start());
        let spaces = rest[equals + 1..].len() - rest[equals + 1..].trim_start().len();
        let end = (equals + 1 + spaces + length).min(rest.len());
        words.push((&rest[..end], key, value));
        rest = rest[end..].trim_start();
    }
    words
}

/// A value up to its end, and its length. A backslash escapes, and single quotes hold spaces.
fn word_value(text: &str) -> (String, usize) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            '\'' if quoted => return (value, at + 1),
            char if !quoted && char.is_whitespace() => return (value, at),
            char => value.push(char),
        }
    }
    (value, text.len())
}

/// The password of the first line `host:port:database:user:password` that matches. A `*` matches
/// anything (PostgreSQL §34.16).
pub(crate) fn from_passfile(file: &Path, pg: &tokio_postgres::Config) -> Result<Option<String>, ConfigError> {
    let fail = |why: &dyn fmt::Display| ConfigError::new(format!("passfile {}: {why}", file.display()));
    let text = named_file::read(file).map_err(|error| fail(&error))?;
    let text = String::from_utf8(text).map_err(|_| fail(&"it is not UTF-8"))?;
    let mode = fs::metadata(file).map_err(|error| fail(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(fail(&"other users may read it; set its mode to 0600"));
    }
    let host = match pg.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // As in libpq, a socket in the default folder is `localhost`.
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => String::new(),
    };
    let port = pg.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = pg.get_user().unwrap_or_default();
    let database = pg.get_dbname().unwrap_or(user);
    let wanted = [host.as_str(), &port, database, user];
    Ok(text.lines().filter(|line| !line.starts_with('#')).find_map(|line| password_of(line, &wanted)))
}

fn password_of(line: &str, wanted: &[&str; 4]) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (char, fields.len(), fields.last_mut()) {
            ('\\', _, Some(last)) => last.extend(chars.next()),
            (':', ..5, _) => fields.push(String::new()),
            (char, _, Some(last)) => last.push(char),
            _ => {}
        }
    }
    let [host, port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
    let fits = [host, port, database, user].iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
    fits.then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_libpq_are_understood_in_both_forms() {
        for url in [
            "postgres://u:p@a:1,b:2/d?sslmode=verify-full&sslrootcert=%2Fca.pem&target_session_attrs=primary&application_name=x",
            "host=a,b port=1,2 user=u password=p dbname=d sslmode=verify-full sslrootcert='/ca.pem' target_session_attrs=primary application_name = x",
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.ssl_mode, Some(SslMode::VerifyFull), "{url}");
            assert_eq!(target.ssl_root_cert.as_deref(), Some(Path::new("/ca.pem")));
            assert_eq!(target.server, ServerKind::Primary);
            assert_eq!(target.pg.get_application_name(), Some("x"));
            assert_eq!(target.pg.get_ports(), [1, 2]);
            assert_eq!(target.to_string(), "u@a:1,b:2/d");
        }
        assert!(Target::parse("postgres://h/d?sslmode=maybe").is_err());
        assert!(Target::parse("postgres://h/d?sllmode=require").is_err());
        assert!(Target::parse("nonsense").is_err());
        assert!(Target::parse("host=a,b port=1,2,3").is_err());
        assert!(Target::parse("host=a,b hostaddr=10.0.0.1").is_err());
        assert_eq!(Target::parse("hostaddr=10.0.0.1 user=u dbname=d").unwrap().to_string(), "u@10.0.0.1:5432/d");
    }

    #[test]
    fn tls_is_not_for_unix_sockets() {
        let local = Target::parse("postgres:///d?host=/run/x&sslmode=require").unwrap();
        assert_eq!(local.effective_ssl(), SslMode::Disable);
        assert_eq!(Target::parse("postgres://h/d").unwrap().effective_ssl(), SslMode::Prefer);
    }

    #[test]
    fn lines_of_a_passfile() {
        let wanted = ["h", "5432", "d", "u"];
        assert_eq!(password_of("h:5432:d:u:se\\:cr:et", &wanted).as_deref(), Some("se:cr:et"));
        assert_eq!(password_of("*:*:*:u:x", &wanted).as_deref(), Some("x"));
        assert_eq!(password_of("*:*:*:v:x", &wanted), None);
        assert_eq!(password_of("h:5432:d", &wanted), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", words in "[a-z='\\\\ ]{0,40}") {
            let _ = Target::parse(&text);
            let _ = Target::parse(&words);
            let _ = Target::parse(&format!("postgres://{text}"));
        }
    }
}
