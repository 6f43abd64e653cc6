//! The hosts of a certificate, compared with those of the routes.

use dunlin_server::Pair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use super::route::Route;
use crate::hosts::HostPattern;
use crate::reader::{Diagnostic, Document, MAX_NAMED, Span, read_file};

/// Warns of certificates that are for none of the routes' hosts, which no browser would accept.
pub(super) fn check(pairs: &[Pair], span: Span, routes: &[Route], document: &Document<'_>) {
    let hosts: Vec<&HostPattern> = routes.iter().flat_map(|route| &route.hosts).collect();
    // A certificate that cannot be read is an error elsewhere.
    let read = |pair: &Pair| CertificateDer::from_pem_slice(&read_file(&pair.certificate, MAX_NAMED).ok()?).ok();
    let certificates: Option<Vec<_>> = pairs.iter().map(read).collect();
    let Some(certificates) = certificates else { return };
    let covers = |host: &&HostPattern| {
        let host = host.sample();
        certificates.iter().any(|certificate| covers(certificate, &host).unwrap_or(true))
    };
    if hosts.is_empty() || hosts.iter().any(covers) {
        return;
    }
    let path = pairs.first().map(|pair| pair.certificate.display().to_string()).unwrap_or_default();
    let what = match pairs {
        [_] => format!("{path} is for none of the hosts in this file"),
        _ => format!("{path} and the other certificates are for none of the hosts in this file"),
    };
    document.warnings.push(Diagnostic::new(span, what).expected("a certificate with the names of the routes' hosts"));
}

/// Returns `true` if a certificate is for `host`; `None` if it cannot be told.
fn covers(certificate: &CertificateDer<'_>, host: &str) -> Option<bool> {
    let end_entity = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = ServerName::try_from(host).ok()?;
    Some(end_entity.verify_is_valid_for_subject_name(&name).is_ok())
}
