//! `history`: lists all events of one address or message, and whether `suppress` lists the address.
//!
//! Causes are classified by the current rules, as in `causes` and `suppress`.

mod collector;
pub mod model;
mod request;
mod run;
mod subject;
pub mod table;

pub use model::MailHistory;
pub use request::HistoryRequest;
pub use run::history;
pub use subject::HistorySubject;
