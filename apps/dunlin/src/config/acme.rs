//! `[server.tls.acme]`: certificates by RFC 8555.

use std::path::PathBuf;

use dunlin_acme::{ChallengeKind, Config, ExternalAccount, host_name};
use dunlin_server::Listen;

use super::route::Route;
use crate::hosts::HostPattern;
use crate::reader::{Diagnostic, Document, Read as _, Section, Span, Value};

/// `[server.tls.acme]` as it was read.
#[derive(Debug)]
pub(crate) struct Acme {
    pub(crate) settings: Config,
    /// The names to order certificates for.
    pub(crate) names: Vec<String>,
    span: Span,
    /// `true` if the names are those of the routes.
    by_routes: bool,
}

/// The folder that packages have for it.
const STORAGE: &str = "/var/lib/dunlin/acme";

const CHALLENGES: &[(&str, ChallengeKind)] =
    &[("http-01", ChallengeKind::Http01), ("tls-alpn-01", ChallengeKind::TlsAlpn01)];

const DOMAIN: &str = "a host such as \"example.com\", without a wildcard";

// === impl Acme ===

impl Acme {
    /// Reads the section. The names of the routes come later: see [`Acme::complete`].
    pub(super) fn read(mut table: Section<'_>, document: &Document<'_>) -> Self {
        let span = table.nested_span(&[]);
        let mut settings = Config::new(STORAGE);
        let by_routes = !table.has("domains");
        let names = table.get("domains").and_then(|value| value.list(domain));
        if !by_routes && names.as_ref().is_some_and(Vec::is_empty) {
            let what = "\"domains\" is empty";
            document.errors.push(Diagnostic::new(table.value_span("domains"), what).expected(DOMAIN));
        }
        table.set("directory", &mut settings.directory);
        settings.email = table.read("email");
        settings.ca_file = table.get("ca_file").and_then(|value| document.file(value));
        if let Some(folder) = table.read::<PathBuf>("storage") {
            settings.storage = document.dir.join(folder);
        }
        table.set_word("challenge", CHALLENGES, &mut settings.challenge);
        settings.external_account = external_account(&mut table, document);
        if settings.email.as_ref().is_some_and(|email| !email.contains('@')) {
            let what = "\"email\" is no address";
            document.errors.push(Diagnostic::new(table.value_span("email"), what).expected("\"ops@example.com\""));
        }
        if let Err(error) = settings.check() {
            let key = if matches!(error, dunlin_acme::Error::Directory(_)) { "directory" } else { "ca_file" };
            let expected = match key {
                "directory" => "the URL of a directory, such as \"https://acme-v02.api.letsencrypt.org/directory\"",
                _ => "certificates in PEM form",
            };
            document.errors.push(Diagnostic::new(table.value_span(key), error.to_string()).expected(expected));
        }
        if settings.directory == Config::LETS_ENCRYPT_STAGING {
            let what = "no browser accepts the certificates of the staging directory";
            let expected = format!("\"{}\", once the trial has succeeded", Config::LETS_ENCRYPT);
            document.warnings.push(Diagnostic::new(table.value_span("directory"), what).expected(expected));
        }
        table.finish(|_| None);
        Self { settings, names: names.unwrap_or_default(), span, by_routes }
    }

    /// Takes the names of the routes, if the section has none, and checks the listeners.
    pub(super) fn complete(&mut self, routes: &[Route], listen: &[Listen], document: &Document<'_>) {
        if self.by_routes {
            self.take_names(routes, document);
        }
        let is_plain = |listen: &Listen| listen.tls != Some(true);
        let all_speak_tls = listen.iter().all(|listen| listen.tls != Some(true));
        if self.settings.challenge == ChallengeKind::Http01 && (all_speak_tls || !listen.iter().any(is_plain)) {
            let what = "http-01 needs a listener without TLS, which port 80 of each name leads to";
            let expected = "{ address = \"[::]:443\", tls = true } and \"[::]:80\" in \"listen\", \
                            or challenge = \"tls-alpn-01\"";
            document.warnings.push(Diagnostic::new(self.span.clone(), what).expected(expected));
        }
    }

    fn take_names(&mut self, routes: &[Route], document: &Document<'_>) {
        let mut left_out = Vec::new();
        for host in routes.iter().flat_map(|route| &route.hosts) {
            let text = host.to_string();
            // An authority issues for names that the world can look up.
            let name = Some(&text).filter(|text| text.contains('.')).and_then(|text| host_name(text).ok());
            let list = if name.is_some() { &mut self.names } else { &mut left_out };
            let name = name.unwrap_or(text);
            if !list.contains(&name) {
                list.push(name);
            }
        }
        if self.names.is_empty() {
            let what = "there is no host in the routes to order a certificate for";
            document.errors.push(Diagnostic::new(self.span.clone(), what).expected("domains = [\"example.com\"]"));
        } else if !left_out.is_empty() {
            let what = format!("no certificate is ordered for {}", left_out.join(", "));
            let expected = "\"domains\" with the hosts that a wildcard stands for, or pairs in \"certificates\"";
            document.warnings.push(Diagnostic::new(self.span.clone(), what).expected(expected));
        }
    }
}

fn domain(value: Value<'_>) -> Option<String> {
    let host = HostPattern::read(value)?;
    let text = host.to_string();
    match host_name(&text) {
        Ok(name) => Some(name),
        Err(error) => {
            value.error(Diagnostic::new(value.span(), error.to_string()).expected(DOMAIN));
            None
        }
    }
}

/// Reads `external_account` and `external_account_key_file`.
fn external_account(table: &mut Section<'_>, document: &Document<'_>) -> Option<ExternalAccount> {
    let (id, key) = ("external_account", "external_account_key_file");
    if !table.has(id) && !table.has(key) {
        return None;
    }
    let (name, file) = (table.require::<String>(id), table.require::<PathBuf>(key));
    let path = table.get(key).and_then(|value| document.secret_file(value));
    let (name, path) = (name?, file.and(path)?);
    let content = crate::reader::read_text(&path, crate::reader::MAX_NAMED).map_err(|error| error.to_string());
    match content.and_then(|content| ExternalAccount::new(name, &content).map_err(|error| error.to_string())) {
        Ok(account) => Some(account),
        Err(error) => {
            let what = format!("{}: {error}", path.display());
            document.errors.push(Diagnostic::new(table.value_span(key), what).expected("the key in base64url"));
            None
        }
    }
}
