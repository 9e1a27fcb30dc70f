//! TLS of the connections that eventfold opens, on rustls.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// What of a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: whoever can answer is believed.
    Nothing,
    /// That one of our authorities vouches for it.
    Authority,
    /// That, and that it is for the name that we asked for.
    Name,
}

/// What we show a server that asks who we are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain of certificates, in PEM.
    pub certificates: Vec<u8>,
    /// Their key, in PEM, not encrypted.
    pub key: Vec<u8>,
}

/// How to speak TLS: with authorities in DER, lists of revoked certificates in PEM, and an
/// identity.
pub fn client_config(
    verify: Verify,
    authorities: &[Vec<u8>],
    revoked: &[u8],
    identity: Option<&Identity>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(verify, authorities, revoked, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::pem_slice_iter(&identity.certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("our certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key)
        .map_err(|error| format!("our key, which must not be encrypted: {error}"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("our certificate and its key: {error}"))
}

/// The certificates of a text in PEM, in DER.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .map(|der| der.map(|der| der.to_vec()).map_err(|error| error.to_string()))
        .collect()
}

/// Verifies certificates as the caller asks for.
#[derive(Debug)]
struct Verifier {
    verify: Verify,
    /// Certificates that are trusted themselves, and whoever they vouch for.
    authorities: Vec<CertificateDer<'static>>,
    /// None: there are no authorities.
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        verify: Verify,
        authorities: &[Vec<u8>],
        revoked: &[u8],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let authorities: Vec<_> =
            authorities.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        if verify == Verify::Nothing || roots.is_empty() {
            if verify != Verify::Nothing {
                return Err("there is no authority to verify the server's certificate".to_owned());
            }
            return Ok(Self { verify, authorities, chains: None, provider });
        }
        let revoked = CertificateRevocationListDer::pem_slice_iter(revoked)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the list of revoked certificates: {error}"))?;
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .with_crls(revoked)
                .build()
                .map_err(|error| error.to_string())?;
        Ok(Self { verify, authorities, chains: Some(chains), provider })
    }

    fn is_for(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        if self.verify != Verify::Name {
            return Ok(());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chains) = &self.chains else {
            return Ok(ServerCertVerified::assertion());
        };
        match chains.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Ok(verified) => Ok(verified),
            // Checked last by the library, so the chain is sound.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.verify == Verify::Authority => Ok(ServerCertVerified::assertion()),
            // A server with a certificate that it signed itself, which we were given to trust, is
            // common. The library would have no authority be a server too.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.authorities.contains(&certificate.clone().into_owned()) =>
            {
                self.is_for(certificate, name).map(|()| ServerCertVerified::assertion())
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
