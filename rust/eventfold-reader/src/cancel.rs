//! Asks PostgreSQL to give up a statement, and knows when the request can do no more harm.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::MakeTlsConnect;

use crate::error::ReadError;
use crate::settings::{Address, Attempt, Settings};

/// Cancels what the session of the token does; when this returns, the session has the signal.
///
/// PostgreSQL closes the connection of a request after it has sent the signal. tokio-postgres does
/// not wait for that, and the signal could hit whatever the session is used for next.
pub(crate) async fn cancel(
    token: &CancelToken,
    attempt: &Attempt,
    settings: &Settings,
) -> Result<(), ReadError> {
    match &attempt.address {
        Address::Host(name) => {
            let socket = TcpStream::connect((name.as_str(), attempt.port)).await;
            request(token, socket, name, settings).await
        }
        Address::Directory(path) => {
            let socket = UnixStream::connect(format!("{path}/.s.PGSQL.{}", attempt.port)).await;
            request(token, socket, "", settings).await
        }
    }
}

async fn request<S>(
    token: &CancelToken,
    socket: io::Result<S>,
    host: &str,
    settings: &Settings,
) -> Result<(), ReadError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let socket = socket.map_err(|error| ReadError::Lost(error.to_string()))?;
    let mut connector = settings.tls.connector();
    let Ok(tls) = MakeTlsConnect::<UntilClosed<S>>::make_tls_connect(&mut connector, host);
    Ok(token.cancel_query_raw(UntilClosed(socket), tls).await?)
}

/// A socket that is shut down only when its other end is closed too.
struct UntilClosed<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for UntilClosed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for UntilClosed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // That it is closed already shows when it is read.
        let _ = ready!(Pin::new(&mut self.0).poll_shutdown(context));
        let mut scratch = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // Its end, or a reset, which is one too.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
