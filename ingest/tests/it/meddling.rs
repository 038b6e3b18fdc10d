//! A store on a disk that somebody else meddles with: it dies after so many calls, or a file goes before one.

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

/// What happens, and before which call.
#[derive(Debug)]
pub(crate) enum Meddle {
    /// Nothing works from this call on, as after a crash.
    Die,
    /// A file is removed by somebody else.
    Remove(Path),
}

/// The store.
#[derive(Debug)]
pub(crate) struct Meddling {
    inner: Arc<LocalFileSystem>,
    calls: Arc<AtomicUsize>,
    at: usize,
    meddle: Arc<Mutex<Option<Meddle>>>,
}

impl Meddling {
    pub(crate) fn new(folder: &FilePath, at: usize, meddle: Meddle) -> Self {
        let inner = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        Self { inner, calls: Arc::default(), at, meddle: Arc::new(Mutex::new(Some(meddle))) }
    }

    /// What somebody else does before a call.
    fn before(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        let reached = self.calls.fetch_add(1, Ordering::SeqCst) >= self.at;
        let (inner, meddle) = (Arc::clone(&self.inner), Arc::clone(&self.meddle));
        async move {
            if !reached {
                return Ok(());
            }
            let removed = match &mut *meddle.lock().unwrap() {
                Some(Meddle::Die) => {
                    return Err(Error::Generic { store: "test", source: "it died".into() });
                }
                other => other.take(),
            };
            match removed {
                Some(Meddle::Remove(path)) => inner.delete(&path).await,
                _ => Ok(()),
            }
        }
    }

    /// Whether so many calls were made that something happened.
    pub(crate) fn is_reached(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }
}

impl fmt::Display for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("meddling")
    }
}

#[async_trait]
impl ObjectStore for Meddling {
    async fn put_opts(&self, to: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.before().await?;
        self.inner.put_opts(to, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before().await?;
        self.inner.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.before().await?;
        self.inner.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (before, inner) = (self.before(), Arc::clone(&self.inner));
        let deleted = before.map(move |before| match before {
            Ok(()) => inner.delete_stream(paths),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        deleted.into_stream().flatten().boxed()
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (before, inner, below) = (self.before(), Arc::clone(&self.inner), below.cloned());
        let listed = before.map(move |before| match before {
            Ok(()) => inner.list(below.as_ref()),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        listed.into_stream().flatten().boxed()
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.before().await?;
        self.inner.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.before().await?;
        self.inner.copy_opts(from, to, how).await
    }
}
