//! [`BufferPool`]: a pool of read buffers. Reuse avoids page faults on fresh allocations.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

/// Maximum number of pooled buffers.
const BUFFERS_MAX: usize = 32;
/// Capacities of pooled buffers, bytes. Buffers of other sizes are freed.
const BUFFER_BYTES: RangeInclusive<usize> = 128 * 1024..=512 * 1024;

/// A pool of read buffers.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// Returns a pooled buffer, with its old content, or a new empty one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_default()
    }

    /// Returns a buffer to the pool. Frees it if the pool is full or its size is not in
    /// [`BUFFER_BYTES`].
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        if buffers.len() < BUFFERS_MAX && BUFFER_BYTES.contains(&buffer.capacity()) {
            buffers.push(buffer);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().expect("lock is never poisoned")
    }
}
