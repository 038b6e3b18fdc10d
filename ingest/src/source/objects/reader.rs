//! [`ObjectReader`]: reads one object as a blocking stream of bytes.
//!
//! The object is read in parts, with one range request per part. If a connection breaks, only one
//! part must be requested again. At most two parts are in memory: while one is read, the next is
//! requested.

use std::io::{Error, Read, Result};
use std::sync::Arc;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::source::files::{FileError, read_with_receipt};
use crate::source::intake::Intake;
use crate::source::objects::error::{ObjectError, READ};
use crate::source::objects::object::S3Object;
use crate::source::receipt::Receipt;

/// Maximum number of objects that are read at the same time. More than one hides network latency.
pub(super) const CONCURRENT_OBJECTS_MAX: usize = 4;
/// Bytes of one range request.
const PART_BYTES: u64 = 4 * 1024 * 1024;

/// Reads an object and sends its documents to the workers; each delivery carries a clone of `receipt`. Blocks. Returns
/// false if the run stopped before the end.
///
/// # Errors
/// If the object cannot be read to its end. Documents before that point were sent.
pub(super) fn read_object(
    object: S3Object,
    intake: &Intake,
    receipt: Option<&Receipt>,
) -> std::result::Result<bool, ObjectError> {
    let (name, permission) = (Arc::clone(&object.name), object.read_permission());
    let reader = ObjectReader::new(object, Handle::current());
    match read_with_receipt(reader, &name, intake, receipt) {
        Ok(is_complete) => Ok(is_complete),
        Err(FileError::Read { origin, at, source }) => {
            // errors of the S3 client pass through the decompression unchanged; all others are
            // about the content
            Err(match source.downcast::<object_store::Error>() {
                Ok(error) => ObjectError::from_client(READ, permission, origin, &error),
                Err(source) => FileError::Read { origin, at, source }.into(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads an object. Blocks: use it on a thread for blocking work.
struct ObjectReader {
    object: S3Object,
    handle: Handle,
    /// The unread rest of the current part.
    part: Bytes,
    /// The request for the next part.
    next_part: Option<JoinHandle<object_store::Result<Bytes>>>,
    /// Number of bytes requested so far.
    requested: u64,
}

impl ObjectReader {
    fn new(object: S3Object, handle: Handle) -> Self {
        let mut reader = Self { object, handle, part: Bytes::new(), next_part: None, requested: 0 };
        reader.request_next();
        reader
    }

    /// Requests the next part, if the object has one.
    fn request_next(&mut self) {
        let end = self.object.bytes.min(self.requested + PART_BYTES);
        if self.requested == end {
            return;
        }
        let object = self.object.clone();
        let is_whole_object = self.requested == 0 && end == object.bytes;
        let options = GetOptions {
            range: (!is_whole_object).then_some(GetRange::Bounded(self.requested..end)),
            // if the object is replaced, fail instead of mixing parts of two objects
            if_match: object.e_tag,
            version: object.version,
            ..GetOptions::default()
        };
        self.requested = end;
        self.next_part = Some(self.handle.spawn(async move {
            object.client.get_opts(&object.path, options).await?.bytes().await
        }));
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.part.is_empty() {
            let Some(next_part) = self.next_part.take() else { return Ok(0) };
            let response = self.handle.block_on(next_part).map_err(Error::other)?;
            self.part = response.map_err(Error::other)?;
            self.request_next();
        }
        let length = self.part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.part.split_to(length));
        Ok(length)
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        if let Some(next_part) = &self.next_part {
            next_part.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;

    fn content(length: u64) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect()
    }

    /// Puts an object and reads it; replaces it after `replaced_after` bytes.
    async fn read(length: u64, replaced_after: Option<usize>) -> Result<Vec<u8>> {
        let client: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("a");
        client.put(&path, content(length).into()).await.unwrap();
        let object = S3Object::head(&client, "s3://b/a".to_owned(), "a", None).await.unwrap();
        let handle = Handle::current();
        let work = move || {
            let mut reader = ObjectReader::new(object, handle.clone());
            let mut all = vec![0; replaced_after.unwrap_or_default()];
            reader.read_exact(&mut all)?;
            if replaced_after.is_some() {
                handle.block_on(client.put(&path, content(length).into())).unwrap();
            }
            reader.read_to_end(&mut all)?;
            Ok(all)
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn object_of_any_size_is_read_to_the_end() {
        for length in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 17] {
            assert!(read(length, None).await.unwrap() == content(length), "{length} bytes");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn object_replaced_during_the_read_fails_with_precondition() {
        let error = read(4 * PART_BYTES, Some(7)).await.unwrap_err();
        let error = error.downcast::<object_store::Error>().unwrap();
        assert!(matches!(error, object_store::Error::Precondition { .. }), "{error}");
    }
}
