//! `forecast`: expected bounces and complaints of a list before it is sent, from the history of each address and of its
//! domain. `docs/src/forecast.md` describes the model.

mod address_state;
mod address_table;
mod after_send;
mod backtest;
pub mod csv;
mod evaluation;
mod interval;
mod mailing;
pub mod model;
mod parts;
mod rate_model;
mod recipient_list;
mod replay;
mod request;
mod run;
mod shrinkage;
mod split;
pub mod table;
mod tallies;
#[cfg(test)]
mod tests;
mod totals;

pub use backtest::backtest;
pub use recipient_list::RecipientList;
pub use request::{BacktestRequest, ForecastRequest};
pub use run::{ListForecast, forecast};
