//! Serves connections: TLS where it is configured, HTTP/1 or HTTP/2, each in a task of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::web::connections::{BoundedListener, Bounds, Encoded, Held};
use crate::web::current::Web;
use crate::web::metrics::Refusal;
use crate::web::timeouts::{CountedBody, Pulse, Timed, TimedBody};

/// How often the files of the web configuration are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many requests of one HTTP/2 connection may be under way.
const STREAMS_MAX: u32 = 128;
/// How large the headers of an HTTP/2 request may be, in bytes.
const HEADERS_BYTES_MAX: u32 = 64 << 10;
/// How often an HTTP/2 peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(60);

/// Serves `app` until somebody asks for a stop, and then until the last request is answered.
pub async fn serve(
    listener: TcpListener,
    web: Arc<Web>,
    bounds: Bounds,
    app: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let mut listener = BoundedListener::new(listener, &bounds, web.metrics().clone());
    let mut connections = JoinSet::new();
    let connections_stop = stopped.clone();
    let looking = tokio::spawn(look(Arc::clone(&web)));
    loop {
        tokio::select! {
            (stream, peer, held) = listener.accept() => {
                let connection = Connection {
                    peer,
                    bounds,
                    web: Arc::clone(&web),
                    app: app.clone(),
                    stopped: connections_stop.clone(),
                };
                connections.spawn(connection.serve(stream, held));
            }
            Some(_) = connections.join_next() => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    // What comes now goes to the next process.
    drop(listener);
    looking.abort();
    while connections.join_next().await.is_some() {}
}

async fn look(web: Arc<Web>) {
    let mut interval = tokio::time::interval(LOOK_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let web = Arc::clone(&web);
        if let Err(error) = tokio::task::spawn_blocking(move || web.look()).await {
            warn!(%error, "the files of the web configuration could not be looked at");
        }
    }
}

struct Connection {
    peer: SocketAddr,
    bounds: Bounds,
    web: Arc<Web>,
    app: Router,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _held: Held) {
        // An answer's last part does not wait for more.
        let _ = stream.set_nodelay(true);
        let pulse = Arc::new(Pulse::default());
        let stream = Timed::new(stream, Arc::clone(&pulse), &self.bounds);
        let Some(tls) = self.web.current().tls.clone() else {
            return self.serve_http1(Encoded::new(stream), pulse).await;
        };
        let has_heads = stream.has_heads();
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let stream = match tokio::time::timeout(self.bounds.head, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.refuse_handshake(&error.to_string()),
            Err(_) => return self.refuse_handshake("it took too long"),
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            has_heads.store(false, Ordering::Relaxed);
            self.serve_http2(stream, pulse).await;
        } else {
            self.serve_http1(Encoded::new(stream), pulse).await;
        }
    }

    fn refuse_handshake(&self, cause: &str) {
        self.web.metrics().refused(Refusal::Handshake);
        debug!(peer = %self.peer, cause, "TLS handshake failed");
    }

    async fn serve_http1<T>(self, stream: T, pulse: Arc<Pulse>)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(pulse);
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.until_stopped() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        self.ended(ended);
    }

    async fn serve_http2<T>(self, stream: T, pulse: Arc<Pulse>)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(pulse);
        let stream = TokioIo::new(stream);
        let connection = http2_settings().serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.until_stopped() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        self.ended(ended);
    }

    async fn until_stopped(&self) {
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    fn ended(&self, ended: hyper::Result<()>) {
        if let Err(error) = ended {
            debug!(peer = %self.peer, %error, "a connection broke off");
        }
    }

    /// Returns the application as one connection has it: it knows the peer, and bodies have
    /// their time.
    fn service(&self, pulse: Arc<Pulse>) -> ConnectionService {
        ConnectionService {
            app: TowerToHyperService::new(self.app.clone()),
            peer: self.peer,
            body_limit: self.bounds.body,
            pulse,
        }
    }
}

fn http2_settings() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .keep_alive_interval(PING_EVERY);
    builder
}

struct ConnectionService {
    app: TowerToHyperService<Router>,
    peer: SocketAddr,
    body_limit: Duration,
    pulse: Arc<Pulse>,
}

type Answering = futures::future::BoxFuture<'static, Result<Answer, Infallible>>;
type Answer = Response<CountedBody<Body>>;

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let under_way = self.pulse.begin();
        let limit = self.body_limit;
        let mut request = request.map(|body| Body::new(TimedBody::new(body, limit)));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let answer = self.app.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| CountedBody {
                body,
                _under_way: under_way,
            }))
        })
    }
}
