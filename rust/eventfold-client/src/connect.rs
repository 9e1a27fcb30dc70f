//! From a target to a connection of HTTP/2.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use eventfold_tls::Verify;
use h2::client::{Builder, SendRequest};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::CallError;
use crate::settings::{Authorities, Settings};
use crate::target::{Place, Target};

/// What a stream may send ahead of whoever reads it: a few pages of events.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// A page of events in one frame: less work for the server than the 16 KiB of the default.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// No bound of its own: streams that nobody reads must not hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// Statuses with their details are far below.
const HEADERS_BYTES_MAX: u32 = 64 << 10;

pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

pub(crate) type Connection = h2::client::Connection<Box<dyn Transport>, Bytes>;

/// The TLS of a channel: read once, since the authorities of a system are many.
pub(crate) fn tls(authorities: &Authorities) -> Result<Arc<ClientConfig>, String> {
    let authorities = match authorities {
        Authorities::Pem(pem) => eventfold_tls::certificates(pem)?,
        Authorities::System => rustls_native_certs::load_native_certs()
            .certs
            .into_iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
    };
    let mut config = eventfold_tls::client_config(Verify::Name, &authorities, &[], None)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Opens a connection; errors say what failed.
pub(crate) async fn open(
    settings: &Settings,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(SendRequest<Bytes>, Connection), CallError> {
    let failed = |error: io::Error| CallError::unavailable(format!("cannot connect: {error}"));
    let transport = transport(&settings.target).await.map_err(failed)?;
    let transport = match tls {
        None => transport,
        Some(config) => secured(&settings.target, config, transport).await?,
    };
    Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .handshake(transport)
        .await
        .map_err(|error| CallError::unavailable(format!("cannot connect: {error}")))
}

async fn transport(target: &Target) -> io::Result<Box<dyn Transport>> {
    match &target.place {
        Place::Hosts(hosts) => {
            let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for (host, port) in hosts {
                match tcp(host, *port).await {
                    Ok(stream) => return Ok(Box::new(stream)),
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        }
        place => local(place).await,
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    // No thread for what needs no look-up.
    let stream = match host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect((address, port)).await?,
        Err(_) => TcpStream::connect((host, port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(unix)]
async fn local(place: &Place) -> io::Result<Box<dyn Transport>> {
    use tokio::net::UnixStream;

    let stream = match place {
        Place::Path(path) => UnixStream::connect(path).await?,
        Place::Abstract(name) => UnixStream::connect(format!("\0{name}")).await?,
        Place::Hosts(_) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Ok(Box::new(stream))
}

#[cfg(not(unix))]
async fn local(_: &Place) -> io::Result<Box<dyn Transport>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no sockets of Unix"))
}

async fn secured(
    target: &Target,
    config: Arc<ClientConfig>,
    transport: Box<dyn Transport>,
) -> Result<Box<dyn Transport>, CallError> {
    let failed = |error: &dyn std::fmt::Display| {
        CallError::unavailable(format!("cannot connect with TLS: {error}"))
    };
    let name = ServerName::try_from(target.server_name.clone()).map_err(|error| failed(&error))?;
    let stream = TlsConnector::from(config).connect(name, transport).await;
    let stream = stream.map_err(|error| failed(&error))?;
    // gRPC asks servers to say so, and old ones do not.
    match stream.get_ref().1.alpn_protocol() {
        None | Some(b"h2") => Ok(Box::new(stream)),
        Some(_) => Err(failed(&"the server does not speak HTTP/2")),
    }
}
