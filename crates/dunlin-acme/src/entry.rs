//! [`Entry`]: one name, its certificate and its failures.

use std::time::SystemTime;

use crate::certificate::Certificate;
use crate::failure::Record;
use crate::schedule::{self, Window};
use crate::stats::Status;
use crate::storage::{Kind, Stamp, Storage};

/// One name, its certificate and its failures, as far as this process knows them.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) certificate: Option<Certificate>,
    /// Of the file that was read last.
    stamp: Option<Stamp>,
    /// `true` if the file is missing or cannot be used, so that a new order is due.
    is_lost: bool,
    /// The failures of all instances.
    failure: Option<Record>,
    failure_stamp: Option<Stamp>,
    /// Failures of this process that are not in the storage yet, or cannot be written there.
    own_failure: Option<Record>,
    /// The window of the authority for the renewal.
    pub(crate) window: Option<Window>,
    /// The time from which the authority is asked for the window again.
    pub(crate) next_window: SystemTime,
}

// === impl Entry ===

impl Entry {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            certificate: None,
            stamp: None,
            is_lost: false,
            failure: None,
            failure_stamp: None,
            own_failure: None,
            window: None,
            next_window: SystemTime::UNIX_EPOCH,
        }
    }

    /// The same name at another authority: its certificate is in use until the first one from
    /// there.
    pub(crate) fn moved(&self) -> Self {
        Self { certificate: self.certificate.clone(), is_lost: true, ..Self::new(self.name.clone()) }
    }

    /// Reads what has changed in the storage. Returns `true` if there is another certificate.
    pub(crate) fn refresh(&mut self, storage: &Storage) -> bool {
        let failure_stamp = storage.stamp(Kind::Failure, &self.name);
        if failure_stamp != self.failure_stamp {
            self.failure_stamp = failure_stamp;
            let content = storage.read(Kind::Failure, &self.name).ok();
            self.failure = content.and_then(|content| serde_json::from_slice(&content).ok());
            self.own_failure = None;
        }
        let stamp = storage.stamp(Kind::Certificate, &self.name);
        if stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        let Some(stamp) = stamp else {
            self.is_lost = true;
            return false;
        };
        let content = storage.read(Kind::Certificate, &self.name).map_err(|error| error.to_string());
        match content.and_then(|content| Certificate::parse(content, &self.name, stamp.modified)) {
            Ok(certificate) => {
                let until = httpdate::fmt_http_date(certificate.facts.not_after);
                tracing::info!(name = self.name, until, "ACME: loaded the certificate");
                self.keep(certificate);
                true
            }
            Err(error) => {
                let path = storage.path(Kind::Certificate, &self.name).display().to_string();
                let kept = if self.certificate.is_some() { "; the last one stays in use" } else { "" };
                tracing::error!(path, "ACME: cannot use the stored certificate: {error}; ordering a new one{kept}");
                self.is_lost = true;
                false
            }
        }
    }

    /// Takes a certificate into use.
    pub(crate) fn keep(&mut self, certificate: Certificate) {
        self.certificate = Some(certificate);
        self.is_lost = false;
        self.failure = None;
        self.own_failure = None;
        self.window = None;
        self.next_window = SystemTime::UNIX_EPOCH;
    }

    /// Notes a failure. The certificate stays in use.
    pub(crate) fn fail(&mut self, record: Record) {
        self.own_failure = Some(record);
    }

    /// The failures in sequence, of this process or of all.
    pub(crate) fn failures(&self) -> u32 {
        self.record().map_or(0, |record| record.count)
    }

    /// The time of the next order, which may have passed.
    pub(crate) fn next_order(&self) -> SystemTime {
        let retry = self.record().map_or(SystemTime::UNIX_EPOCH, Record::next);
        let Some(certificate) = self.certificate.as_ref().filter(|_| !self.is_lost) else { return retry };
        let renewal = match self.window {
            Some(window) => schedule::within(window, certificate.spread()).min(certificate.latest_renewal()),
            None => certificate.renewal(),
        };
        renewal.max(retry)
    }

    pub(crate) fn status(&self, now: SystemTime) -> Status {
        let facts = self.certificate.as_ref().map(|certificate| &certificate.facts);
        Status {
            name: self.name.clone(),
            issuer: facts.map(|facts| facts.issuer.clone()),
            not_after: facts.map(|facts| facts.not_after),
            next_order: Some(self.next_order()).filter(|next| *next > now),
            error: self.record().map(|record| record.message.clone()),
        }
    }

    fn record(&self) -> Option<&Record> {
        self.own_failure.as_ref().or(self.failure.as_ref())
    }
}
