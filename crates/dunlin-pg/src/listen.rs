//! [`Listener`]: notifications, with the gaps between them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use crate::connect::Connector;
use crate::database::Database;
use crate::error::Error;

/// An event of a [`Listener`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A notification, as `NOTIFY` or `pg_notify` sent it.
    Notice {
        /// The channel.
        channel: String,
        /// The payload.
        payload: String,
    },
    /// The listener listens from now on, and notifications may have been lost before. It comes once
    /// at the start and after each reconnect. Discard everything that was derived from earlier
    /// notifications.
    Gap,
    /// The connection was lost, so no notifications arrive. A [`Event::Gap`] follows when it is
    /// back.
    Lost,
}

/// Receives the notifications of its channels, on a connection beside the budget. It reconnects by
/// itself, with random pauses that grow. A drop closes it.
///
/// It is a [`Stream`] of events, too, which never ends.
#[derive(Debug)]
pub struct Listener {
    events: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

/// The time without a message after which the connection is checked.
const SILENCE: Duration = Duration::from_secs(10);

// === impl Database ===

impl Database {
    /// Listens on channels, on a connection beside the budget. If [`Database::can_listen`] is
    /// `false`, there is never an event, not even [`Event::Gap`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn listen<S: Into<String>>(&self, channels: impl IntoIterator<Item = S>) -> Listener {
        Listener::new(self.0.notices.clone(), channels.into_iter().map(Into::into).collect())
    }
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new(connector: Option<Arc<Connector>>, channels: Vec<String>) -> Self {
        let (sender, events) = mpsc::channel(256);
        let task = tokio::spawn(async move {
            match connector {
                Some(connector) => run(connector, channels, sender).await,
                None => tracing::warn!(
                    "no notifications arrive through a pooler that hands out connections by transaction; set listen_url"
                ),
            }
        });
        Self { events, task }
    }

    /// Waits for the next event. There is always another one.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The task has ended: either with the runtime, or because there is no connection for
            // notifications.
            None => std::future::pending().await,
        }
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.get_mut().events.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            // As in `next`: there is no more, and no end either.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(connector: Arc<Connector>, channels: Vec<String>, events: mpsc::Sender<Event>) {
    let mut pause = Duration::from_millis(50);
    loop {
        let mut connected = false;
        if let Err(error) = listen(&connector, &channels, &events, &mut connected).await {
            tracing::debug!(%error, "the connection for notifications failed; reconnecting");
        }
        if events.is_closed() {
            return;
        }
        if connected {
            pause = Duration::from_millis(50);
            let _ = events.send(Event::Lost).await;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Listens until the connection is lost.
async fn listen(
    connector: &Connector,
    channels: &[String],
    events: &mpsc::Sender<Event>,
    connected: &mut bool,
) -> Result<(), Error> {
    let names: Vec<_> = channels.iter().map(|name| format!("LISTEN \"{}\"", name.replace('"', "\"\""))).collect();
    let names = names.join("; ");
    // A standby refuses LISTEN, so that the primary is chosen among several hosts.
    let (client, mut connection) = connector.open_raw(&names).await?;
    *connected = true;
    // Notifications of later commits arrive, so the gap ends here.
    let _ = events.send(Event::Gap).await;
    let mut probe: Option<Pin<Box<dyn Future<Output = _> + Send>>> = None;
    loop {
        tokio::select! {
            biased;
            message = std::future::poll_fn(|cx| connection.poll_message(cx)) => match message {
                Some(Ok(AsyncMessage::Notification(notice))) => {
                    probe = None;
                    let event = Event::Notice { channel: notice.channel().into(), payload: notice.payload().into() };
                    if events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            // A check finds a connection that broke without a message. A repeated LISTEN changes
            // nothing, and shows the purpose of the connection in `pg_stat_activity`.
            () = tokio::time::sleep(SILENCE), if probe.is_none() => {
                let ask = tokio::time::timeout(SILENCE, client.batch_execute(&names));
                probe = Some(Box::pin(ask));
            }
            alive = async { match &mut probe { Some(probe) => probe.await, None => std::future::pending().await } } => {
                probe = None;
                match alive {
                    Ok(answer) => answer?,
                    Err(_) => return Err(Error::Unreachable("the connection for notifications does not answer".into())),
                }
            }
        }
    }
}
