//! One object as a stream of bytes, for code that reads and does not wait.
//!
//! It comes in parts, each a request of its own, so that a connection that breaks, or a store that is slow to take
//! what was read, costs a part and not the object; and so that no more than two parts are held, however large it is.
//! The next part is on its way while one is read.

use std::io::{Error, Read, Result};

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::source::objects::Found;

/// Bytes of one request.
const PART_BYTES: u64 = 4 * 1024 * 1024;

/// Reads an object. Blocks, so it is for threads that may.
pub(super) struct ObjectReader {
    object: Found,
    handle: Handle,
    /// What of the last part is not read yet.
    part: Bytes,
    /// The next part.
    coming: Option<JoinHandle<object_store::Result<Bytes>>>,
    asked: u64,
}

impl ObjectReader {
    pub(super) fn new(object: Found, handle: Handle) -> Self {
        let mut reader = Self { object, handle, part: Bytes::new(), coming: None, asked: 0 };
        reader.ask();
        reader
    }

    /// Asks for the next part, if there is one.
    fn ask(&mut self) {
        let end = self.object.bytes.min(self.asked + PART_BYTES);
        if self.asked == end {
            return;
        }
        let object = self.object.clone();
        let is_all = self.asked == 0 && end == object.bytes;
        let options = GetOptions {
            range: (!is_all).then_some(GetRange::Bounded(self.asked..end)),
            // all parts are of one object, also where it is replaced meanwhile
            if_match: object.e_tag,
            version: object.version,
            ..GetOptions::default()
        };
        self.asked = end;
        self.coming = Some(self.handle.spawn(async move {
            object.objects.get_opts(&object.path, options).await?.bytes().await
        }));
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.part.is_empty() {
            let Some(coming) = self.coming.take() else { return Ok(0) };
            let came = self.handle.block_on(coming).map_err(Error::other)?;
            self.part = came.map_err(Error::other)?;
            self.ask();
        }
        let length = self.part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.part.split_to(length));
        Ok(length)
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        if let Some(coming) = &self.coming {
            coming.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;

    fn content(length: u64) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect()
    }

    /// Puts an object, and reads it after so many bytes it was replaced.
    async fn read(length: u64, replaced_after: Option<usize>) -> Result<Vec<u8>> {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("a");
        objects.put(&path, content(length).into()).await.unwrap();
        let found = Found::look(&objects, "s3://b/a".to_owned(), "a", None).await.unwrap();
        let handle = Handle::current();
        let work = move || {
            let mut reader = ObjectReader::new(found, handle.clone());
            let mut all = vec![0; replaced_after.unwrap_or_default()];
            reader.read_exact(&mut all)?;
            if replaced_after.is_some() {
                handle.block_on(objects.put(&path, content(length).into())).unwrap();
            }
            reader.read_to_end(&mut all)?;
            Ok(all)
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_object_is_read_whole_whatever_its_size() {
        for length in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 17] {
            assert!(read(length, None).await.unwrap() == content(length), "{length} bytes");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_object_that_is_replaced_meanwhile_is_not_mixed() {
        let error = read(4 * PART_BYTES, Some(7)).await.unwrap_err();
        let error = error.downcast::<object_store::Error>().unwrap();
        assert!(matches!(error, object_store::Error::Precondition { .. }), "{error}");
    }
}
