//! The connection, on a thread of its own: whatever runtime asks, and however slow the server is,
//! nobody waits for more than one answer, and no more than so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use dunlin_cache::store::{Loaded, Saved};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::event;
use crate::pending::{Batch, Pending};
use crate::script;
use crate::stats::Counters;

/// Answers that are late in a row, before the connection is given up.
const MOST_LATE: u32 = 3;
/// Variants kept for one key.
const MOST_VARIANTS: usize = 32;

/// What is asked of the server. The permit is given back when it is done.
pub(crate) enum Command {
    LookUp { key: String, reply: oneshot::Sender<Loaded>, permit: OwnedSemaphorePermit },
    Keep { key: String, saved: Saved, permit: OwnedSemaphorePermit },
}

/// What the thread and its users share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) pending: Pending,
    /// Whether there is a connection that answers.
    pub(crate) up: AtomicBool,
    /// Whether invalidations of others are heard.
    pub(crate) listening: AtomicBool,
    pub(crate) counters: Counters,
}

/// How long to wait before the next attempt: longer each time, and never the same for all
/// instances.
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

/// Serves commands until nobody can send one any more.
pub(crate) async fn run(
    client: redis::Client,
    config: Config,
    instance: String,
    shared: Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let mut backoff = Backoff::new(config.max_backoff);
    loop {
        match connect(&client, &config).await {
            Ok(connection) => {
                backoff.reset();
                let connection = Connection {
                    connection,
                    config: config.clone(),
                    shared: Arc::clone(&shared),
                    late: Arc::default(),
                    lost: Arc::default(),
                };
                shared.up.store(true, SeqCst);
                let teller = tokio::spawn(tell(connection.clone(), instance.clone()));
                let over = connection.serve(&mut commands).await;
                shared.up.store(false, SeqCst);
                teller.abort();
                if over {
                    return;
                }
                tracing::warn!("the connection to the shared cache is lost");
            }
            Err(error) => tracing::debug!(%error, "cannot connect to the shared cache"),
        }
        // What was asked before it was known that nobody answers.
        while commands.try_recv().is_ok() {}
        backoff.wait().await;
        if commands.is_closed() {
            return;
        }
    }
}

async fn connect(client: &redis::Client, config: &Config) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(config.timeout));
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    let info: String = match redis::cmd("INFO").arg("server").query_async(&mut connection).await {
        Ok(info) => info,
        Err(error) if error.is_io_error() => return Err(error),
        // It may not be allowed. Then a server that restarted with its memory is not told from one
        // that did not.
        Err(_) => String::new(),
    };
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    let mut adopt = redis::cmd("EVAL");
    adopt.arg(script::ADOPT).arg(0).arg(&config.prefix).arg(run);
    adopt.exec_async(&mut connection).await?;
    Ok(connection)
}

/// Tells the server of invalidations, one batch after the other.
async fn tell(mut connection: Connection, instance: String) {
    let shared = Arc::clone(&connection.shared);
    loop {
        let (batch, count) = shared.pending.next().await;
        let mut batch = Untold { batch: Some(batch), pending: &shared.pending };
        let Some(told) = &batch.batch else { return };
        if connection.invalidate(&instance, told).await.is_err() {
            return;
        }
        batch.batch = None;
        shared.pending.told(count);
    }
}

/// A batch that is put back, whatever ends the attempt to tell it.
struct Untold<'a> {
    batch: Option<Batch>,
    pending: &'a Pending,
}

/// A connection that answers.
#[derive(Clone)]
struct Connection {
    connection: MultiplexedConnection,
    config: Config,
    shared: Arc<Shared>,
    late: Arc<AtomicU32>,
    lost: Arc<Notify>,
}

// === impl Connection ===

impl Connection {
    /// Serves until the connection is lost, or nobody can ask any more, which it tells.
    async fn serve(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> bool {
        let mut heartbeat = tokio::time::interval(self.config.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => return true,
                    Some(command) => {
                        tokio::spawn(self.clone().answer(command));
                    }
                },
                () = self.lost.notified() => return false,
                _ = heartbeat.tick() => {
                    tokio::spawn(self.clone().ping());
                }
            }
        }
    }

    async fn answer(mut self, command: Command) {
        match command {
            Command::LookUp { key, reply, permit } => {
                let loaded = self.look_up(&key).await;
                drop(permit);
                // An error is told by the reply's absence.
                if let Ok(loaded) = loaded {
                    let _ = reply.send(loaded);
                }
            }
            Command::Keep { key, saved, permit } => {
                let _ = self.keep(&key, &saved).await;
                drop(permit);
            }
        }
    }

    /// Finds out whether the server still answers when nobody asks.
    async fn ping(mut self) {
        let answer: RedisResult<redis::Value> = redis::cmd("PING").query_async(&mut self.connection).await;
        let _ = self.judged(answer);
    }

    async fn look_up(&mut self, key: &str) -> RedisResult<Loaded> {
        let head = format!("{}h:{key}", self.config.prefix);
        let bodies = format!("{}b:{key}", self.config.prefix);
        let mut both = redis::pipe();
        both.atomic().cmd("EVAL").arg(script::LOOK_UP).arg(1).arg(head).arg(&self.config.prefix);
        both.cmd("HGETALL").arg(bodies);
        type Reply = ((String, Vec<String>), Vec<(String, Vec<u8>)>);
        let answer: RedisResult<Reply> = both.query_async(&mut self.connection).await;
        let ((stands, good), bodies) = self.judged(answer)?;
        let variants = bodies.into_iter().filter(|(variant, _)| good.contains(variant));
        let variants = variants.map(|(_, body)| Bytes::from(body)).collect();
        Ok(Loaded { stands: stands.parse().unwrap_or(0), variants })
    }

    async fn keep(&mut self, key: &str, saved: &Saved) -> RedisResult<()> {
        let prefix = &self.config.prefix;
        let ttl = saved.ttl.min(self.config.max_ttl).as_millis().max(1) as u64;
        let mut command = redis::cmd("EVAL");
        command.arg(script::KEEP).arg(2).arg(format!("{prefix}h:{key}")).arg(format!("{prefix}b:{key}"));
        command.arg(prefix).arg(&saved.variant).arg(saved.stood).arg(ttl).arg(&saved.entry[..]).arg(MOST_VARIANTS);
        for group in &saved.groups {
            command.arg(group);
        }
        let answer: RedisResult<u64> = command.query_async(&mut self.connection).await;
        let kept = self.judged(answer)?;
        let counters = &self.shared.counters;
        let counter = if kept == 1 { &counters.kept } else { &counters.overtaken };
        counter.add();
        Ok(())
    }

    async fn invalidate(&mut self, instance: &str, batch: &Batch) -> RedisResult<()> {
        let channel = format!("{}invalidations", self.config.prefix);
        let mut command = redis::cmd("EVAL");
        command.arg(if batch.all { script::FLUSH } else { script::INVALIDATE });
        command.arg(0).arg(&self.config.prefix).arg(channel).arg(event::write(instance, batch));
        if !batch.all {
            command.arg(batch.groups.len());
            for name in batch.groups.iter().chain(&batch.keys) {
                command.arg(name);
            }
        }
        let answer: RedisResult<String> = command.query_async(&mut self.connection).await;
        self.judged(answer).map(|_| ())
    }

    /// Counts what failed, and gives the connection up when it is broken, or late too often.
    fn judged<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        match &answer {
            Ok(_) => self.late.store(0, SeqCst),
            Err(error) => {
                self.shared.counters.failures.add();
                let late = error.is_timeout() && self.late.fetch_add(1, SeqCst) + 1 >= MOST_LATE;
                if late || (!error.is_timeout() && (error.is_io_error() || error.is_unrecoverable_error())) {
                    self.shared.up.store(false, SeqCst);
                    self.lost.notify_one();
                }
                tracing::debug!(%error, "the shared cache fails");
            }
        }
        answer
    }
}

// === impl Untold ===

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.pending.put_back(batch);
        }
    }
}

// === impl Backoff ===

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);

    pub(crate) fn new(most: Duration) -> Self {
        Self { next: Self::FIRST, most }
    }

    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Waits, for half of the time at least.
    pub(crate) async fn wait(&mut self) {
        let wait = self.next.min(self.most);
        self.next = wait.saturating_mul(2);
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
