//! gRPC through the proxy, with a client and a server of tonic.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::{Buf as _, BufMut as _};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_stream::{Stream, StreamExt as _};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::service::Service;

/// Messages of bytes, without a schema.
#[derive(Clone, Copy, Default)]
struct Plain;

#[derive(Clone, Copy)]
struct Upper;

type Messages = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining()).to_vec()))
    }
}

impl UnaryService<Vec<u8>> for Upper {
    type Response = Vec<u8>;
    type Future = Answer<Vec<u8>>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(async move {
            let message = request.into_inner();
            if message == b"fail" {
                return Err(Status::failed_precondition("as asked: ü"));
            }
            Ok(Response::new(message.to_ascii_uppercase()))
        })
    }
}

impl StreamingService<Vec<u8>> for Upper {
    type Response = Vec<u8>;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Streaming<Vec<u8>>>) -> Self::Future {
        Box::pin(async move {
            let stream = request.into_inner().map(|message| Ok(message?.to_ascii_uppercase()));
            let stream = stream.chain(tokio_stream::once(Err(Status::out_of_range("the end"))));
            Ok(Response::new(Box::pin(stream) as Messages))
        })
    }
}

/// Starts the server.
async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                assert_eq!(request.headers()["te"], "trailers");
                let streams = request.uri().path().ends_with("/Stream");
                let mut grpc = Grpc::new(Plain);
                Ok::<_, Infallible>(match streams {
                    true => grpc.streaming(Upper, request).await,
                    false => grpc.unary(Upper, request).await,
                })
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    addr
}

#[test]
fn calls_pass_with_their_status() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(serve());
    let config = format!(
        "[upstream.app]\nservers = \"http://{server}\"\nprotocol = \"h2\"\n\
         [[route]]\npath = \"/{{*rest}}\"\nproxy = \"http://app/\"\n"
    );
    let service = Service::with("h2c = true", &config, |_| ());
    let addr = service.addr;
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = || "/test.Upper/One".parse().unwrap();
        let large = vec![b'x'; 900_000];
        for message in [b"abc".to_vec(), large] {
            let answer = client.unary(Request::new(message.clone()), path(), Plain).await.unwrap();
            assert_eq!(answer.metadata().get("grpc-status"), Some(&MetadataValue::from_static("0")));
            assert_eq!(answer.into_inner(), message.to_ascii_uppercase());
            client.ready().await.unwrap();
        }
        // A status without a message: the head and the trailers are one.
        let status = client.unary(Request::new(b"fail".to_vec()), path(), Plain).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "as asked: ü"));

        // Each message is answered before the next one is sent.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
        client.ready().await.unwrap();
        let path = "/test.Upper/Stream".parse().unwrap();
        let mut answers = client.streaming(Request::new(messages), path, Plain).await.unwrap().into_inner();
        for number in 0..10 {
            sender.send(format!("n{number}").into_bytes()).await.unwrap();
            assert_eq!(answers.message().await.unwrap().unwrap(), format!("N{number}").into_bytes());
        }
        drop(sender);
        let status = answers.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::OutOfRange, "the end"));
    });
    // A client of HTTP/1.1 gets the trailers, too.
    let request = "POST /test.Upper/One HTTP/1.1\r\nhost: a\r\nte: trailers\r\ncontent-type: application/grpc\r\n\
                   connection: te, close\r\ncontent-length: 7\r\n\r\n\0\0\0\0\x02hi";
    let mut connection = std::net::TcpStream::connect(addr).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HI") && answer.contains("grpc-status: 0\r\n"), "{answer}");
}
