//! The hosts of a certificate, compared with those of the routes.

use std::path::Path;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use super::route::Route;
use crate::hosts::HostPattern;
use crate::reader::{Diagnostic, Document, Span};

/// Warns of a certificate that is for none of the routes' hosts, which no browser would accept.
pub(super) fn check(path: &Path, span: Span, routes: &[Route], document: &Document<'_>) {
    let hosts: Vec<&HostPattern> = routes.iter().flat_map(|route| &route.hosts).collect();
    // A certificate that cannot be read is an error elsewhere.
    let Ok(certificate) = CertificateDer::from_pem_file(path) else { return };
    let covers = |host: &HostPattern| covers(&certificate, &host.sample()).unwrap_or(true);
    if hosts.is_empty() || hosts.into_iter().any(covers) {
        return;
    }
    let what = format!("{} is for none of the hosts in this file", path.display());
    document.warnings.push(Diagnostic::new(span, what).expected("a certificate with the names of the routes' hosts"));
}

/// Returns `true` if a certificate is for `host`; `None` if it cannot be told.
fn covers(certificate: &CertificateDer<'_>, host: &str) -> Option<bool> {
    let end_entity = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = ServerName::try_from(host).ok()?;
    Some(end_entity.verify_is_valid_for_subject_name(&name).is_ok())
}
