//! Compare-and-swap of small objects in a bucket by their `ETag`.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};

/// Maximum number of attempts of one write. A conditional write is safe to repeat.
const WRITE_ATTEMPTS: u32 = 3;
/// Maximum size of an object that is read.
pub(crate) const OBJECT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why an object could not be read or replaced.
#[derive(Debug)]
pub(crate) enum SwapError {
    /// The object has this number of bytes, more than [`OBJECT_BYTES_MAX`].
    TooLarge(u64),
    /// The server returns no `ETag`.
    NoTag,
    /// A read request failed.
    Read(object_store::Error),
    /// A write request failed.
    Write(object_store::Error),
}

/// Content and `ETag` of an object; `None` if it does not exist.
pub(crate) async fn read(
    objects: &Arc<dyn ObjectStore>,
    path: &Path,
) -> Result<Option<(Vec<u8>, String)>, SwapError> {
    let found = match objects.get(path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(SwapError::Read(error)),
    };
    if found.meta.size > OBJECT_BYTES_MAX {
        return Err(SwapError::TooLarge(found.meta.size));
    }
    let tag = found.meta.e_tag.clone().ok_or(SwapError::NoTag)?;
    Ok(Some((found.bytes().await.map_err(SwapError::Read)?.into(), tag)))
}

/// Writes an object if its `ETag` is `tag`, or if it does not exist and `tag` is `None`. Returns its new `ETag`; `None` if
/// another process changed it.
pub(crate) async fn swap(
    objects: &Arc<dyn ObjectStore>,
    path: &Path,
    tag: Option<&str>,
    bytes: Vec<u8>,
) -> Result<Option<String>, SwapError> {
    let mut attempt = 1;
    loop {
        let mode = tag.map_or(PutMode::Create, |tag| {
            PutMode::Update(UpdateVersion { e_tag: Some(tag.to_owned()), version: None })
        });
        match objects.put_opts(path, bytes.clone().into(), mode.into()).await {
            Ok(put) => return put.e_tag.map(Some).ok_or(SwapError::NoTag),
            // an earlier attempt without a response may have succeeded: the object then has these
            // bytes
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => {
                let found = read(objects, path).await?;
                return Ok(found.filter(|(found, _)| *found == bytes).map(|(_, tag)| tag));
            }
            Err(error @ object_store::Error::Generic { .. }) if attempt < WRITE_ATTEMPTS => {
                tracing::debug!(%error, "could not write an object; retrying");
                attempt += 1;
            }
            Err(error) => return Err(SwapError::Write(error)),
        }
    }
}
