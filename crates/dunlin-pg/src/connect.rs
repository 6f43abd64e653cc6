//! [`Connector`]: opens connections, within the budget, and not in a storm.

use std::future::Future;
use std::pin::Pin;
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

use crate::config::{Config, ConfigError, Pooler};
use crate::error::{Error, one_line};
use crate::query::Access;
use crate::target::Target;
use crate::{cancel, hosts, tls};

/// After the first failure, and at most; each is drawn from the upper half, so that many do not
/// come back at one moment.
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_CAP: Duration = Duration::from_secs(1);
/// The pauses after cancellations. The server forgets one that comes before the statement has
/// begun, and goes on to the next statement that it has already received, so it is asked more than
/// once.
pub(crate) const CANCELLATIONS: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// How many handshakes are under way at once.
const HANDSHAKES: usize = 4;
/// How long a host may say nothing until the next one is tried beside it.
const SILENCE: Duration = Duration::from_millis(500);

/// Opens connections to one target, as readers or as writers.
pub(crate) struct Connector {
    target: Target,
    hosts: Vec<tokio_postgres::Config>,
    tls: MakeRustlsConnect,
    /// A pooler that hands out connections by transaction stands between.
    pooled: bool,
    /// What a new session is told first; empty for a pooler's.
    setup: String,
    timeout: Duration,
    handshakes: Semaphore,
    gate: Mutex<Gate>,
}

/// Shut for a while after a failure.
#[derive(Default)]
struct Gate {
    failures: u32,
    /// When the last one was.
    failed: Option<Instant>,
    until: Option<Instant>,
    reason: Option<Arc<str>>,
}

/// A connection, and the task that drives it. The task holds the connection's share of the budget.
pub(crate) type Opened = (Client, JoinHandle<()>);

/// A connection for one purpose.
pub(crate) struct Alone {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

type RawConnection = Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>;

// === impl Connector ===

impl Connector {
    pub(crate) fn new(url: &str, config: &Config, access: Access) -> Result<Self, ConfigError> {
        let mut target = Target::resolve(url, config)?;
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
            gate: Mutex::default(),
        })
    }

    /// The settings that a session begins with, as SQL.
    pub(crate) fn setup(&self) -> &str {
        &self.setup
    }

    /// Where it goes, without a secret.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Why no connection is to be tried now, if so: the last failure, until its pause is over.
    pub(crate) fn refused(&self) -> Option<Error> {
        let gate = self.gate.lock();
        // One failure may be an accident; two in a row are an outage.
        let shut = gate.failures > 1 && gate.until.is_some_and(|until| Instant::now() < until);
        shut.then(|| Error::Unreachable(gate.reason.clone().unwrap_or_else(|| "unknown".into())))
    }

    /// How long until the next try is due.
    pub(crate) fn pause(&self) -> Duration {
        let gate = self.gate.lock();
        gate.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The last failure, until a connection succeeds.
    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        self.gate.lock().reason.clone()
    }

    /// A connection that holds `share` of the budget as long as it lives. `queued` is zero whenever
    /// all that was asked of it is written.
    pub(crate) async fn open(&self, share: OwnedSemaphorePermit, queued: Arc<AtomicUsize>) -> Result<Opened, Error> {
        if let Some(error) = self.refused() {
            return Err(error);
        }
        match tokio::time::timeout(self.timeout, self.connect("")).await {
            Ok(Ok((client, connection))) => Ok((client, drive(connection, Some(share), queued))),
            Ok(Err(error)) => Err(Error::Unreachable(one_line(&error).into())),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// A connection beside the budget, whose messages the caller reads. It was told `first` before
    /// anything else; a host that refuses that will not do.
    pub(crate) async fn open_raw(&self, first: &str) -> Result<(Client, RawConnection), Error> {
        match tokio::time::timeout(self.timeout, self.connect(first)).await {
            Ok(connected) => connected.map_err(|error| Error::Unreachable(one_line(&error).into())),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// No connection came within the time for it: that is a failure like others.
    pub(crate) fn timed_out(&self) -> Error {
        let reason = format!("no connection within {:?}", self.timeout);
        let now = Instant::now();
        self.failed(&reason, now.checked_sub(self.timeout).unwrap_or(now));
        Error::Unreachable(reason.into())
    }

    /// A connection beside the budget, which is closed when it is dropped.
    pub(crate) async fn open_alone(&self) -> Result<Alone, Error> {
        let (client, connection) = self.open_raw("").await?;
        Ok(Alone { client, driver: drive(connection, None, Arc::default()) })
    }

    /// Cancels what a connection is doing. It must be nobody else's, and not be used again.
    pub(crate) async fn cancel(&self, token: &tokio_postgres::CancelToken) {
        let cancel = async {
            if self.pooled {
                cancel::through_pooler(token, &self.hosts, &self.tls).await;
            } else {
                // One that fails has nobody to tell: the statement's own timeout ends it.
                let _ = token.cancel_query(self.tls.clone()).await;
            }
        };
        let _ = tokio::time::timeout(self.timeout, cancel).await;
    }

    async fn connect(&self, first: &str) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let _turn = self.handshakes.acquire().await;
        let begun = Instant::now();
        let mut result = self.connect_by_wish(first).await;
        if result.as_ref().is_err_and(was_cut) {
            // The server was there, and somebody ended the session as it began.
            result = self.connect_by_wish(first).await;
        }
        match &result {
            Ok(_) => self.succeeded(),
            Err(error) => self.failed(&one_line(error), begun),
        }
        result
    }

    async fn connect_by_wish(&self, first: &str) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let (last, others) = hosts::wishes(self.target.session).split_last().unwrap_or((&TargetSessionAttrs::Any, &[]));
        for wish in others {
            // A host that hangs leaves time for the next wish.
            let limit = self.timeout / 2;
            if let Ok(Ok(connected)) = tokio::time::timeout(limit, self.connect_to_any(*wish, first)).await {
                return Ok(connected);
            }
        }
        self.connect_to_any(*last, first).await
    }

    /// The first of the hosts, in order, that will do. One that says nothing has the next one tried
    /// beside it.
    async fn connect_to_any(
        &self,
        wish: TargetSessionAttrs,
        first: &str,
    ) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let mut left = hosts::order(&self.hosts).into_iter();
        let mut tries = FuturesUnordered::new();
        let mut next = true;
        // A target has a host, so one try is always under way.
        loop {
            if next && let Some(host) = left.next() {
                tries.push(self.connect_once(host, wish, first));
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
        wish: TargetSessionAttrs,
        first: &str,
    ) -> Result<(Client, RawConnection), tokio_postgres::Error> {
        let mut host = host.clone();
        let (client, mut connection) = host.target_session_attrs(wish).connect(self.tls.clone()).await?;
        let setup = [&self.setup, first].into_iter().filter(|sql| !sql.is_empty()).collect::<Vec<_>>().join("; ");
        if !setup.is_empty() {
            // The connection is driven by hand until it has its settings: no task for one that
            // fails.
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
        *self.gate.lock() = Gate::default();
    }

    fn failed(&self, reason: &str, begun: Instant) {
        let mut gate = self.gate.lock();
        let now = Instant::now();
        // Handshakes that were under way together are one failure.
        if gate.failed.is_none_or(|failed| failed <= begun) {
            let full = BACKOFF.saturating_mul(1 << gate.failures.min(8)).min(BACKOFF_CAP);
            gate.failures += 1;
            gate.failed = Some(now);
            gate.until = Some(now + full.mul_f64(0.5 + fastrand::f64() / 2.0));
        }
        if gate.reason.as_deref() != Some(reason) {
            tracing::warn!(database = %self.target, reason, "the database cannot be reached");
            gate.reason = Some(reason.into());
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn was_cut(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.code() == Some(&tokio_postgres::error::SqlState::ADMIN_SHUTDOWN)
}

/// How deadpool opens a connection: what bounds the waits stands around it.
pub(crate) struct ForDeadpool {
    pub(crate) connector: Arc<Connector>,
    pub(crate) room: Arc<Room>,
}

/// The connections that are not shared, over all pools of the process.
pub(crate) struct Room {
    /// A permit for each that is open.
    pub(crate) open: Arc<Semaphore>,
    /// For each pool how to close what lies idle in it, so that another may have the room.
    pub(crate) evictions: Mutex<Vec<Evict>>,
}

/// Closes one idle connection of a pool, if that is wanted: whether it did, `None` when the pool is
/// gone.
pub(crate) type Evict = Box<dyn Fn(bool) -> Option<bool> + Send + Sync>;

impl Room {
    /// A share of the budget. Who asks has been let in as one of those at work, so when all are
    /// open one lies idle.
    async fn share(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(share) = self.open.clone().try_acquire_owned() {
            return Some(share);
        }
        self.evict();
        self.open.clone().acquire_owned().await.ok()
    }

    /// Adds a pool's, and forgets those of pools that are gone.
    pub(crate) fn add(&self, evict: Evict) {
        let mut evictions = self.evictions.lock();
        evictions.retain(|evict| evict(false).is_some());
        evictions.push(evict);
    }

    fn evict(&self) {
        let mut done = false;
        let mut evictions = self.evictions.lock();
        evictions.retain(|evict| {
            let closed = evict(!done);
            done |= closed == Some(true);
            closed.is_some()
        });
    }
}

impl deadpool_postgres::Connect for ForDeadpool {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Result<Opened, tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async move {
            let share = self.room.share().await;
            let (client, connection) = self.connector.connect("").await?;
            Ok((client, drive(connection, share, Arc::default())))
        })
    }
}

fn drive(
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
                    // Whatever was queued has been written, in one piece.
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
                    tracing::debug!(error = one_line(&error), "a connection to the database ended");
                    break;
                }
                None => break,
            }
        }
    })
}
