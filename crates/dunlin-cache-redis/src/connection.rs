//! The connection that commands go through.
//!
//! It lives on a thread of its own. A request that uses it waits for one answer at most, and never
//! longer than the timeout of a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use bytes::Bytes;
use dunlin_cache::store::{Loaded, Saved};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::config::Config;
use crate::message;
use crate::pending::Pending;
use crate::script;
use crate::shared::Shared;

/// Timeouts in a row that end the connection.
const MAX_TIMEOUTS: u32 = 3;
/// The limit of variants of one key.
const MAX_VARIANTS: usize = 32;

/// A command to the server. It holds its permit until it is done.
pub(crate) enum Command {
    LookUp { key: String, reply: oneshot::Sender<Loaded>, permit: OwnedSemaphorePermit },
    Keep { key: String, saved: Saved, permit: OwnedSemaphorePermit },
}

/// The task that keeps a connection and sends commands through it.
pub(crate) struct Connector {
    pub(crate) client: redis::Client,
    pub(crate) config: Config,
    /// The id of this instance.
    pub(crate) instance: String,
    pub(crate) shared: Arc<Shared>,
}

/// The reason why a connection serves no more commands.
enum Exit {
    /// The connection is lost.
    Lost,
    /// Every handle of the store is gone.
    Closed,
}

/// A connection that answers.
#[derive(Clone)]
struct Connection {
    connection: MultiplexedConnection,
    config: Config,
    shared: Arc<Shared>,
    /// Timeouts in a row.
    timeouts: Arc<AtomicU32>,
    lost: Arc<Notify>,
}

/// A batch that goes back to the pending ones unless it was sent.
struct UnsentBatch<'a> {
    batch: Option<Batch>,
    pending: &'a Pending,
}

// === impl Connector ===

impl Connector {
    /// Serves commands until every sender is gone.
    pub(crate) async fn run(self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut backoff = Backoff::new(self.config.max_backoff);
        loop {
            match self.connect().await {
                Ok(connection) => {
                    backoff.reset();
                    let connection = Connection {
                        connection,
                        config: self.config.clone(),
                        shared: Arc::clone(&self.shared),
                        timeouts: Arc::default(),
                        lost: Arc::default(),
                    };
                    self.shared.connected.store(true, SeqCst);
                    let publisher = tokio::spawn(publish(connection.clone(), self.instance.clone()));
                    let exit = connection.serve(&mut commands).await;
                    self.shared.connected.store(false, SeqCst);
                    publisher.abort();
                    if matches!(exit, Exit::Closed) {
                        return;
                    }
                    tracing::warn!("shared cache: lost the connection; using the memory alone until it is back");
                }
                Err(error) => tracing::debug!(%error, "shared cache: cannot connect; retrying"),
            }
            // Commands that were sent before the loss was known are misses now.
            while commands.try_recv().is_ok() {}
            backoff.wait().await;
            if commands.is_closed() {
                return;
            }
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.timeout));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        let info: String = match redis::cmd("INFO").arg("server").query_async(&mut connection).await {
            Ok(info) => info,
            Err(error) if error.is_io_error() => return Err(error),
            // An access list may forbid INFO. Then a restart with persisted data goes unnoticed.
            Err(_) => String::new(),
        };
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        let mut adopt = redis::cmd("EVAL");
        adopt.arg(script::ADOPT).arg(0).arg(&self.config.prefix).arg(run_id);
        adopt.exec_async(&mut connection).await?;
        Ok(connection)
    }
}

/// Sends pending invalidations, one batch at a time, until one fails.
async fn publish(mut connection: Connection, instance: String) {
    let shared = Arc::clone(&connection.shared);
    loop {
        let (batch, count) = shared.pending.next().await;
        let mut unsent = UnsentBatch { batch: Some(batch), pending: &shared.pending };
        let Some(batch) = &unsent.batch else { return };
        if connection.invalidate(&instance, batch).await.is_err() {
            return;
        }
        unsent.batch = None;
        shared.pending.confirm(count);
    }
}

// === impl Connection ===

impl Connection {
    async fn serve(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Exit {
        let mut heartbeat = tokio::time::interval(self.config.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => return Exit::Closed,
                    Some(command) => {
                        tokio::spawn(self.clone().execute(command));
                    }
                },
                () = self.lost.notified() => return Exit::Lost,
                _ = heartbeat.tick() => {
                    tokio::spawn(self.clone().ping());
                }
            }
        }
    }

    async fn execute(mut self, command: Command) {
        match command {
            Command::LookUp { key, reply, permit } => {
                let loaded = self.look_up(&key).await;
                drop(permit);
                // After an error the sender is dropped, which the receiver notices.
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

    /// Checks that the server answers while there are no commands.
    async fn ping(mut self) {
        let answer: RedisResult<redis::Value> = redis::cmd("PING").query_async(&mut self.connection).await;
        let _ = self.check(answer);
    }

    async fn look_up(&mut self, key: &str) -> RedisResult<Loaded> {
        let head = format!("{}h:{key}", self.config.prefix);
        let bodies = format!("{}b:{key}", self.config.prefix);
        let mut both = redis::pipe();
        both.atomic().cmd("EVAL").arg(script::LOOK_UP).arg(1).arg(head).arg(&self.config.prefix);
        both.cmd("HGETALL").arg(bodies);
        type Reply = ((String, Vec<String>), Vec<(String, Vec<u8>)>);
        let answer: RedisResult<Reply> = both.query_async(&mut self.connection).await;
        let ((generation, valid), bodies) = self.check(answer)?;
        let variants = bodies.into_iter().filter(|(variant, _)| valid.contains(variant));
        let variants = variants.map(|(_, body)| Bytes::from(body)).collect();
        Ok(Loaded { generation: generation.parse().unwrap_or(0), variants })
    }

    async fn keep(&mut self, key: &str, saved: &Saved) -> RedisResult<()> {
        let prefix = &self.config.prefix;
        let ttl = saved.ttl.min(self.config.max_ttl).as_millis().max(1) as u64;
        let mut command = redis::cmd("EVAL");
        command.arg(script::KEEP).arg(2).arg(format!("{prefix}h:{key}")).arg(format!("{prefix}b:{key}"));
        command.arg(prefix).arg(&saved.variant).arg(saved.generation).arg(ttl).arg(&saved.entry[..]).arg(MAX_VARIANTS);
        for group in &saved.groups {
            command.arg(group);
        }
        let answer: RedisResult<u64> = command.query_async(&mut self.connection).await;
        let kept = self.check(answer)? == 1;
        let counters = &self.shared.counters;
        if kept { &counters.kept } else { &counters.overtaken }.increment();
        Ok(())
    }

    async fn invalidate(&mut self, instance: &str, batch: &Batch) -> RedisResult<()> {
        let channel = format!("{}invalidations", self.config.prefix);
        let mut command = redis::cmd("EVAL");
        command.arg(if batch.all { script::FLUSH } else { script::INVALIDATE });
        command.arg(0).arg(&self.config.prefix).arg(channel).arg(message::encode(instance, batch));
        if !batch.all {
            command.arg(batch.groups.len()).arg(batch.prefixes.len());
            for name in batch.names() {
                command.arg(name);
            }
        }
        let answer: RedisResult<String> = command.query_async(&mut self.connection).await;
        self.check(answer).map(|_| ())
    }

    /// Counts a failure, and gives the connection up if it is broken or has timed out too often.
    fn check<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        match &answer {
            Ok(_) => self.timeouts.store(0, SeqCst),
            Err(error) => {
                self.shared.counters.failures.increment();
                let broken = if error.is_timeout() {
                    self.timeouts.fetch_add(1, SeqCst) + 1 >= MAX_TIMEOUTS
                } else {
                    error.is_io_error() || error.is_unrecoverable_error()
                };
                if broken {
                    self.shared.connected.store(false, SeqCst);
                    self.lost.notify_one();
                }
                tracing::debug!(%error, "shared cache: a command failed; treating it as a miss");
            }
        }
        answer
    }
}

// === impl UnsentBatch ===

impl Drop for UnsentBatch<'_> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.pending.put_back(batch);
        }
    }
}
