//! [`Acme`]: the certificates of a list of names, from the storage and from the authority.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dunlin_http::{BoxError, Clock};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::challenge::{Challenge, is_token};
use crate::client::Client;
use crate::config::host_name;
use crate::entry::Entry;
use crate::stats::Counters;
use crate::storage::{Kind, Storage};
use crate::{ChallengeKind, Config, Error, Stats, Status};

/// The certificates of a list of names, from the storage and from the authority.
///
/// Clones share everything. [`run`](Self::run) does the work.
#[derive(Clone)]
pub struct Acme(pub(crate) Arc<Shared>);

/// The TLS server that uses the certificates.
pub trait Install: Send + Sync + 'static {
    /// Replaces all certificates. Each is chosen by the names in it.
    ///
    /// # Errors
    /// A certificate that cannot be used. All stay as they were.
    fn certificates(&self, certificates: &[Pem<'_>]) -> Result<(), BoxError>;

    /// Replaces the certificates, each with its host, for clients that ask for the protocol
    /// `acme-tls/1` (RFC 8737 §3).
    ///
    /// # Errors
    /// A certificate that cannot be used. All stay as they were.
    fn challenges(&self, challenges: &[(&str, Pem<'_>)]) -> Result<(), BoxError>;
}

/// A certificate chain and its key in PEM form. Either text may contain the other.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// The chain, with the certificate of the server first.
    pub chain: &'a [u8],
    /// The private key.
    pub key: &'a [u8],
}

/// The parts that clones share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) storage: Storage,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    install: Arc<dyn Install>,
    entries: Mutex<Vec<Entry>>,
    /// The answers to challenges by their tokens.
    challenges: ArcSwap<HashMap<String, Challenge>>,
    changed: Notify,
}

/// The time between two looks at the storage.
const TICK: Duration = Duration::from_secs(1);

/// The path of challenges (RFC 8555 §8.3).
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// The age from which an answer is one that an ended process left behind.
const CHALLENGE_AGE: Duration = Duration::from_secs(3600);

// === impl Acme ===

impl Acme {
    /// Certificates for `names`. Those of the storage are installed at once; [`run`](Self::run)
    /// orders the others.
    ///
    /// # Errors
    /// A name or a setting that cannot be used.
    pub fn new<N: AsRef<str>>(
        config: Config,
        names: impl IntoIterator<Item = N>,
        install: impl Install,
    ) -> Result<Self, Error> {
        Self::begin(config, names, Arc::new(install), &[])
    }

    /// The same with other settings, for the same TLS server. Certificates that are in use stay
    /// until there are others by the new settings. The old value must not run any longer.
    ///
    /// # Errors
    /// A name or a setting that cannot be used.
    pub fn moved<N: AsRef<str>>(&self, config: Config, names: impl IntoIterator<Item = N>) -> Result<Self, Error> {
        let before: Vec<_> = self.0.entries.lock().iter().map(Entry::moved).collect();
        Self::begin(config, names, self.0.install.clone(), &before)
    }

    fn begin<N: AsRef<str>>(
        config: Config,
        names: impl IntoIterator<Item = N>,
        install: Arc<dyn Install>,
        before: &[Entry],
    ) -> Result<Self, Error> {
        config.check()?;
        let known = |name: &String| before.iter().find(|entry| entry.name == *name).map(Entry::moved);
        let entry = |name: String| known(&name).unwrap_or_else(|| Entry::new(name));
        let entries: Vec<_> = host_names(names)?.into_iter().map(entry).collect();
        let shared = Shared {
            storage: Storage::new(&config.storage, &config.directory),
            client: Client::new(config.ca_file.as_deref())?,
            clock: Clock::system(),
            counters: Counters::default(),
            install,
            entries: Mutex::new(entries),
            challenges: ArcSwap::default(),
            changed: Notify::new(),
            config,
        };
        shared.refresh();
        shared.install_all();
        Ok(Self(Arc::new(shared)))
    }

    /// Replaces the list of names. Certificates of names that are in both lists stay; those of
    /// other names are no longer used, and stay in the storage.
    ///
    /// # Errors
    /// A name for which no certificate can be had. The list stays as it was.
    pub fn set_names<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<(), Error> {
        let wanted = host_names(names)?;
        {
            let mut entries = self.0.entries.lock();
            let mut old: HashMap<_, _> = entries.drain(..).map(|entry| (entry.name.clone(), entry)).collect();
            let entry = |name: String| old.remove(&name).unwrap_or_else(|| Entry::new(name));
            *entries = wanted.into_iter().map(entry).collect();
            self.0.install(&entries);
        }
        self.0.changed.notify_one();
        Ok(())
    }

    /// Keeps the certificates: it orders and renews them, and loads those that other instances
    /// have written. It never ends. Failures are logged and kept for [`status`](Self::status).
    pub async fn run(&self) {
        loop {
            self.refresh().await;
            if !self.order_next().await {
                // One question for each look, however many certificates there are.
                self.ask_for_window().await;
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = self.0.changed.notified() => {}
                }
            }
        }
    }

    /// The answer to a request for `path` that the authority sends for HTTP-01 (RFC 8555 §8.3);
    /// `None` for any other path.
    ///
    /// It has to be answered on port 80 of the name, without authentication, as
    /// `application/octet-stream` with status 200. It looks at memory alone.
    #[must_use]
    pub fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(WELL_KNOWN).filter(|token| is_token(token))?;
        let challenges = self.0.challenges.load();
        let challenge = challenges.get(token).filter(|challenge| challenge.is(ChallengeKind::Http01))?;
        Some(challenge.key_authorization.clone())
    }

    /// The state of each name, in the order of the list.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let now = self.0.clock.now();
        self.0.entries.lock().iter().map(|entry| entry.status(now)).collect()
    }

    /// The orders so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// Looks at the storage.
    pub(crate) async fn refresh(&self) {
        let shared = self.0.clone();
        // It fails only if the runtime ends.
        let _ = tokio::task::spawn_blocking(move || shared.refresh()).await;
    }
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acme").field("config", &self.0.config).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Looks at the storage, and installs what has changed there.
    fn refresh(&self) {
        self.refresh_challenges();
        let mut entries = self.entries.lock();
        let changed = entries.iter_mut().map(|entry| entry.refresh(&self.storage)).filter(|changed| *changed).count();
        if changed > 0 {
            self.install(&entries);
        }
    }

    /// Gives the certificates to the TLS server.
    fn install(&self, entries: &[Entry]) {
        let certificates = entries.iter().filter_map(|entry| entry.certificate.as_ref());
        let pairs: Vec<_> = certificates.map(|own| Pem { chain: &own.pem, key: &own.pem }).collect();
        if let Err(error) = self.install.certificates(&pairs) {
            tracing::error!(%error, "ACME: the server cannot use the certificates; it keeps the last ones");
        }
    }

    fn refresh_challenges(&self) {
        let now = self.clock.now();
        let mut files = self.storage.list(Kind::Challenge);
        files.retain(|(token, stamp)| {
            is_token(token) && now.duration_since(stamp.modified).unwrap_or_default() < CHALLENGE_AGE
        });
        let known = self.challenges.load();
        if files.len() == known.len() && files.iter().all(|(token, _)| known.contains_key(token)) {
            return;
        }
        let read = |(token, _): (String, _)| {
            let content = self.storage.read(Kind::Challenge, &token).ok()?;
            Some((token, serde_json::from_slice::<Challenge>(&content).ok()?))
        };
        let challenges: HashMap<_, _> = files.into_iter().filter_map(read).collect();
        let by_tls = challenges.values().filter(|challenge| challenge.is(ChallengeKind::TlsAlpn01));
        let proofs: Vec<_> = by_tls.filter_map(Challenge::proof).collect();
        let pem = |proof: &crate::challenge::Proof| (proof.host.clone(), proof.chain.clone(), proof.key.clone());
        let proofs: Vec<_> = proofs.iter().map(pem).collect();
        let pairs: Vec<_> = proofs
            .iter()
            .map(|(host, chain, key)| (&**host, Pem { chain: chain.as_bytes(), key: key.as_bytes() }))
            .collect();
        if let Err(error) = self.install.challenges(&pairs) {
            tracing::error!(%error, "ACME: the server cannot use the certificate of a challenge");
        }
        self.challenges.store(Arc::new(challenges));
    }

    /// Works on the entry of a name, unless it is gone.
    pub(crate) fn with_entry<T>(&self, name: &str, work: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.entries.lock().iter_mut().find(|entry| entry.name == name).map(work)
    }

    /// Finds the first entry that `wanted` gives a value for.
    pub(crate) fn find_entry<T>(&self, wanted: impl FnMut(&mut Entry) -> Option<T>) -> Option<T> {
        self.entries.lock().iter_mut().find_map(wanted)
    }

    /// Gives the certificates of all names to the TLS server.
    pub(crate) fn install_all(&self) {
        self.install(&self.entries.lock());
    }
}

/// The names in their form, each once.
fn host_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Vec<String>, Error> {
    let mut seen = HashSet::new();
    let names = names.into_iter().map(|name| host_name(name.as_ref()));
    names.filter(|name| name.as_ref().map_or(true, |name| seen.insert(name.clone()))).collect()
}

impl std::fmt::Debug for Pem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}
