//! Attempts: the next order that is due, its outcome, and the windows of the authority.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;

use crate::acme::Acme;
use crate::blocking;
use crate::certificate::Certificate;
use crate::failure::{Failure, Reason, Record};
use crate::order::{Request, known_account};
use crate::schedule::{self, Window};
use crate::storage::{Kind, Lock};

/// The limit of one order.
const ORDER_LIMIT: Duration = Duration::from_secs(300);

/// The limits of the wait between two questions for a window (RFC 9773 §4.3).
const WINDOW_WAITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// The wait for the next question if there was no answer.
const NO_WINDOW_WAIT: Duration = Duration::from_secs(6 * 3600);

// === impl Acme ===

impl Acme {
    /// Places the order that is due. Returns `false` if none is, or if another instance orders.
    pub(crate) async fn order_next(&self) -> bool {
        let shared = &self.0;
        let now = shared.clock.now();
        let Some(name) = shared.find_entry(|entry| (entry.next_order() <= now).then(|| entry.name.clone())) else {
            return false;
        };
        let storage = shared.storage.clone();
        let lock = match blocking(move || storage.lock()).await {
            Ok(Some(lock)) => Arc::new(lock),
            Ok(None) => return false,
            Err(error) => {
                self.failed(&name, None, Failure::storage(shared.storage.folder(), &error)).await;
                return true;
            }
        };
        // Another instance may have done it meanwhile.
        self.refresh().await;
        let is_due = shared.with_entry(&name, |entry| entry.next_order() <= now);
        if is_due != Some(true) {
            return true;
        }
        match self.order(&name, &lock).await {
            Ok(certificate) => self.succeeded(&name, &lock, certificate).await,
            Err(failure) => self.failed(&name, Some(&lock), failure).await,
        }
        // The answers to challenges are gone.
        self.refresh().await;
        true
    }

    async fn order(&self, name: &str, lock: &Arc<Lock>) -> Result<Certificate, Failure> {
        let shared = &self.0;
        // An order that cannot be stored would be lost.
        let (storage, probe) = (shared.storage.clone(), lock.clone());
        let probed = blocking(move || storage.probe(&probe)).await;
        probed.map_err(|error| Failure::storage(shared.storage.folder(), &error))?;
        shared.client.take_retry_after();
        let replaces = shared.with_entry(name, |entry| {
            let certificate = entry.certificate.as_ref().filter(|_| entry.window.is_some())?;
            CertificateIdentifier::try_from(&certificate.der).ok().map(CertificateIdentifier::into_owned)
        });
        let request = Request { acme: self, lock, name, replaces: replaces.flatten() };
        tracing::info!(name, challenge = shared.config.challenge.as_str(), "ACME: ordering a certificate");
        let placed = tokio::time::timeout(ORDER_LIMIT, request.place()).await;
        let timeout = || {
            let message = format!("the order took more than {} s", ORDER_LIMIT.as_secs());
            Err(Failure::new(Reason::Unreachable, message))
        };
        let pem = placed.unwrap_or_else(|_| timeout())?;
        let now = shared.clock.now();
        let unusable =
            |what: String| Failure::new(Reason::Unusable, format!("the authority sent what cannot be used: {what}"));
        let certificate = Certificate::parse(pem, name, now).map_err(unusable)?;
        if certificate.facts.not_after <= now {
            return Err(unusable("the certificate has expired already; check the clock of this machine".into()));
        }
        Ok(certificate)
    }

    async fn succeeded(&self, name: &str, lock: &Arc<Lock>, certificate: Certificate) {
        let shared = &self.0;
        let days = certificate.facts.left(shared.clock.now()).as_secs() / (24 * 3600);
        let until = httpdate::fmt_http_date(certificate.facts.not_after);
        tracing::info!(name, until, days, issuer = certificate.facts.issuer, "ACME: got a certificate");
        let (storage, lock, file, pem) =
            (shared.storage.clone(), lock.clone(), name.to_owned(), certificate.pem.clone());
        let written = blocking(move || {
            storage.write(&lock, Kind::Certificate, &file, &pem)?;
            storage.remove(Kind::Failure, &file);
            Ok(())
        });
        if let Err(error) = written.await {
            let failure = Failure::storage(shared.storage.folder(), &error);
            tracing::error!(name, "ACME: the new certificate is in use, but not stored: {}", failure.message);
        }
        shared.with_entry(name, |entry| entry.keep(certificate));
        shared.install_all();
        shared.counters.issued();
    }

    async fn failed(&self, name: &str, lock: Option<&Arc<Lock>>, failure: Failure) {
        let shared = &self.0;
        let asked = failure.retry_after.or_else(|| shared.client.take_retry_after());
        let count = shared.with_entry(name, |entry| entry.failures()).unwrap_or_default().saturating_add(1);
        // These cost the authority nothing.
        let is_cheap = matches!(failure.reason, Reason::Unreachable | Reason::Storage);
        let wait = schedule::wait(count, is_cheap, asked, fastrand::f64());
        let now = shared.clock.now();
        let next = (now + wait).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let record = Record { count, next, message: failure.message };
        // Other instances read it there. If it cannot be written, this one remembers it.
        let is_stored = match (lock, serde_json::to_vec(&record)) {
            (Some(lock), Ok(content)) => {
                let (storage, lock, file) = (shared.storage.clone(), lock.clone(), name.to_owned());
                blocking(move || storage.write(&lock, Kind::Failure, &file, &content)).await.is_ok()
            }
            _ => false,
        };
        self.log_failure(name, &record.message, wait, is_stored);
        shared.with_entry(name, |entry| entry.fail(record));
        shared.counters.failed(failure.reason);
    }

    fn log_failure(&self, name: &str, message: &str, wait: Duration, is_stored: bool) {
        let retry_in = wait.as_secs();
        let now = self.0.clock.now();
        let left = self.0.with_entry(name, |entry| entry.certificate.as_ref().map(|own| own.facts.left(now))).flatten();
        let path = self.0.storage.path(Kind::Failure, name);
        let hint = if is_stored { format!("; remove {} to try at once", path.display()) } else { String::new() };
        match left.filter(|left| !left.is_zero()) {
            Some(left) => {
                let days = left.as_secs() / (24 * 3600);
                tracing::warn!(
                    name,
                    retry_in,
                    days,
                    "ACME: cannot renew the certificate: {message}; the old one stays{hint}"
                );
            }
            None => tracing::error!(name, retry_in, "ACME: there is no valid certificate: {message}{hint}"),
        }
    }

    /// Asks the authority for the window of one certificate (RFC 9773), if a question is due.
    pub(crate) async fn ask_for_window(&self) {
        let shared = &self.0;
        let now = shared.clock.now();
        let due = shared.find_entry(|entry| {
            let certificate = entry.certificate.as_ref().filter(|_| entry.next_window <= now)?;
            entry.next_window = now + NO_WINDOW_WAIT;
            Some((entry.name.clone(), CertificateIdentifier::try_from(&certificate.der).ok()?.into_owned()))
        });
        let Some((name, identifier)) = due else { return };
        let question = async {
            let account = known_account(&shared.client, &shared.storage).await.ok().flatten()?;
            account
                .renewal_info(&identifier)
                .await
                .inspect_err(|error| tracing::debug!(%error, name, "ACME: no window"))
                .ok()
        };
        let answer = tokio::time::timeout(Duration::from_secs(90), question).await.ok().flatten();
        if let Some((info, wait)) = answer {
            let time =
                |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            let window = info.suggested_window;
            let window = Window { start: time(window.start.unix_timestamp()), end: time(window.end.unix_timestamp()) };
            let (shortest, longest) = WINDOW_WAITS;
            shared.with_entry(&name, |entry| {
                entry.window = Some(window);
                entry.next_window = now + wait.clamp(shortest, longest);
            });
        }
    }
}
