//! [`Meddler`]: a proxy in front of pebble that changes some of its responses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use dunlin_testkit::Pebble;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// A proxy in front of pebble, whose thread ends with the process.
pub(crate) struct Meddler {
    port: u16,
    pub(crate) certificate: String,
}

/// A response, or the end of the connection without one.
pub(crate) type Meddled = Option<Response>;

#[derive(Debug)]
pub(crate) struct Request {
    /// The method, the target and the version.
    pub(crate) line: String,
    fields: String,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: String,
    /// Each with its end of line, without those about the length.
    pub(crate) fields: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

// === impl Meddler ===

impl Meddler {
    /// Starts it. `meddle` gets each request, and a function for pebble's response.
    pub(crate) fn start(
        pebble: &Pebble,
        meddle: impl Fn(&Request, u16, &dyn Fn() -> Response) -> Meddled + Send + Sync + 'static,
    ) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let server = Arc::new(builder.with_single_cert(vec![own.cert.der().clone()], key).unwrap());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)));
        let client = Arc::new(builder.with_no_client_auth());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = pebble.directory();
        let upstream = upstream.trim_start_matches("https://").trim_end_matches("/dir").to_owned();
        let meddle = Arc::new(meddle);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (server, client, upstream, meddle) =
                    (server.clone(), client.clone(), upstream.clone(), meddle.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), socket);
                    let Some(request) = Request::read(&mut stream) else { return };
                    let forward = || request.forward(&upstream, client.clone());
                    if let Some(response) = meddle(&request, port, &forward) {
                        response.write(&mut stream);
                    }
                });
            }
        });
        Self { port, certificate: own.cert.pem() }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }
}

// === impl Request ===

impl Request {
    fn read(stream: &mut impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let (mut line, mut fields, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok()?;
            if field.trim().is_empty() {
                break;
            }
            let (name, value) = field.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            fields += &field;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { line: line.trim().to_owned(), fields, body })
    }

    /// Pebble's response. HTTP/1.0 has no chunks.
    fn forward(&self, upstream: &str, client: Arc<ClientConfig>) -> Response {
        let name = ServerName::try_from("localhost").unwrap();
        let port = upstream.rsplit(':').next().unwrap();
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(client, name).unwrap(), socket);
        write!(stream, "{}\r\n{}\r\n", self.line.replace("HTTP/1.1", "HTTP/1.0"), self.fields).unwrap();
        stream.write_all(&self.body).unwrap();
        let mut bytes = Vec::new();
        // A server that closes without close_notify has sent everything that its length says.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (line, fields) = head.split_once("\r\n").unwrap();
        let is_kept = |field: &&str| !field.to_ascii_lowercase().starts_with("content-length");
        let fields = fields.split("\r\n").filter(is_kept).map(|field| format!("{field}\r\n")).collect();
        let status = line.split_once(' ').unwrap().1.to_owned();
        Response { status, fields, body: bytes[end + 4..].to_vec() }
    }
}

// === impl Response ===

impl Response {
    pub(crate) fn json(status: &str, fields: &str, body: &serde_json::Value) -> Self {
        let fields = format!("Content-Type: application/problem+json\r\n{fields}");
        Self { status: status.to_owned(), fields, body: body.to_string().into_bytes() }
    }

    fn write(&self, stream: &mut impl Write) {
        let Self { status, fields, body } = self;
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{fields}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        let _ = stream.flush();
    }
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
