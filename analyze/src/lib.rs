//! Computes bounce and complaint rates of a store, and reports, alerts on and explains them.
//!
//! `scan` reads the store (polars is used there and in one report file), `timeline` contains sorted
//! event times by scope, `check` computes verdicts, `counts` evaluates counts that another engine
//! computed, `report` formats verdicts, `alert` notifies, `brake` pauses sending. `causes` groups
//! failures by cause, `incidents` finds provider incidents, `suppress` lists addresses to suppress,
//! `forecast` estimates the bounces of a list, `history` lists the events of one address or
//! message, `page` runs the analyses of a page on one listing of the store.

pub mod alert;
pub mod brake;
pub mod causes;
pub mod check;
pub mod counts;
mod csv_output;
pub mod error;
pub mod forecast;
pub mod history;
pub mod incidents;
pub mod page;
pub mod report;
mod scan;
pub mod suppress;
pub mod timeline;
