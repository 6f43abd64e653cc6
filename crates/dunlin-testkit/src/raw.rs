//! An HTTP/1.1 client that sends exactly the given bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::PATIENCE;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// One response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content, without its transfer coding.
    pub body: Vec<u8>,
}

/// Connects, sends a GET request, reads the response, and closes.
///
/// # Panics
/// Panics if there is no response.
#[must_use]
#[track_caller]
pub fn get(addr: SocketAddr, target: &str) -> Response {
    request(addr, "GET", target, &[], b"")
}

/// Connects, sends a request, reads the response, and closes. `headers` come in addition to `Host`,
/// `Connection` and `Content-Length`.
///
/// # Panics
/// Panics if there is no response.
#[must_use]
#[track_caller]
pub fn request(addr: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut connection = Connection::open(addr);
    connection.send_request(method, target, &[headers, &[("Connection", "close")]].concat(), body);
    connection.read(method).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

// === impl Connection ===

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Panics if no server listens.
    #[must_use]
    #[track_caller]
    pub fn open(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).unwrap_or_else(|error| panic!("connect to {addr}: {error}"));
        socket.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
        socket.set_nodelay(true).expect("set TCP_NODELAY");
        Self { socket, buffer: Vec::new() }
    }

    /// The socket itself.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends these bytes as they are. Ignores an error if the peer has closed already: a later read
    /// reports it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref());
    }

    /// Sends a request with `Host`. It has `Content-Length` if there is a body, or if the method
    /// defines one.
    pub fn send_request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    /// Closes the sending side of the connection.
    pub fn finish(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Reads the final response to a request with `method`. Skips interim responses (1xx except
    /// 101).
    ///
    /// # Errors
    /// Fails if the peer closes before the response is complete, if it is malformed, or if a read
    /// takes longer than [`PATIENCE`].
    pub fn read(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            if method != "HEAD" && !matches!(response.status, 101 | 204 | 304) {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Reads the header of a response, which may be an interim one.
    ///
    /// # Errors
    /// Fails like [`Connection::read`].
    pub fn read_head(&mut self) -> io::Result<Response> {
        let end = self.fill_until(|buffer| find(buffer, b"\r\n\r\n"))?;
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {head:?}")))?;
        let fields = lines.filter_map(|line| line.split_once(':'));
        let headers = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Response { status, headers, body: Vec::new() })
    }

    fn read_body(&mut self, head: &Response) -> io::Result<Vec<u8>> {
        if head.header("transfer-encoding").is_some_and(|codings| codings.ends_with("chunked")) {
            let mut body = Vec::new();
            while let Some(chunk) = self.read_chunk()? {
                body.extend(chunk);
            }
            return Ok(body);
        }
        match head.header("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) => self.read_exact(length),
            Some(Err(_)) => Err(io::Error::other("a malformed Content-Length")),
            None => {
                self.socket.read_to_end(&mut self.buffer)?;
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// Reads the next chunk of a chunked body. Returns `None` after the last one and its trailers.
    ///
    /// # Errors
    /// Fails like [`Connection::read`].
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.read_line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16);
        let size = size.map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
        if size == 0 {
            while !self.read_line()?.is_empty() {}
            return Ok(None);
        }
        let mut chunk = self.read_exact(size + 2)?;
        chunk.truncate(size);
        Ok(Some(chunk))
    }

    fn read_line(&mut self) -> io::Result<String> {
        let end = self.fill_until(|buffer| find(buffer, b"\r\n"))?;
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// Reads `length` bytes.
    ///
    /// # Errors
    /// Fails like [`Connection::read`].
    pub fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.fill_until(|buffer| (buffer.len() >= length).then_some(()))?;
        Ok(self.buffer.drain(..length).collect())
    }

    /// Waits for the peer. Returns `true` if it has closed or reset the connection, `false` if
    /// bytes arrive.
    ///
    /// # Panics
    /// Panics if neither happens within [`PATIENCE`].
    #[must_use]
    pub fn closed(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => {
                self.buffer.push(byte[0]);
                false
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the connection stayed open and silent")
            }
            Err(_) => true,
        }
    }

    fn fill_until<T>(&mut self, done: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(out) = done(&self.buffer) {
                return Ok(out);
            }
            match self.socket.read(&mut chunk)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed")),
                n => self.buffer.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

// === impl Response ===

impl Response {
    /// The value of the first field with this name. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
