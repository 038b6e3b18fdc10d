//! Daily aggregates: what the events of a closed day add to the timelines, computed once and stored in a file.
//!
//! The files are a cache: they can be deleted, and are rebuilt when their segments change. If the
//! store is in a bucket, they are also in the bucket (`shared`), for other machines. Each
//! combination of measure, basis, service, grouping and excluded domains has its own folder.
//! Without write permission, the aggregates stay in memory, and the next run computes them again.

mod aggregate;
mod delta;
mod folder;
mod measure;
mod shared;
mod shared_times;
mod time_lists;
mod times_by_day;

pub(super) use aggregate::DailyAggregate;
pub(super) use delta::{PAIRS_CODE, Sign, TimelineDelta};
pub(super) use folder::AggregateFolder;
pub(super) use measure::Measure;
pub(super) use time_lists::{AggregateTimes, DayList};
pub(super) use times_by_day::TimesByDay;
