//! Reading, writing and replacing small objects beside the tables.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::bucket_files::BucketFiles;
use crate::bucket_files::shared_object::SharedObject;
use crate::compare_and_swap::{OBJECT_BYTES_MAX, SwapError, read, swap};
use crate::error::StoreError;

impl BucketFiles {
    /// Returns an object at a path below the store, cached since its first read by this process.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn shared_object(&self, path: &str) -> Result<Arc<SharedObject>, StoreError> {
        if let Some(known) = self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(known));
        }
        self.read_shared_object(path)
    }

    /// Makes [`Self::shared_object`] return no content for a path, because the content is invalid.
    pub fn ignore_shared_object(&self, path: &str) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get_mut(path) {
            let tag = known.tag.clone();
            *known = Arc::new(SharedObject { bytes: None, tag });
        }
    }

    /// Reads the newest version of an object at a path below the store.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn read_shared_object(&self, path: &str) -> Result<Arc<SharedObject>, StoreError> {
        let location = self.store.path(path);
        let found = self.runtime.block_on(read(self.store.objects(), &location));
        let found = found.map_err(|error| self.swap_error(&location, error))?;
        let (bytes, tag) = found.unzip();
        Ok(self.remember(path, SharedObject { bytes, tag }))
    }

    fn remember(&self, path: &str, object: SharedObject) -> Arc<SharedObject> {
        let object = Arc::new(object);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.insert(path.to_owned(), Arc::clone(&object));
        object
    }

    /// Replaces an object. Returns false, and writes nothing, if another process has replaced or
    /// removed it since `previous` was read.
    ///
    /// # Errors
    /// If it cannot be written. Later calls of [`Self::is_read_only`] return true.
    pub fn replace_shared_object(
        &self,
        path: &str,
        previous: &SharedObject,
        bytes: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let location = self.store.path(path);
        let tag = previous.tag.as_deref();
        let swap = swap(self.store.objects(), &location, tag, bytes.clone());
        match self.runtime.block_on(swap) {
            Ok(Some(tag)) => {
                self.remember(path, SharedObject { bytes: Some(bytes), tag: Some(tag) });
                Ok(true)
            }
            Ok(None) | Err(SwapError::Write(object_store::Error::NotFound { .. })) => Ok(false),
            Err(error) => Err(self.swap_error(&location, error)),
        }
    }

    /// Writes an object that no other process replaces.
    ///
    /// # Errors
    /// If it cannot be written. Later calls of [`Self::is_read_only`] return true.
    pub fn write_object(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let location = self.store.path(path);
        let put = self.runtime.block_on(self.store.objects().put(&location, bytes.into()));
        put.map(drop).map_err(|error| self.write_error(&location, error))
    }

    /// Content of an object that is never replaced; `None` if it does not exist.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn read_object(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.store.get(&self.store.path(path)))
    }

    /// A part of an object that is never replaced.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_object_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let location = self.store.path(path);
        let part = self.runtime.block_on(self.store.objects().get_range(&location, range));
        part.map(Vec::from).map_err(self.store.object_error("read", &location))
    }

    /// Removes an object. An object that does not exist is no error.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_object(&self, path: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.store.delete(&self.store.path(path)))
    }

    fn swap_error(&self, location: &Path, error: SwapError) -> StoreError {
        let failed = |why: String| object_store::Error::Generic { store: "S3", source: why.into() };
        match error {
            SwapError::Write(error) => self.write_error(location, error),
            SwapError::Read(error) => self.store.object_error("read", location)(error),
            SwapError::NoTag => {
                self.write_error(location, failed("the server returned no ETag".to_owned()))
            }
            SwapError::TooLarge(bytes) => self.store.object_error("read", location)(failed(
                format!("it has {bytes} bytes, more than {OBJECT_BYTES_MAX}"),
            )),
        }
    }

    fn write_error(&self, location: &Path, error: object_store::Error) -> StoreError {
        self.is_read_only.store(true, Ordering::Relaxed);
        self.store.object_error("write", location)(error)
    }
}
