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

use super::Found;

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
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.asked..end)),
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
