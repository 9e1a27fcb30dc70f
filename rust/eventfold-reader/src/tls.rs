//! TLS as PostgreSQL's `sslmode` means it.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio_postgres_rustls::MakeRustlsConnect;

pub use eventfold_tls::{Identity, Verify};

use crate::error::ReadError;

/// How to speak TLS.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// From authorities in DER, lists of revoked certificates in PEM, and an identity.
    pub fn new(
        verify: Verify,
        authorities: &[Vec<u8>],
        revoked: &[u8],
        identity: Option<&Identity>,
    ) -> Result<Self, ReadError> {
        let mut config = eventfold_tls::client_config(verify, authorities, revoked, identity)
            .map_err(|problem| ReadError::Lost(format!("TLS cannot be set up: {problem}")))?;
        // Asked for where TLS begins at once, and ignored elsewhere.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(ClientConfig::clone(&self.0))
    }
}
