//! Calls on connections of their own, over real sockets: a service behind hyper's server, and a client before it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use haggle_upgrade::{Upgrades, Upgrading};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

/// Long enough for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

/// A server that answers calls as `answer` does. The receiver ends when no call is held any more.
async fn serve<A>(answer: impl Fn(Request<Body>) -> A + Clone + Send + 'static) -> (SocketAddr, watch::Sender<()>)
where
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, held) = watch::channel(());
    tokio::spawn(async move {
        let service = tower::service_fn(move |request| {
            let answer = answer(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let upgrades = Upgrades::<TcpStream, _, _>::new(service, held);
        while let Ok((stream, _)) = listener.accept().await {
            let upgrades = upgrades.clone();
            let calls = service_fn(move |request: Request<Incoming>| upgrades.clone().call(request.map(Body::new)));
            let http = Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), calls).await;
            });
        }
    });
    (address, open)
}

async fn call(address: SocketAddr, headers: HeaderMap, body: Body) -> Result<Response<Body>, Status> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = Request::post(format!("http://{address}/a.Service/Method")).body(body).unwrap();
    *request.headers_mut() = headers;
    Upgrading::new(stream, &address.to_string()).unwrap().call(request).await
}

/// What a side says, while there is somebody who sends; `last` ends it.
fn said(last: Option<HeaderMap>) -> (mpsc::Sender<Bytes>, Body) {
    let (say, saying) = mpsc::channel(4);
    let frames = ReceiverStream::new(saying).map(Frame::data).chain(tokio_stream::iter(last.map(Frame::trailers)));
    (say, Body::new(StreamBody::new(frames.map(Ok::<_, Status>))))
}

fn message(text: &[u8]) -> Bytes {
    let mut message = vec![0];
    message.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    message.extend(text);
    message.into()
}

fn header(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
}

/// Says back whatever comes, and then that all is well.
async fn echo(request: Request<Body>) -> Response<Body> {
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["who"], "me");
    let (say, body) = said(Some(header("grpc-status", "0")));
    tokio::spawn(async move {
        let mut heard = request.into_body();
        while let Some(Ok(frame)) = heard.frame().await {
            say.send(frame.into_data().unwrap()).await.unwrap();
        }
    });
    Response::new(body)
}

#[tokio::test]
async fn both_sides_talk_until_the_client_has_said_all_and_the_server_how_it_ended() {
    let (address, _) = serve(echo).await;
    let (say, body) = said(None);
    let mut answers = call(address, header("who", "me"), body).await.unwrap().into_body();

    for text in [&b"one"[..], b"", b"three"] {
        say.send(message(text)).await.unwrap();
        let mut heard = Vec::new();
        while heard.len() < message(text).len() {
            heard.extend(answers.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(heard, message(text));
    }
    drop(say);

    let last = answers.frame().await.unwrap().unwrap();
    assert_eq!(last.into_trailers().unwrap(), header("grpc-status", "0"));
    assert!(answers.frame().await.is_none());
}

#[tokio::test]
async fn a_message_of_megabytes_comes_whole() {
    let (address, _) = serve(echo).await;
    let large = message(&(0..8 << 20).map(|at: u32| at as u8).collect::<Vec<_>>());
    let (say, body) = said(None);
    let answers = call(address, header("who", "me"), body).await.unwrap().into_body();
    say.send(large.clone()).await.unwrap();
    drop(say);

    let heard = timeout(SOON, answers.collect()).await.unwrap().unwrap();

    assert_eq!(heard.trailers(), Some(&header("grpc-status", "0")));
    assert!(heard.to_bytes() == large);
}

#[tokio::test]
async fn a_call_that_is_refused_says_why_and_what_comes_with_it() {
    let (address, _) = serve(|_| async {
        let mut refusal = Status::unavailable("another one leads");
        refusal.metadata_mut().insert("leader", "http://there".parse().unwrap());
        refusal.into_http()
    })
    .await;

    let refusal = call(address, HeaderMap::new(), said(None).1).await.unwrap_err();

    assert_eq!((refusal.code(), refusal.message()), (Code::Unavailable, "another one leads"));
    assert_eq!(refusal.metadata().get("leader").unwrap(), "http://there");
}

#[tokio::test]
async fn whoever_does_not_know_of_it_is_said_to_be_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });

    let refusal = call(address, HeaderMap::new(), said(None).1).await.unwrap_err();

    assert_eq!(refusal.code(), Code::Unimplemented);
    assert!(refusal.message().contains("404 Not Found"), "{refusal}");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: haggle.v1\r\n\r\n";
        // The first message comes with the answer.
        stream.write_all(&[&switch[..], &message(b"one")].concat()).await.unwrap();
    });
    let mut answers = call(address, HeaderMap::new(), said(None).1).await.unwrap().into_body();

    assert_eq!(answers.frame().await.unwrap().unwrap().into_data().unwrap(), message(b"one"));
    let cut = answers.frame().await.unwrap().unwrap_err();
    assert_eq!((cut.code(), cut.message()), (Code::Unavailable, "the connection was cut"));
    assert!(answers.frame().await.is_none());
}

#[tokio::test]
async fn a_client_that_wants_no_more_answers_is_gone() {
    let (address, open) = serve(|request| async {
        let (say, body) = said(None);
        tokio::spawn(async move {
            let _said = say;
            // The service goes when the client does.
            let _ = request.into_body().frame().await;
        });
        Response::new(body)
    })
    .await;
    let (_saying, body) = said(None);
    let answers = call(address, HeaderMap::new(), body).await.unwrap();
    drop(answers);

    let stopped = timeout(SOON, async {
        // The listener holds one.
        while open.receiver_count() > 1 {
            tokio::task::yield_now().await;
        }
    });
    stopped.await.unwrap();
}

#[tokio::test]
async fn the_end_is_heard_though_the_server_left_unheard_what_the_client_said() {
    let (address, _) = serve(|request| async move {
        drop(request);
        Response::new(said(Some(header("grpc-status", "9"))).1)
    })
    .await;
    let (say, body) = said(None);
    let answers = call(address, HeaderMap::new(), body).await.unwrap().into_body();
    // Nobody may be there to take it.
    let _ = say.send(message(&[7; 1 << 16])).await;

    let heard = timeout(SOON, answers.collect()).await.unwrap().unwrap();

    assert_eq!(heard.trailers(), Some(&header("grpc-status", "9")));
}

#[tokio::test]
async fn a_connection_is_for_one_call() {
    let (address, _) = serve(echo).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = Upgrading::new(stream, "here").unwrap();
    poll_fn(|context| client.poll_ready(context)).await.unwrap();
    let asked = || {
        let mut asked = Request::new(Body::empty());
        asked.headers_mut().insert("who", HeaderValue::from_static("me"));
        asked
    };

    client.call(asked()).await.unwrap();
    assert_eq!(client.call(asked()).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[test]
fn a_host_that_no_header_can_carry_is_refused() {
    assert_eq!(Upgrading::new((), "a\nb").unwrap_err().code(), Code::InvalidArgument);
}

/// A call for which each side shows each half a second that it lives.
async fn watched(address: SocketAddr, body: Body) -> Result<Response<Body>, Status> {
    let stream = TcpStream::connect(address).await.unwrap();
    let request = Request::post(format!("http://{address}/a.Service/Method")).body(body).unwrap();
    let signs = Duration::from_millis(500);
    Upgrading::new(stream, &address.to_string()).unwrap().with_signs(signs, signs).call(request).await
}

#[tokio::test]
async fn a_side_that_has_nothing_to_say_shows_that_it_lives() {
    let (told, waiting) = tokio::sync::oneshot::channel::<()>();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let (address, _) = serve(move |request| {
        let told = told.lock().unwrap().take();
        async move {
            let (say, body) = said(Some(header("grpc-status", "0")));
            tokio::spawn(async move {
                // Both are silent for longer than the client would wait.
                tokio::time::sleep(Duration::from_secs(2)).await;
                say.send(message(b"late")).await.unwrap();
                let heard = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(heard, message(b"all"), "signs of life are no messages");
                drop(told);
            });
            Response::new(body)
        }
    })
    .await;
    let (say, body) = said(None);
    let mut answers = watched(address, body).await.unwrap().into_body();

    let late = answers.frame().await.unwrap().unwrap().into_data().unwrap();
    say.send(message(b"all")).await.unwrap();
    drop(say);

    assert_eq!(late, message(b"late"));
    assert!(waiting.await.is_err(), "it heard what was said, and ended");
    assert!(answers.frame().await.unwrap().unwrap().is_trailers());
}

#[tokio::test]
async fn a_server_that_shows_no_sign_of_life_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: haggle.v1\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        stream
    });
    let mut answers = watched(address, said(None).1).await.unwrap().into_body();
    let _open = silent.await.unwrap();

    let given_up = answers.frame().await.unwrap().unwrap_err();

    assert_eq!((given_up.code(), given_up.message()), (Code::Unavailable, "nothing was heard for 1s"));
}
