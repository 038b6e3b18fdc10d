//! Store -> scan -> measures -> windows -> verdicts -> reports. The polars job.
//!
//! polars is named in `scan`, `measures` and `report/parquet` alone; everything behind `scan` sees plain structs.

mod aggregates;
pub mod alert;
pub mod causes;
pub mod check;
pub mod confidence;
pub mod contribution;
mod drivers;
pub mod error;
pub mod foresight;
pub mod levels;
mod loading;
mod measures;
pub mod mirror;
pub mod model;
pub mod reconcile;
pub mod report;
mod scan;
mod segments;
pub mod suppress;
pub mod thresholds;
pub mod times;
pub mod verdict;
pub mod volumes;
pub mod windows;
