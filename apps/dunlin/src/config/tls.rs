//! `[server.tls]`: certificates, and the rules of TLS connections.

use std::path::PathBuf;

use dunlin_server::{CertificateStore, ClientCertificates, Pair, Tls, TlsVersion};
use toml::de::DeValue;

use super::acme::Acme;
use crate::reader::{Diagnostic, Document, Section, Span, Value};

const VERSIONS: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];

/// The words of `client_auth`, and `true` for those that require a certificate.
const CLIENT_AUTH: &[(&str, bool)] = &[("require", true), ("request", false)];

/// Reads `[server.tls]`. `redirect` becomes `true` if plain requests are sent to `https`, and
/// `acme` has the section for ordered certificates.
pub(super) fn tls(
    mut table: Section<'_>,
    redirect: &mut bool,
    acme: &mut Option<Acme>,
    document: &Document<'_>,
) -> Option<Tls> {
    *acme = table.section("acme", "[server.tls.acme]").map(|table| Acme::read(table, document));
    let needs_pair = acme.is_none() || table.has("certificate") || table.has("key");
    let first = if needs_pair { pair(&mut table, document).map(Some) } else { Some(None) };
    let others = table.get("certificates").map_or(Some(Vec::new()), |value| certificates(value, document));
    let clients = clients(&mut table, document);
    let mut tls = Tls::default();
    table.set_word("min_version", VERSIONS, &mut tls.min_version);
    table.set("redirect", redirect);
    table.finish(|_| None);
    tls.pairs = first?.into_iter().chain(others?).collect();
    tls.store = acme.as_ref().map(|_| CertificateStore::new());
    tls.clients = clients?;
    Some(tls)
}

/// Reads `certificate` and `key`, and checks that they belong together.
fn pair(table: &mut Section<'_>, document: &Document<'_>) -> Option<Pair> {
    let mut file = |key| {
        table.require::<PathBuf>(key)?;
        document.file(table.get(key)?)
    };
    let (certificate, key) = (file("certificate"), file("key"));
    let spans = (table.value_span("certificate"), table.value_span("key"));
    let ocsp = table.get("ocsp");
    let mut pair = Pair::new(certificate?, key?);
    if let Err(error) = Tls::new(&pair.certificate, &pair.key).check() {
        document.errors.push(pair_error(&pair, spans, &error.to_string()));
    } else if let Some(ocsp) = ocsp {
        let span = ocsp.span();
        pair.ocsp = Some(document.file(ocsp)?);
        let mut tls = Tls::default();
        tls.pairs.push(pair.clone());
        if let Err(error) = tls.check_ocsp() {
            // A service that starts again while its authority is away has to serve.
            document.warnings.push(Diagnostic::new(span, error.to_string()).expected("a response that is still valid"));
        }
    }
    Some(pair)
}

/// Reads `certificates`: pairs that are chosen by the names in them.
fn certificates(value: Value<'_>, document: &Document<'_>) -> Option<Vec<Pair>> {
    value.list(|value| match value.raw() {
        DeValue::Table(_) => {
            let mut table = value.section("this certificate")?;
            let pair = pair(&mut table, document);
            table.finish(|_| None);
            pair
        }
        _ => value.wrong_type("a table such as { certificate = \"b.pem\", key = \"b.key\" }"),
    })
}

/// Reads `client_ca` and `client_auth`. The inner `None` asks clients for no certificate.
#[allow(clippy::option_option, reason = "the outer one stands for an error that is reported already")]
fn clients(table: &mut Section<'_>, document: &Document<'_>) -> Option<Option<ClientCertificates>> {
    let span = table.value_span("client_ca");
    let authorities = table.get("client_ca").map(|value| document.file(value));
    let mode = table.get("client_auth");
    let mut required = true;
    table.set_word("client_auth", CLIENT_AUTH, &mut required);
    let Some(authorities) = authorities else {
        if let Some(mode) = mode {
            let what = "\"client_auth\" needs the certificates of the authorities that sign client certificates";
            mode.error(Diagnostic::new(mode.span(), what).expected("client_ca = \"FILE\" beside it"));
        }
        return Some(None);
    };
    let clients = ClientCertificates { authorities: authorities?, required };
    if let Err(error) = clients.check() {
        document.errors.push(Diagnostic::new(span, error.to_string()).expected("certificates in PEM form"));
    }
    Some(Some(clients))
}

/// The error of a pair of files, at the key of the wrong one.
fn pair_error(pair: &Pair, (certificate, key): (Span, Span), error: &str) -> Diagnostic {
    let path = pair.key.display();
    if error.contains("KeyMismatch") {
        let what = format!("{path} is not the key of {}", pair.certificate.display());
        return Diagnostic::new(key, what).expected("the private key that the certificate was made with");
    }
    if !error.contains(&format!("{path}: ")) || pair.key == pair.certificate {
        return Diagnostic::new(certificate, error);
    }
    if error.contains("no items found") {
        return Diagnostic::new(key, format!("there is no private key in {path}")).expected("a key in PEM form");
    }
    Diagnostic::new(key, error)
}
