//! [`Staple`]: a response about the state of a certificate, which its authority has signed
//! (OCSP, RFC 6960), for the handshake (RFC 6066 §8).

use std::time::SystemTime;

use dunlin_http::Clock;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse};

use super::config::Tls;
use super::load;
use crate::BindError;

/// A response that a client accepts until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staple {
    pub(super) der: Vec<u8>,
    pub(super) until: Option<SystemTime>,
}

// === impl Staple ===

impl Staple {
    /// Reads a response about `certificate`. Its signature is not verified, which clients do.
    ///
    /// # Errors
    /// The reason why clients would refuse the response at `now`.
    pub(super) fn new(der: Vec<u8>, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<Self, String> {
        let unreadable = |error| format!("it is no OCSP response in DER form: {error}");
        let response = OcspResponse::from_der(&der).map_err(unreadable)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(format!("the authority answered {:?}", response.response_status));
        }
        let bytes = response.response_bytes.ok_or("there is no response in it")?;
        let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(unreadable)?;
        let certificate = Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let serial = &certificate.tbs_certificate.serial_number;
        let is_about = |single: &&SingleResponse| single.cert_id.serial_number == *serial;
        let single = basic.tbs_response_data.responses.iter().find(is_about).ok_or("it is for another certificate")?;
        match single.cert_status {
            CertStatus::Good(_) => {}
            CertStatus::Revoked(_) => return Err("the certificate is revoked".into()),
            CertStatus::Unknown(_) => return Err("the authority does not know the certificate".into()),
        }
        let until = single.next_update.map(|time| time.0.to_system_time());
        if until.is_some_and(|until| until <= now) {
            return Err("it has expired".into());
        }
        if single.this_update.0.to_system_time() > now {
            return Err("it is not valid yet".into());
        }
        Ok(Self { der, until })
    }
}

// === impl Tls ===

impl Tls {
    /// Reads the responses about the certificates.
    ///
    /// # Errors
    /// Returns an error that names the file, and the reason why clients would refuse its response.
    /// A server serves without it.
    pub fn check_ocsp(&self) -> Result<(), BindError> {
        let mut keys = self.keys().map_err(BindError::Tls)?;
        match self.staple(&mut keys).1.into_iter().next() {
            None => Ok(()),
            Some(error) => Err(BindError::Ocsp(error)),
        }
    }

    /// Adds the responses about the certificates to the keys. Returns the time at which the first
    /// one expires, and the reasons why some cannot be sent.
    fn staple(&self, keys: &mut [CertifiedKey]) -> (Option<SystemTime>, Vec<String>) {
        let now = Clock::system().now();
        let (mut until, mut errors) = (None, Vec::new());
        for (pair, key) in self.pairs.iter().zip(keys) {
            match load::staple(pair, key, now) {
                None => {}
                Some(Ok(staple)) => {
                    key.ocsp = Some(staple.der);
                    until = until.into_iter().chain(staple.until).min();
                }
                Some(Err(error)) => errors.push(error),
            }
        }
        (until, errors)
    }

    /// The keys with their responses, and the time at which the first response expires. One that
    /// clients would refuse is left out, and the log says so.
    pub(super) fn stapled_keys(&self) -> Result<(Vec<CertifiedKey>, Option<SystemTime>), BindError> {
        let mut keys = self.keys().map_err(BindError::Tls)?;
        let (until, errors) = self.staple(&mut keys);
        for error in errors {
            tracing::warn!(%error, "cannot use the OCSP response; serving its certificate without one");
        }
        Ok((keys, until))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use x509_cert::der::Encode as _;
    use x509_cert::der::asn1::{BitString, Null, ObjectIdentifier, OctetString};
    use x509_cert::serial_number::SerialNumber;
    use x509_cert::spki::AlgorithmIdentifierOwned;
    use x509_ocsp::{CertId, OcspGeneralizedTime, ResponderId, ResponseData, Version};

    use super::*;

    /// The part of a response that a test decides about.
    pub(in crate::tls) struct Single(SingleResponse);

    impl Single {
        pub(in crate::tls) fn valid(mut self, from: SystemTime, until: Option<SystemTime>) -> Self {
            self.0.this_update = time(from);
            self.0.next_update = until.map(time);
            self
        }
    }

    fn time(time: SystemTime) -> OcspGeneralizedTime {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        OcspGeneralizedTime::try_from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap()
    }

    /// A response without a valid signature.
    pub(in crate::tls) fn response(certificate: &CertificateDer<'_>, edit: impl FnOnce(Single) -> Single) -> Vec<u8> {
        let certificate = Certificate::from_der(certificate).unwrap();
        // RFC 5912: SHA-1, as in most responses.
        let oid = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
        let algorithm = AlgorithmIdentifierOwned { oid, parameters: None };
        let hash = OctetString::new([7; 20]).unwrap();
        let single = SingleResponse {
            cert_id: CertId {
                hash_algorithm: algorithm.clone(),
                issuer_name_hash: hash.clone(),
                issuer_key_hash: hash.clone(),
                serial_number: certificate.tbs_certificate.serial_number,
            },
            cert_status: CertStatus::good(),
            this_update: time(SystemTime::UNIX_EPOCH),
            next_update: None,
            single_extensions: None,
        };
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(hash),
            produced_at: time(SystemTime::UNIX_EPOCH),
            responses: vec![edit(Single(single)).0],
            response_extensions: None,
        };
        let signature = BitString::from_bytes(&[0; 64]).unwrap();
        let basic =
            BasicOcspResponse { tbs_response_data: data, signature_algorithm: algorithm, signature, certs: None };
        OcspResponse::successful(basic).unwrap().to_der().unwrap()
    }

    #[test]
    fn responses_that_clients_would_refuse() {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let check = |edit: &dyn Fn(Single) -> Single| {
            Staple::new(response(pair.cert.der(), edit), pair.cert.der(), at(1000)).map(|staple| staple.until)
        };
        assert_eq!(check(&|single| single.valid(at(1000), Some(at(1001)))), Ok(Some(at(1001))));
        assert_eq!(check(&|single| single.valid(at(1), None)), Ok(None));
        assert_eq!(check(&|single| single.valid(at(1), Some(at(1000)))), Err("it has expired".into()));
        assert_eq!(check(&|single| single.valid(at(1001), None)), Err("it is not valid yet".into()));
        let other = |mut single: Single| {
            single.0.cert_id.serial_number = SerialNumber::from(9_u8);
            single
        };
        assert_eq!(check(&other), Err("it is for another certificate".into()));
        let unknown = |mut single: Single| {
            single.0.cert_status = CertStatus::Unknown(Null);
            single
        };
        assert_eq!(check(&unknown), Err("the authority does not know the certificate".into()));
        let later = OcspResponse::try_later().to_der().unwrap();
        let refused = Staple::new(later, pair.cert.der(), at(1)).unwrap_err();
        assert_eq!(refused, "the authority answered TryLater");
        let refused = Staple::new(b"-----BEGIN".to_vec(), pair.cert.der(), at(1)).unwrap_err();
        assert!(refused.starts_with("it is no OCSP response in DER form"), "{refused}");
    }
}
