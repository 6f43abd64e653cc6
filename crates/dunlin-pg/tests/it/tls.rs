//! `sslmode` has libpq's meaning, and fails closed.

use std::path::{Path, PathBuf};

use dunlin_pg::{Config, Query, Rows, SslMode};
use dunlin_testkit::Postgres;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::{Fixture, ask, eventually, get, postgres, text};

struct Authority {
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = folder.join(name);
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { file, issuer: Issuer::new(params, key) }
    }
}

/// Switches TLS on, with a certificate for `localhost` only. The server writes its files itself, so
/// that they belong to it.
fn encrypt(postgres: &mut Postgres, authority: &Authority) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let folder = postgres.psql("SHOW data_directory").trim().to_owned();
    let root = std::fs::read_to_string(&authority.file).unwrap();
    for (name, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem()), ("root.crt", root)] {
        postgres.psql(&format!(
            "COPY (SELECT line FROM regexp_split_to_table($pem${pem}$pem$, E'\\r?\\n') AS line) TO '{folder}/{name}'"
        ));
    }
    use std::os::unix::fs::PermissionsExt;
    // COPY lets other users read the file, which the server does not accept for its key.
    let key = Path::new(&folder).join("server.key");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    postgres.psql("ALTER SYSTEM SET ssl = on");
    postgres.psql("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    postgres.restart();
}

/// Returns `true` if the connection is encrypted, and an error if there is none.
async fn encrypted(config: Config) -> Result<bool, String> {
    let fixture = Fixture::new(Config { pool_size: 2, shared: 1, ..config });
    let query = Query { rows: Rows::One, ..Query::new(["SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]) };
    let service = fixture.service(query);
    loop {
        let response = ask(&service, get("/", &[])).await;
        if response.status() == 200 {
            return Ok(text(&response) == r#"{"ssl":true}"#);
        }
        // A late connection is not a refused one.
        if let Err(error) = fixture.pool.ready().await {
            return Err(error.to_string());
        }
    }
}

#[tokio::test]
async fn every_mode_has_its_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(folder.path(), "ca.pem"), Authority::new(folder.path(), "other.pem"));
    let mut server = Postgres::start();
    encrypt(&mut server, &authority);
    let config = |host: &str, mode: SslMode, root: Option<&Authority>| Config {
        ssl_mode: Some(mode),
        ssl_root_cert: root.map(|root| root.file.clone()),
        ..Config::new(format!("postgres://postgres@{host}:{}/postgres", server.port()))
    };
    for (host, mode, root, expect) in [
        ("127.0.0.1", SslMode::Disable, None, Ok(false)),
        ("127.0.0.1", SslMode::Allow, None, Ok(true)),
        ("127.0.0.1", SslMode::Prefer, None, Ok(true)),
        ("127.0.0.1", SslMode::Require, None, Ok(true)),
        // As in libpq, `require` with a root certificate verifies the server.
        ("127.0.0.1", SslMode::Require, Some(&authority), Ok(true)),
        ("127.0.0.1", SslMode::Require, Some(&stranger), Err(())),
        // The name matters to `verify-full`, and not to `verify-ca`.
        ("127.0.0.1", SslMode::VerifyCa, Some(&authority), Ok(true)),
        ("127.0.0.1", SslMode::VerifyCa, Some(&stranger), Err(())),
        ("localhost", SslMode::VerifyFull, Some(&authority), Ok(true)),
        ("localhost", SslMode::VerifyFull, Some(&stranger), Err(())),
        ("127.0.0.1", SslMode::VerifyFull, Some(&authority), Err(())),
    ] {
        let got = encrypted(config(host, mode, root)).await;
        assert_eq!(got.clone().map_err(drop), expect, "{host} {}: {got:?}", mode.as_str());
    }
    // A mode that requires TLS refuses a server without it. A mode that prefers TLS accepts it.
    let plain = |mode: SslMode| Config { ssl_mode: Some(mode), ..Config::new(postgres().url()) };
    assert_eq!(encrypted(plain(SslMode::Prefer)).await, Ok(false));
    assert!(encrypted(plain(SslMode::Require)).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_authenticates() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(folder.path(), "ca.pem"), Authority::new(folder.path(), "other.pem"));
    let mut server = Postgres::start();
    encrypt(&mut server, &authority);
    let hba = server.psql("SHOW hba_file").trim().to_owned();
    server.psql(&format!(
        "COPY (SELECT 'local all all trust' UNION ALL SELECT 'hostssl all all 127.0.0.1/32 cert') TO '{hba}'"
    ));
    server.psql("SELECT pg_reload_conf()");
    let client = |name: &str, user: &str, authority: &Authority| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, user);
        let files = [folder.path().join(format!("{name}.crt")), folder.path().join(format!("{name}.key"))];
        std::fs::write(&files[0], params.signed_by(&key, &authority.issuer).unwrap().pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        std::fs::set_permissions(&files[1], std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("sslcert={}&sslkey={}", files[0].display(), files[1].display())
    };
    let (own, foreign, forged) = (
        client("own", "postgres", &authority),
        client("foreign", "eve", &authority),
        client("forged", "postgres", &stranger),
    );
    let config = |options: &str| {
        Config::new(format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=require&{options}", server.port()))
    };
    // The server reads its files again after some time.
    eventually("certificates are asked for", async || encrypted(config("")).await.is_err()).await;
    assert_eq!(encrypted(config(&own)).await, Ok(true));
    for options in [&*foreign, &*forged, ""] {
        assert!(encrypted(config(options)).await.is_err(), "{options}");
    }
    // An option that cannot work is an error at the start, which names it.
    let refused = |options: &str| dunlin_pg::Database::new(config(options)).unwrap_err().to_string();
    let (certificate, key) = own.split_once('&').unwrap();
    assert!(refused(certificate).contains("sslkey"));
    assert!(refused(key).contains("sslcert"));
    let file = key.trim_start_matches("sslkey=");
    assert!(refused(&format!("sslcert={file}&{key}")).contains("no certificate"));
    assert!(refused(&format!("sslcert=/nowhere&{key}")).contains("sslcert /nowhere"));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o604)).unwrap();
    assert!(refused(&own).contains("0600"));
    let mixed = format!("{certificate}&{}", forged.split_once('&').unwrap().1);
    assert!(refused(&mixed).contains("sslcert and sslkey"), "{}", refused(&mixed));
}

#[tokio::test]
async fn passwords_come_from_the_url_the_configuration_or_a_file() {
    let server = Postgres::start();
    server.psql("SET password_encryption = 'scram-sha-256'; CREATE ROLE keeper LOGIN PASSWORD 'se:cr\\et'");
    let folder = server.psql("SHOW hba_file").trim().to_owned();
    server.psql(&format!("COPY (SELECT 'host all keeper 127.0.0.1/32 scram-sha-256' UNION ALL SELECT 'local all all trust' UNION ALL SELECT 'host all all 127.0.0.1/32 trust') TO '{folder}'"));
    server.psql("SELECT pg_reload_conf()");
    let url = format!("postgres://keeper@127.0.0.1:{}/postgres", server.port());
    let home = tempfile::tempdir().unwrap();
    let passfile = home.path().join("pass");
    std::fs::write(&passfile, "# a comment\nother:*:*:*:no\n127.0.0.1:*:postgres:keeper:se\\:cr\\\\et\n").unwrap();
    {
        use std::os::unix::fs::PermissionsExt;
        let config = Config { passfile: Some(passfile.clone()), ..Config::new(&url) };
        std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(dunlin_pg::Database::new(config).unwrap_err().to_string().contains("0600"));
        std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let wrong = || Config { password: Some(dunlin_pg::Secret::new("wrong")), ..Config::new(&url) };
    // The server reads its files again after some time.
    eventually("passwords are asked for", async || encrypted(wrong()).await.is_err()).await;
    for config in [
        Config { password: Some(dunlin_pg::Secret::new("se:cr\\et")), ..Config::new(&url) },
        Config { passfile: Some(passfile.clone()), ..Config::new(&url) },
        Config::new(format!("{url}?passfile={}", passfile.display())),
    ] {
        assert_eq!(encrypted(config).await, Ok(false));
    }
    let error = encrypted(wrong()).await.unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
}
