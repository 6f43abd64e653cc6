//! [`Origin`]: a scripted HTTP server.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server that responds to each request with bytes from a script, and counts.
///
/// A connection is kept alive until a response has `Connection: close`. If the script returns no
/// bytes, the connection is closed.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// A request that an origin received.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target, unchanged.
    pub target: String,
    /// The fields in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content, without its transfer coding.
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicUsize,
    connections: AtomicUsize,
    stopped: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

// === impl Origin ===

impl Origin {
    /// Starts a server on a free port. `script` returns the whole response, header and body, for
    /// each request.
    ///
    /// # Panics
    /// Panics if no port is free.
    pub fn start(script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", 0)).expect("bind a free port"), script)
    }

    /// Starts a server on the address of an earlier one.
    ///
    /// # Panics
    /// Panics if the address does not become free.
    pub fn start_at(addr: SocketAddr, script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let mut listener = None;
        crate::eventually("the address is free", || {
            listener = TcpListener::bind(addr).ok();
            listener.is_some()
        });
        Self::serve(listener.expect("bind the address"), script)
    }

    fn serve(listener: TcpListener, script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let addr = listener.local_addr().expect("local address");
        let shared = Arc::new(Shared::default());
        let (script, accepted) = (Arc::new(script), Arc::clone(&shared));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if accepted.stopped.load(Ordering::Acquire) {
                    return;
                }
                accepted.connections.fetch_add(1, Ordering::Relaxed);
                accepted.open.lock().expect("lock").extend(socket.try_clone());
                let (script, shared) = (Arc::clone(&script), Arc::clone(&accepted));
                thread::spawn(move || serve(&socket, &*script, &shared));
            }
        });
        Self { addr, shared }
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The number of requests so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// The number of accepted connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
        for socket in self.shared.open.lock().expect("lock").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn serve(socket: &TcpStream, script: &dyn Fn(&Request) -> Vec<u8>, shared: &Shared) {
    let mut reader = BufReader::new(socket);
    let mut writer = socket;
    while let Some(request) = read_request(&mut reader) {
        shared.requests.fetch_add(1, Ordering::AcqRel);
        let response = script(&request);
        let head = String::from_utf8_lossy(&response[..response.len().min(4096)]).to_ascii_lowercase();
        if response.is_empty() || writer.write_all(&response).is_err() || head.contains("connection: close") {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut request = Request::default();
    let mut words = line(reader)?.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
    (request.method, request.target) = (words.next()?, words.next()?);
    loop {
        let field = line(reader)?;
        let Some((name, value)) = field.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(line(reader)?.trim(), 16).ok()?;
            let at = request.body.len();
            request.body.resize(at + size, 0);
            reader.read_exact(&mut request.body[at..]).ok()?;
            line(reader)?;
            if size == 0 {
                return Some(request);
            }
        }
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

// === impl Request ===

impl Request {
    /// The value of the first field with this name. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
