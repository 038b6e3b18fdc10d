//! Gauges computed at scrape time. Each worker or queue owns a slot of a gauge; dropping the slot removes its
//! contribution, so that a gauge never keeps the value of a worker that has ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

/// The contributions to a gauge, one per slot.
#[derive(Debug)]
pub struct GaugeSlots<T> {
    next_id: AtomicU64,
    values: Mutex<BTreeMap<u64, T>>,
}

impl<T> Default for GaugeSlots<T> {
    fn default() -> Self {
        Self { next_id: AtomicU64::new(0), values: Mutex::default() }
    }
}

impl<T> GaugeSlots<T> {
    /// A new, empty slot.
    pub fn slot(self: &Arc<Self>) -> GaugeSlot<T> {
        GaugeSlot { id: self.next_id.fetch_add(1, Ordering::Relaxed), slots: Arc::clone(self) }
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<u64, T>> {
        self.values.lock().expect("lock is never poisoned")
    }
}

impl<T: Copy + Ord> GaugeSlots<T> {
    /// The smallest value; `None` if all slots are empty.
    pub fn min(&self) -> Option<T> {
        self.values().values().min().copied()
    }

    /// The greatest value; `None` if all slots are empty.
    pub fn max(&self) -> Option<T> {
        self.values().values().max().copied()
    }
}

impl<T: Copy + std::iter::Sum> GaugeSlots<T> {
    /// The sum of all values.
    pub fn sum(&self) -> T {
        self.values().values().copied().sum()
    }
}

/// The contribution of one worker or queue to a gauge. Dropping it removes the value.
#[derive(Debug)]
pub struct GaugeSlot<T> {
    id: u64,
    slots: Arc<GaugeSlots<T>>,
}

impl<T> GaugeSlot<T> {
    /// Replaces the value.
    pub fn set(&self, value: T) {
        self.set_with(|| value);
    }

    /// Replaces the value by the result of `value`, which runs under the lock. If several threads
    /// update the slot, the last update therefore stores the latest value.
    pub fn set_with(&self, value: impl FnOnce() -> T) {
        let mut values = self.slots.values();
        let value = value();
        values.insert(self.id, value);
    }

    /// Sets the value if the slot is empty.
    pub fn set_if_empty(&self, value: T) {
        self.slots.values().entry(self.id).or_insert(value);
    }

    /// Removes the value.
    pub fn clear(&self) {
        self.slots.values().remove(&self.id);
    }
}

impl<T> Drop for GaugeSlot<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The latest of the recorded times, epoch milliseconds.
#[derive(Debug)]
pub struct LatestTime(AtomicI64);

impl Default for LatestTime {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl LatestTime {
    /// Records a time. Ignores times before the latest one.
    pub fn record(&self, at: i64) {
        self.0.fetch_max(at, Ordering::Relaxed);
    }

    /// The latest time; `None` if no time was recorded.
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != i64::MIN)
    }
}

/// A gauge that calls a function at each scrape. If the function returns `None`, the gauge is absent, not 0.
pub(crate) struct ComputedGauge<V> {
    read: Box<dyn Fn() -> Option<V> + Send + Sync>,
}

impl<V> ComputedGauge<V> {
    pub(crate) fn new(read: impl Fn() -> Option<V> + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read) }
    }
}

impl<V> std::fmt::Debug for ComputedGauge<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputedGauge").finish_non_exhaustive()
    }
}

impl<V: EncodeGaugeValue> EncodeMetric for ComputedGauge<V> {
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
    fn dropped_and_cleared_slots_contribute_nothing() {
        let slots: Arc<GaugeSlots<i64>> = Arc::default();
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
    fn latest_time_ignores_earlier_times() {
        let latest = LatestTime::default();
        assert_eq!(latest.get(), None);
        for at in [5, 9, -3] {
            latest.record(at);
        }
        assert_eq!(latest.get(), Some(9));
    }
}
