//! Responses of the authority in the certificates of an acceptor.

use super::*;

/// A response is sent along until it expires. No trouble with it keeps a certificate from being
/// served.
#[test]
fn responses_are_stapled_until_they_expire() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(path("cert"), pair.cert.pem()).unwrap();
    std::fs::write(path("key"), pair.signing_key.serialize_pem()).unwrap();
    let mut tls = Tls::new(path("cert"), path("key"));
    tls.pairs[0].ocsp = Some(path("ocsp"));
    let stapled = || tls.stapled_keys().unwrap().0[0].ocsp.clone();

    assert_eq!(stapled(), None);
    assert!(tls.check_ocsp().unwrap_err().to_string().contains("ocsp: No such file"));
    std::fs::write(path("ocsp"), "no response").unwrap();
    assert_eq!(stapled(), None);
    assert!(tls.check_ocsp().is_err() && tls.check().is_ok());

    let now = Clock::system().now();
    let until = now + Duration::from_secs(3);
    let response = ocsp::tests::response(pair.cert.der(), |single| single.valid(now, Some(until)));
    std::fs::write(path("ocsp"), &response).unwrap();
    let acceptor = Acceptor::new(&tls).unwrap();
    assert!(acceptor.files().until.is_some_and(|end| end <= until));
    assert_eq!(stapled(), Some(response));
    while acceptor.files().until.is_some() {
        std::thread::yield_now();
        acceptor.read_again();
    }
    assert_eq!(stapled(), None);
    assert!(Clock::system().now() > until - Duration::from_secs(1), "{until:?}");
    std::fs::remove_file(path("ocsp")).unwrap();
    acceptor.read_again();
    assert_eq!(acceptor.files().stamps.last(), Some(&None), "the certificate is read again without it");
}
