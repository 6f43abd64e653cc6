//! [`Certificates`]: the certificates of the process that come by ACME.

use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::sync::Arc;

use dunlin_acme::{BoxError, Install, Pem, Stats, Status};
use dunlin_http::Body;
use dunlin_server::{CertificateStore, PemPair, Tls};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::config::{Acme, Config};

/// The certificates of the process that come by ACME. Clones are the same, and all plans have them.
#[derive(Clone, Default)]
pub(crate) struct Certificates(Arc<Shared>);

#[derive(Default)]
struct Shared {
    store: CertificateStore,
    keeper: Mutex<Option<Keeper>>,
}

/// The task that keeps the certificates. It ends when this is dropped.
struct Keeper {
    acme: dunlin_acme::Acme,
    settings: dunlin_acme::Config,
    task: AbortHandle,
}

/// The store as the place of certificates by ACME.
struct Store(CertificateStore);

const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

// === impl Certificates ===

impl Certificates {
    /// Makes `tls` use the certificates of this process, if it has `[server.tls.acme]`.
    pub(crate) fn join(&self, tls: Option<&mut Tls>) {
        if let Some(store) = tls.and_then(|tls| tls.store.as_mut()) {
            *store = self.0.store.clone();
        }
    }

    /// Orders and keeps certificates by this section from here on, on the runtime that this is
    /// called on. Certificates that are in use stay as long as their names are wanted.
    ///
    /// # Errors
    /// A setting that cannot be used. All stays as it was.
    pub(crate) fn set(&self, section: Option<&Acme>) -> Result<(), dunlin_acme::Error> {
        let Some(Acme { settings, names, .. }) = section else {
            let before = self.0.keeper.lock().take();
            if before.is_some() {
                let _ = self.0.store.replace(&[]);
                let _ = self.0.store.set_challenges(&[]);
            }
            return Ok(());
        };
        // Event loops take the lock, too, so nothing is read from disk under it.
        let before = self.0.keeper.lock().as_ref().map(|keeper| (keeper.acme.clone(), keeper.settings == *settings));
        let acme = match before {
            Some((acme, true)) => return acme.set_names(names),
            Some((acme, false)) => acme.moved(settings.clone(), names)?,
            None => dunlin_acme::Acme::new(settings.clone(), names, Store(self.0.store.clone()))?,
        };
        let running = acme.clone();
        let task = tokio::spawn(async move { running.run().await }).abort_handle();
        *self.0.keeper.lock() = Some(Keeper { acme, settings: settings.clone(), task });
        Ok(())
    }

    /// The answer to a challenge of the authority (RFC 8555 §8.3); `None` for any other request.
    #[cold]
    pub(crate) fn answer(&self, request: &Request<Body>) -> Option<Response<Body>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let answer = self.acme()?.answer(request.uri().path())?;
        let mut response = Response::new(Body::from(answer));
        let fields = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")];
        for (name, value) in fields {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// The state of each name.
    pub(crate) fn status(&self) -> Vec<Status> {
        self.acme().map(|acme| acme.status()).unwrap_or_default()
    }

    /// The orders so far; `None` without `[server.tls.acme]`.
    pub(crate) fn stats(&self) -> Option<Stats> {
        self.acme().map(|acme| acme.stats())
    }

    fn acme(&self) -> Option<dunlin_acme::Acme> {
        self.0.keeper.lock().as_ref().map(|keeper| keeper.acme.clone())
    }
}

/// Returns `true` for a request that may be one of the authority.
pub(crate) fn may_be_challenge(request: &Request<Body>) -> bool {
    request.uri().path().starts_with(WELL_KNOWN)
}

/// Makes the folder of the storage, while the process may still write everywhere. The user of the
/// service owns it. A folder that cannot be made shows at the first order.
pub(crate) fn prepare_storage(config: &Config) {
    let Some(Acme { settings, .. }) = &config.acme else { return };
    let folder = &settings.storage;
    if folder.exists() {
        return;
    }
    // The folders above have the usual mode, so that the user gets through them.
    let above = folder.parent().map_or(Ok(()), std::fs::create_dir_all);
    if above.and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(folder)).is_err() {
        return;
    }
    if let Some(account) = config.account.as_ref().filter(|_| nix::unistd::geteuid().is_root()) {
        let _ = chown(folder, Some(account.uid()), Some(account.gid()));
    }
}

impl From<Option<&Tls>> for Certificates {
    /// The certificates that a server with these settings uses.
    fn from(tls: Option<&Tls>) -> Self {
        let store = tls.and_then(|tls| tls.store.clone()).unwrap_or_default();
        Self(Arc::new(Shared { store, keeper: Mutex::default() }))
    }
}

impl Install for Store {
    fn certificates(&self, certificates: &[Pem<'_>]) -> Result<(), BoxError> {
        let pairs: Vec<_> = certificates.iter().copied().map(pair).collect();
        Ok(self.0.replace(&pairs)?)
    }

    fn challenges(&self, challenges: &[(&str, Pem<'_>)]) -> Result<(), BoxError> {
        let pairs: Vec<_> = challenges.iter().map(|(host, pem)| (*host, pair(*pem))).collect();
        Ok(self.0.set_challenges(&pairs)?)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const fn pair(pem: Pem<'_>) -> PemPair<'_> {
    PemPair { chain: pem.chain, key: pem.key }
}
