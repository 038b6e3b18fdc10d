//! Numbers that are true at the moment at which somebody looks: each holder of a part keeps its own up to date in a
//! slot, and a gauge computes the whole when it is read. A holder that is gone has no part any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

/// The parts of a number, one for each holder that has one.
#[derive(Debug)]
pub struct Slots<T> {
    next: AtomicU64,
    parts: Mutex<BTreeMap<u64, T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), parts: Mutex::default() }
    }
}

impl<T> Slots<T> {
    /// A slot for one more holder; nothing is in it yet.
    pub fn slot(self: &Arc<Self>) -> Slot<T> {
        Slot { id: self.next.fetch_add(1, Ordering::Relaxed), slots: Arc::clone(self) }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<u64, T>> {
        self.parts.lock().expect("nobody panics while holding this lock")
    }
}

impl<T: Copy + Ord> Slots<T> {
    /// The least part, if there is any.
    pub fn min(&self) -> Option<T> {
        self.parts().values().min().copied()
    }

    /// The greatest part, if there is any.
    pub fn max(&self) -> Option<T> {
        self.parts().values().max().copied()
    }
}

impl<T: Copy + std::iter::Sum> Slots<T> {
    /// The sum of all parts.
    pub fn sum(&self) -> T {
        self.parts().values().copied().sum()
    }
}

/// The place of one holder.
#[derive(Debug)]
pub struct Slot<T> {
    id: u64,
    slots: Arc<Slots<T>>,
}

impl<T> Slot<T> {
    /// Replaces what is in it.
    pub fn set(&self, part: T) {
        self.set_with(|| part);
    }

    /// Replaces what is in it by what is read while nobody else replaces it: of several who do this after a change,
    /// the last one reads the last change.
    pub fn set_with(&self, part: impl FnOnce() -> T) {
        let mut parts = self.slots.parts();
        let part = part();
        parts.insert(self.id, part);
    }

    /// Puts something in, if nothing is in it.
    pub fn set_if_empty(&self, part: T) {
        self.slots.parts().entry(self.id).or_insert(part);
    }

    /// Takes out what is in it.
    pub fn clear(&self) {
        self.slots.parts().remove(&self.id);
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The latest of some moments, epoch milliseconds; unknown until there is one.
#[derive(Debug)]
pub struct Latest(AtomicI64);

impl Default for Latest {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Latest {
    /// Notes a moment.
    pub fn note(&self, at: i64) {
        self.0.fetch_max(at, Ordering::Relaxed);
    }

    /// The latest one, if there is any.
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != i64::MIN)
    }
}

/// A gauge that is computed when it is read. What is not known is left out, and not shown as 0.
pub(crate) struct Live<V> {
    read: Box<dyn Fn() -> Option<V> + Send + Sync>,
}

impl<V> Live<V> {
    pub(crate) fn new(read: impl Fn() -> Option<V> + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read) }
    }
}

impl<V> std::fmt::Debug for Live<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl<V: EncodeGaugeValue> EncodeMetric for Live<V> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        (self.read)().map_or(Ok(()), |value| encoder.encode_gauge(&value))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        (self.read)().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_has_the_parts_of_those_who_are_there() {
        let slots: Arc<Slots<i64>> = Arc::default();
        let (one, two) = (slots.slot(), slots.slot());
        assert_eq!((slots.sum(), slots.min(), slots.max()), (0, None, None));
        one.set(3);
        two.set(4);
        two.set_if_empty(9);
        assert_eq!((slots.sum(), slots.min(), slots.max()), (7, Some(3), Some(4)));
        one.clear();
        one.set_if_empty(1);
        assert_eq!(slots.sum(), 5);
        drop(two);
        assert_eq!((slots.sum(), slots.max()), (1, Some(1)));
    }

    #[test]
    fn the_latest_moment_is_kept() {
        let latest = Latest::default();
        assert_eq!(latest.get(), None);
        for at in [5, 9, -3] {
            latest.note(at);
        }
        assert_eq!(latest.get(), Some(9));
    }
}
