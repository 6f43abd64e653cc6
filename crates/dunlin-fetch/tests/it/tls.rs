//! Upstreams behind TLS.

use std::io::Write as _;
use std::sync::Arc;

use dunlin_fetch::{Client, Config, Error};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::support::Origin;

/// An authority's certificate in a PEM file, and an origin with its certificate for `name`.
async fn origin(name: &str) -> (tempfile::NamedTempFile, Origin) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(root.pem().as_bytes()).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let origin = Origin::scripted(move |_, connection| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(connection.stream).await else { return };
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await.unwrap();
            }
        }
    });
    (file, origin.await)
}

fn client(file: Option<&tempfile::NamedTempFile>) -> Client {
    Client::new(Config { ca_file: file.map(|file| file.path().to_owned()), ..Config::default() }).unwrap()
}

#[tokio::test]
async fn the_authority_of_ca_file_is_trusted() {
    let (file, origin) = origin("localhost").await;
    let uri = format!("https://LOCALHOST:{}/", origin.address.port()).parse().unwrap();
    let client = client(Some(&file));
    for _ in 0..3 {
        assert_eq!(client.get_text(&uri, None).await.unwrap().text, "secret");
    }
    assert_eq!(client.stats().opened, 1);
}

#[tokio::test]
async fn other_certificates_are_refused() {
    let (file, origin) = origin("elsewhere.example").await;
    let uri = format!("https://localhost:{}/", origin.address.port()).parse().unwrap();
    for client in [client(None), client(Some(&file))] {
        let error = client.get_text(&uri, None).await.unwrap_err();
        assert!(matches!(error, Error::Connect(_)), "{error}");
        assert_eq!(error.status(), 502);
    }
}

#[test]
fn a_file_without_certificates_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = |path| Config { ca_file: Some(path), ..Config::default() };
    for path in [file.path().to_owned(), "/does/not/exist".into()] {
        let error = Client::new(config(path.clone())).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}
