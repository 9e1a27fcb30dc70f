//! Whether a quiet peer is still there.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use crate::channel::Connected;

/// Ends when the peer gives no sign of life. It is asked while calls are under way and nothing
/// comes: an idle connection is found broken by the next call.
pub(crate) async fn lost(
    ping_pong: Option<PingPong>,
    connected: Arc<Connected>,
    (quiet, patience): (Duration, Duration),
) {
    let Some(mut ping_pong) = ping_pong else { return pending().await };
    loop {
        let signs = connected.signs();
        sleep(quiet).await;
        if signs != connected.signs() || !connected.is_busy() {
            continue;
        }
        match timeout(patience, ping_pong.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection itself says what is wrong with it.
            Ok(Err(_)) => return pending().await,
            Err(_) => return,
        }
    }
}
