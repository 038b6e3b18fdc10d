//! [`S3Object`]: an object in S3 with its size and version.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};

use crate::source::objects::error::{ObjectError, READ};

/// An object in S3, as returned by a listing or a HEAD request.
#[derive(Debug, Clone)]
pub(super) struct S3Object {
    pub(super) client: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// `s3://BUCKET/KEY`
    pub(super) name: Arc<str>,
    pub(super) bytes: u64,
    pub(super) e_tag: Option<String>,
    pub(super) version: Option<String>,
}

impl S3Object {
    /// Makes a HEAD request for a key.
    ///
    /// # Errors
    /// If the object does not exist, the key is invalid, or S3 refuses the request.
    pub(super) async fn head(
        client: &Arc<dyn ObjectStore>,
        name: String,
        key: &str,
        version: Option<String>,
    ) -> Result<Self, ObjectError> {
        let action = read_permission(version.as_deref());
        let options = GetOptions { head: true, version: version.clone(), ..GetOptions::default() };
        let head = async {
            let path = Path::parse(key)?;
            if path.as_ref() != key {
                // the client normalised the key and would request a different object
                let source = object_store::path::Error::EmptySegment { path: key.to_owned() };
                return Err(object_store::Error::InvalidPath { source });
            }
            client.get_opts(&path, options).await.map(|response| response.meta)
        };
        match head.await {
            Ok(meta) => Ok(Self { version, ..Self::from_meta(client, name, meta) }),
            Err(error) => Err(ObjectError::from_client(READ, action, name, &error)),
        }
    }

    /// The current version of an object from a listing.
    pub(super) fn from_meta(client: &Arc<dyn ObjectStore>, name: String, meta: ObjectMeta) -> Self {
        Self {
            client: Arc::clone(client),
            path: meta.location,
            name: Arc::from(name),
            bytes: meta.size,
            e_tag: meta.e_tag,
            version: None,
        }
    }

    /// The IAM permission that reading needs.
    pub(super) fn read_permission(&self) -> &'static str {
        read_permission(self.version.as_deref())
    }
}

fn read_permission(version: Option<&str>) -> &'static str {
    if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" }
}
