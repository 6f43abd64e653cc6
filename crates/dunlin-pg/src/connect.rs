//! [`Connector`]: opens connections, within the budget and with a backoff.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Config, Pooler};
use crate::config_error::ConfigError;
use crate::error::{Error, one_line};
use crate::query::Access;
use crate::target::Target;
use crate::{cancel, hosts, tls};

/// The first pause after a failure, and the limit of pauses. Each is shortened by up to a half at
/// random, so that many processes do not return at one moment.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The pauses after cancellations. The server forgets a cancellation that comes before the
/// statement has started, and continues with the next statement that it has received. So there are
/// several.
pub(crate) const CANCELLATIONS: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// The limit of concurrent handshakes.
const HANDSHAKES: usize = 4;
/// The time without an answer of a host after which the next one is tried beside it.
const SILENCE: Duration = Duration::from_millis(500);

/// Opens connections to one target, for reads or for writes.
pub(crate) struct Connector {
    target: Target,
    hosts: Vec<tokio_postgres::Config>,
    tls: MakeRustlsConnect,
    /// `true` if there is a pooler that hands out connections by transaction.
    pooled: bool,
    /// The commands at the start of a session. It is empty behind a pooler.
    setup: String,
    timeout: Duration,
    handshakes: Semaphore,
    backoff: Mutex<Backoff>,
}

/// The backoff: no attempts for some time after a failure.
#[derive(Default)]
struct Backoff {
    failures: u32,
    /// The time of the last failure.
    failed: Option<Instant>,
    until: Option<Instant>,
    reason: Option<Arc<str>>,
}

/// A connection, and the task that drives it. The task holds the permit for the connection.
pub(crate) type Opened = (Client, JoinHandle<()>);

/// A connection beside the budget. It is closed when it is dropped.
pub(crate) struct ExtraConnection {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

type RawConnection = Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>;

// === impl Connector ===

impl Connector {
    pub(crate) fn new(url: &str, config: &Config, access: Access) -> Result<Self, ConfigError> {
        let mut target = config.target(url)?;
        let mode = target.effective_ssl();
        target.pg.ssl_mode(mode.negotiated());
        let client = match (&target.ssl_cert, &target.ssl_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
            (Some(_), None) => return Err(ConfigError::new("sslcert needs its private key: set sslkey")),
            (None, Some(_)) => return Err(ConfigError::new("sslkey needs its certificate: set sslcert")),
        };
        let tls = tls::connector(mode, target.ssl_root_cert.as_deref(), client)?;
        let pooled = config.pooler == Pooler::Transaction;
        let setup = if pooled {
            String::new()
        } else {
            format!(
                "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET default_transaction_read_only = {}",
                config.statement_timeout.as_millis(),
                config.idle_transaction_timeout.as_millis(),
                if access == Access::Read { "on" } else { "off" },
            )
        };
        Ok(Self {
            hosts: hosts::of(&target, !pooled),
            target,
            tls,
            pooled,
            setup,
            timeout: config.connect_timeout,
            handshakes: Semaphore::new(HANDSHAKES),
            backoff: Mutex::default(),
        })
    }

    /// The settings at the start of a session, as SQL.
    pub(crate) fn setup(&self) -> &str {
        &self.setup
    }

    /// The destination, without a secret.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// The last failure, while no connection is to be tried.
    pub(crate) fn backing_off(&self) -> Option<Error> {
        let backoff = self.backoff.lock();
        // One failure may be an accident, but two in a row are an outage.
        let is_outage = backoff.failures > 1 && backoff.until.is_some_and(|until| Instant::now() < until);
        is_outage.then(|| Error::Unreachable(backoff.reason.clone().unwrap_or_else(|| "unknown".into())))
    }

    /// The time until the next attempt.
    pub(crate) fn pause(&self) -> Duration {
        let backoff = self.backoff.lock();
        backoff.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The last failure, until a connection succeeds.
    pub(crate) fn last_failure(&self) -> Option<Arc<str>> {
        self.backoff.lock().reason.clone()
    }

    /// Opens a connection that holds `share` of the budget as long as it lives. `queued` is zero
    /// when everything that was sent on it is written.
    pub(crate) async fn open(&self, share: OwnedSemaphorePermit, queued: Arc<AtomicUsize>) -> Result<Opened, Error> {
        if let Some(error) = self.backing_off() {
            return Err(error);
        }
        match tokio::time::timeout(self.timeout, self.connect("")).await {
            Ok(Ok((client, connection))) => Ok((client, drive(connection, Some(share), queued))),
            Ok(Err(error)) => Err(Error::Unreachable(one_line(&error).into())),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Opens a connection beside the budget, whose messages the caller reads. The command `first`
    /// is the first one; a host that refuses it is not used.
    pub(crate) async fn open_raw(&self, first: &str) -> Result<(Client, RawConnection), Error> {
        match tokio::time::timeout(self.timeout, self.connect(first)).await {
            Ok(connected) => connected.map_err(|error| Error::Unreachable(one_line(&error).into())),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Counts an attempt that took too long, like any other failure.
    pub(crate) fn timed_out(&self) -> Error {
        let reason = format!("no connection within {:?}", self.timeout);
        let now = Instant::now();
        self.failed(&reason, now.checked_sub(self.timeout).unwrap_or(now));
        Error::Unreachable(reason.into())
    }

    /// Opens a connection beside the budget.
    pub(crate) async fn open_extra(&self) -> Result<ExtraConnection, Error> {
        let (client, connection) = self.open_raw("").await?;
        Ok(ExtraConnection { client, driver: drive(connection, None, Arc::default()) })
    }

    /// Cancels the statement of a connection. The connection must be used by no other request, now
    /// or later.
    pub(crate) async fn cancel(&self, token: &tokio_postgres::CancelToken) {
        let cancel = async {
            if self.pooled {
                cancel::through_pooler(token, &self.hosts, &self.tls).await;
            } else {
                // If it fails, the statement's own timeout ends it.
                let _ = token.cancel_query(self.tls.clone()).await;
            }
        };
        let _ = tokio::time::timeout(self.timeout, cancel).await;
    }

    pub(crate) async fn connect(&self, first: &str) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let _permit = self.handshakes.acquire().await;
        let started = Instant::now();
        let mut result = self.connect_by_kind(first).await;
        if result.as_ref().is_err_and(was_cut) {
            // The server was there, and ended the session at its start.
            result = self.connect_by_kind(first).await;
        }
        match &result {
            Ok(_) => self.succeeded(),
            Err(error) => self.failed(&one_line(error), started),
        }
        result
    }

    async fn connect_by_kind(&self, first: &str) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let (last, others) =
            hosts::accepted(self.target.server).split_last().unwrap_or((&TargetSessionAttrs::Any, &[]));
        for attrs in others {
            // A host that hangs leaves time for the next kind of server.
            let limit = self.timeout / 2;
            if let Ok(Ok(connected)) = tokio::time::timeout(limit, self.connect_to_any(*attrs, first)).await {
                return Ok(connected);
            }
        }
        self.connect_to_any(*last, first).await
    }

    /// Connects to the first host, in order, that is acceptable. If one does not answer, the next
    /// one is tried beside it.
    async fn connect_to_any(
        &self,
        attrs: TargetSessionAttrs,
        first: &str,
    ) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let mut left = hosts::order(&self.hosts).into_iter();
        let mut tries = FuturesUnordered::new();
        let mut next = true;
        // There is at least one host, so that an attempt is always in flight.
        loop {
            if next && let Some(host) = left.next() {
                tries.push(self.connect_once(host, attrs, first));
            }
            next = true;
            tokio::select! {
                Some(result) = tries.next() => match result {
                    Err(_) if left.len() + tries.len() > 0 => next = left.len() > 0,
                    result => return result,
                },
                () = tokio::time::sleep(SILENCE), if left.len() > 0 => {}
            }
        }
    }

    async fn connect_once(
        &self,
        host: &tokio_postgres::Config,
        attrs: TargetSessionAttrs,
        first: &str,
    ) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let mut host = host.clone();
        let (client, mut connection) = host.target_session_attrs(attrs).connect(self.tls.clone()).await?;
        let setup = [&self.setup, first].into_iter().filter(|sql| !sql.is_empty()).collect::<Vec<_>>().join("; ");
        if !setup.is_empty() {
            // The connection is driven here until it has its settings, so that a failed one needs
            // no task.
            let setup = client.batch_execute(&setup);
            tokio::pin!(setup);
            tokio::select! {
                biased;
                done = &mut setup => done?,
                broken = &mut connection => {
                    broken?;
                    setup.await?;
                }
            }
        }
        Ok((client, connection))
    }

    fn succeeded(&self) {
        *self.backoff.lock() = Backoff::default();
    }

    fn failed(&self, reason: &str, started: Instant) {
        let mut backoff = self.backoff.lock();
        let now = Instant::now();
        // Handshakes that were in flight together are one failure.
        if backoff.failed.is_none_or(|failed| failed <= started) {
            let full = FIRST_PAUSE.saturating_mul(1 << backoff.failures.min(8)).min(MAX_PAUSE);
            backoff.failures += 1;
            backoff.failed = Some(now);
            backoff.until = Some(now + full.mul_f64(0.5 + fastrand::f64() / 2.0));
        }
        if backoff.reason.as_deref() != Some(reason) {
            tracing::warn!(database = %self.target, reason, "cannot connect to the database; retrying");
            backoff.reason = Some(reason.into());
        }
    }
}

impl Drop for ExtraConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn was_cut(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.code() == Some(&tokio_postgres::error::SqlState::ADMIN_SHUTDOWN)
}

/// Drives a connection until it closes, in a task.
pub(crate) fn drive(
    mut connection: RawConnection,
    share: Option<OwnedSemaphorePermit>,
    queued: Arc<AtomicUsize>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let _share = share;
        loop {
            let message = std::future::poll_fn(|cx| {
                let message = connection.poll_message(cx);
                if message.is_pending() {
                    // Everything that was queued has been written at once.
                    queued.store(0, Ordering::Relaxed);
                }
                message
            });
            match message.await {
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    tracing::debug!(severity = notice.severity(), "{}", notice.message());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(error = one_line(&error), "a connection to the database broke");
                    break;
                }
                None => break,
            }
        }
    })
}
