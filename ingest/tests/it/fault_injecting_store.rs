//! An object store in a folder with one fault before a chosen call: a crash, or a file removed by another process.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A fault.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This call and all later ones fail, as after a crash.
    Crash,
    /// Another process removes a file.
    Remove(Path),
}

#[derive(Debug)]
pub(crate) struct FaultInjectingStore {
    inner: Arc<LocalFileSystem>,
    calls: Arc<AtomicUsize>,
    at: usize,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl FaultInjectingStore {
    /// Injects `fault` before call number `at`, from 0.
    pub(crate) fn new(folder: &FilePath, at: usize, fault: Fault) -> Self {
        let inner = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        Self { inner, calls: Arc::default(), at, fault: Arc::new(Mutex::new(Some(fault))) }
    }

    /// Counts a call, and injects the fault if it is due.
    fn before_call(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        let is_due = self.calls.fetch_add(1, Ordering::SeqCst) >= self.at;
        let (inner, fault) = (Arc::clone(&self.inner), Arc::clone(&self.fault));
        async move {
            if !is_due {
                return Ok(());
            }
            let fault = match &mut *fault.lock().unwrap() {
                Some(Fault::Crash) => {
                    return Err(Error::Generic { store: "test", source: "crashed".into() });
                }
                fault => fault.take(),
            };
            match fault {
                Some(Fault::Remove(path)) => inner.delete(&path).await,
                _ => Ok(()),
            }
        }
    }

    /// Whether the fault was injected.
    pub(crate) fn was_injected(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }
}

impl fmt::Display for FaultInjectingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fault-injecting store")
    }
}

#[async_trait]
impl ObjectStore for FaultInjectingStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.before_call().await?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before_call().await?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.before_call().await?;
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (before, inner) = (self.before_call(), Arc::clone(&self.inner));
        let deleted = before.map(move |before| match before {
            Ok(()) => inner.delete_stream(paths),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        deleted.into_stream().flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (before, inner) = (self.before_call(), Arc::clone(&self.inner));
        let prefix = prefix.cloned();
        let listed = before.map(move |before| match before {
            Ok(()) => inner.list(prefix.as_ref()),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        listed.into_stream().flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.before_call().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.before_call().await?;
        self.inner.copy_opts(from, to, options).await
    }
}
