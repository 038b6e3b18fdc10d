//! [`SnsVerifier`]: checks the signatures of SNS messages in a queue.
//!
//! A message names the URL of the certificate that signed it. The certificate is loaded only over
//! HTTPS from `sns.REGION.amazonaws.com` (or `.com.cn`). It is trusted because of this TLS
//! connection, which is checked with the root certificates of the platform. The certificate file
//! contains no chain to a root, and its validity period is not checked.
//!
//! The signature proves that SNS sent the message for its topic. Every AWS account can create
//! topics, so signatures are useful only together with a list of allowed topics.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::sync::Mutex;

/// Maximum size of a certificate file, bytes.
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of keys in the cache. SNS has one certificate per region, and replaces it rarely.
const KEYS_MAX: usize = 64;
/// Timeout of a request for a certificate.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the signature check of a message failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    /// The message has no valid SNS signature.
    #[error("{0}")]
    Invalid(&'static str),
    /// The certificate could not be loaded; a retry may succeed.
    #[error("could not load the certificate `{url}`: {why}")]
    Unavailable {
        /// Its URL.
        url: String,
        /// The error.
        why: String,
    },
}

/// Checks SNS signatures, with a cache of public keys.
#[derive(Debug, Default)]
pub struct SnsVerifier {
    /// Created when the first certificate is loaded.
    client: Mutex<Option<reqwest::Client>>,
    /// Public keys by URL; `None` if the URL has no certificate.
    keys: Mutex<HashMap<String, Option<Arc<Vec<u8>>>>>,
}

/// The signed fields of an SNS message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SignedMessage<'a> {
    #[serde(rename = "Type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    topic_arn: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    signature_version: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(rename = "SigningCertURL", alias = "SigningCertUrl", borrow)]
    certificate_url: Cow<'a, str>,
    #[serde(rename = "SubscribeURL", borrow, default)]
    subscribe_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
}

impl SignedMessage<'_> {
    /// The text that SNS signs: names and values of some fields in alphabetical order, one per line.
    fn signed_text(&self) -> String {
        let is_notification = self.kind == "Notification";
        let if_notification = |value| if is_notification { value } else { None };
        let if_other = |value| if is_notification { None } else { value };
        let fields = [
            ("Message", Some(&self.message)),
            ("MessageId", Some(&self.message_id)),
            ("Subject", if_notification(self.subject.as_ref())),
            ("SubscribeURL", if_other(self.subscribe_url.as_ref())),
            ("Timestamp", Some(&self.timestamp)),
            ("Token", if_other(self.token.as_ref())),
            ("TopicArn", Some(&self.topic_arn)),
            ("Type", Some(&self.kind)),
        ];
        let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present.flat_map(|(name, value)| [name, "\n", value.as_ref(), "\n"]).collect()
    }

    /// Whether the signature matches the key, the `SubjectPublicKeyInfo` of a certificate.
    fn is_signed_by(&self, key: &[u8]) -> bool {
        let Ok(signature) = STANDARD.decode(self.signature.as_bytes()) else { return false };
        let algorithm = match self.signature_version.as_ref() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        let key = UnparsedPublicKey::new(algorithm, key);
        key.verify(self.signed_text().as_bytes(), &signature).is_ok()
    }
}

impl SnsVerifier {
    /// Checks that a message of a queue is signed by SNS.
    ///
    /// # Errors
    /// If it is not signed, or if the certificate cannot be loaded.
    pub(super) async fn check(&self, body: &[u8]) -> Result<(), SignatureError> {
        let Ok(message) = serde_json::from_slice::<SignedMessage<'_>>(body) else {
            return Err(SignatureError::Invalid("not a signed SNS message"));
        };
        if !is_certificate_url(&message.certificate_url) {
            return Err(SignatureError::Invalid("the certificate URL is not an SNS address"));
        }
        let key = self.key(&message.certificate_url).await?;
        if key.is_some_and(|key| message.is_signed_by(&key)) {
            Ok(())
        } else {
            Err(SignatureError::Invalid("the signature does not match"))
        }
    }

    /// The public key of a certificate; `None` if the URL has none.
    async fn key(&self, url: &str) -> Result<Option<Arc<Vec<u8>>>, SignatureError> {
        // the lock is held during the request, so that messages with the same certificate load it
        // once
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(url) {
            return Ok(key.clone());
        }
        let unavailable = |error: reqwest::Error| SignatureError::Unavailable {
            url: url.to_owned(),
            why: error.without_url().to_string(),
        };
        let key = self.fetch(url).await.map_err(unavailable)?;
        let key = key.and_then(|file| public_key(&file)).map(Arc::new);
        // forged messages can name many URLs: limit the cache
        if keys.len() >= KEYS_MAX {
            keys.retain(|_, key| key.is_some());
        }
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(url.to_owned(), key.clone());
        Ok(key)
    }

    /// Loads a certificate file; `None` if it does not exist or is too long.
    async fn fetch(&self, url: &str) -> Result<Option<Vec<u8>>, reqwest::Error> {
        let client = {
            let mut client = self.client.lock().await;
            match client.as_ref() {
                Some(client) => client.clone(),
                None => client.insert(new_client()?).clone(),
            }
        };
        let mut response = client.get(url).send().await?;
        if response.status().is_client_error() || response.status().is_redirection() {
            return Ok(None);
        }
        response.error_for_status_ref()?;
        let mut file = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            file.extend_from_slice(&chunk);
            if file.len() > CERTIFICATE_BYTES_MAX {
                return Ok(None);
            }
        }
        Ok(Some(file))
    }
}

fn new_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(FETCH_TIMEOUT)
        .build()
}

/// Whether a URL is the URL of an SNS certificate: `https://sns.REGION.amazonaws.com/NAME.pem`.
fn is_certificate_url(url: &str) -> bool {
    let is_word = |text: &str, other: &[u8]| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other.contains(&byte))
    };
    let Some(rest) = url.strip_prefix("https://sns.") else { return false };
    let Some((host, path)) = rest.split_once('/') else { return false };
    let region =
        host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    region.is_some_and(|region| is_word(region, b"-"))
        && path.strip_suffix(".pem").is_some_and(|name| is_word(name, b"-_"))
}

/// The public key of a certificate in PEM form, as `SubjectPublicKeyInfo`.
fn public_key(file: &[u8]) -> Option<Vec<u8>> {
    let der = CertificateDer::from_pem_slice(file).ok()?;
    let certificate = webpki::EndEntityCert::try_from(&der).ok()?;
    Some(certificate.subject_public_key_info().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-a.pem";
    /// A test certificate, and signatures of [`message`] with its key (`openssl dgst -sign`).
    const CERTIFICATE: &[u8] = include_bytes!("signature/test-certificate.pem");
    const SHA1: &str = "WZxer1Kc8Soj+fMXe0b+DJwI2uNZFg+dABm3INTQnRWOytoAPU4hS+AkFFB0auPgEEFBWJ2K4dqUXs7t0Ps2dRFrb/gPKfut1Ec3ukokC97otDnodcuv6crMw9awXLKP07WMtbWLgQUG57QhZ+UokAnQTmcXjUstvWF8Kg3FcyiUDrW6TQVhBHqwrIglqOiHZTu4oAdmit6zSLZvCHt2u5kDqrTc5D89eH8HWmXvhRvGzGwdWqYK3Fs50Dob2pAfdkX9zOcZfNnR/31Lxq69N+nND9e+vEU37eVaKimdDZD41dYNtmuAySgVSfXiI/1NLk3SaxdkMoKXXGKTEdHZKA==";
    const SHA256: &str = "tqAlizF3RlXDro1haTEcYmokxt1ir0pRdD9xZN3igBX7Xpg3y+P+cIZy8Js8xZT2xQ7dNi+9nxXBFpui/vfauGr5U/S+s1W3s6XE5BPjXoFRXp85yivFAVbeG36XG/MTCHIdt8ll2W5B5uvKBO468NwCAeie/nIB+VCLyCha7vQVOrBw16+OqX2RgqIPXrdWhMP5wdVXX+cJCTMLzqg3JsBR4fLHxpyXWER1o7VQRT2d7GjCwqtDaB2NYF1J9maLhIVVsfSnYhjNs26VN3JyapltZm702SNQ2REu4E7LJFP9bnZWZQRLQZj9wJoYwphqhjfc1H4tEa7SUy1GIJ2pSQ==";

    fn message(version: &str, signature: &str) -> Value {
        json!({
            "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic", "Subject": "My First Message",
            "Message": "{\"eventType\":\"Send\"}", "Timestamp": "2012-05-02T00:54:06.655Z",
            "SignatureVersion": version, "Signature": signature, "SigningCertURL": URL,
        })
    }

    async fn check(message: &Value) -> Result<(), SignatureError> {
        let verifier = SnsVerifier::default();
        let key = public_key(CERTIFICATE).map(Arc::new);
        assert!(key.is_some());
        verifier.keys.lock().await.insert(URL.to_owned(), key);
        verifier.check(message.to_string().as_bytes()).await
    }

    #[tokio::test]
    async fn signatures_of_both_versions_are_accepted() {
        assert_eq!(check(&message("1", SHA1)).await, Ok(()));
        assert_eq!(check(&message("2", SHA256)).await, Ok(()));
    }

    #[tokio::test]
    async fn changed_message_or_signature_is_refused() {
        let good = message("2", SHA256);
        for (field, value) in [
            ("Message", json!("{\"eventType\":\"Bounce\"}")),
            ("TopicArn", json!("arn:aws:sns:us-west-2:123456789012:Other")),
            ("Subject", Value::Null),
            ("SignatureVersion", json!("1")),
            ("SignatureVersion", json!("3")),
            ("Signature", json!("")),
            ("Signature", json!(SHA1)),
            ("Signature", Value::Null),
            ("SigningCertURL", json!("https://sns.us-west-2.example.com/a.pem")),
        ] {
            let mut changed = good.clone();
            changed[field] = value;
            let error = check(&changed).await.unwrap_err();
            assert!(matches!(error, SignatureError::Invalid(_)), "{field}: {error}");
        }
        for unsigned in [json!({"eventType": "Send"}), json!("text"), json!([])] {
            assert!(check(&unsigned).await.is_err(), "{unsigned}");
        }
    }

    #[test]
    fn certificate_is_loaded_only_from_sns() {
        assert!(is_certificate_url(URL));
        assert!(is_certificate_url(
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1_b.pem"
        ));
        for url in [
            "http://sns.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com.evil.example/a.pem",
            "https://sns.us-west-2.amazonaws.com@evil.example/a.pem",
            "https://sns.evil.example#.amazonaws.com/a.pem",
            "https://sns.evil.example?.amazonaws.com/a.pem",
            "https://sns.a/b.amazonaws.com/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns..amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com:8443/a.pem",
            "https://sns.us-west-2.amazonaws.com/bucket/a.pem",
            "https://sns.us-west-2.amazonaws.com/a.pem?b",
            "https://sns.us-west-2.amazonaws.com/a.crt",
            "https://s3.us-west-2.amazonaws.com/a.pem",
            "https://evil.example/https://sns.us-west-2.amazonaws.com/a.pem",
            "",
        ] {
            assert!(!is_certificate_url(url), "{url}");
        }
    }
}
