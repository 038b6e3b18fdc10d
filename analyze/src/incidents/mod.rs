//! Provider incidents: at one provider, many addresses that received mail before suddenly bounce
//! with the same text.
//!
//! - `detection`: finds incidents in bounces and delivery counts (no I/O)
//! - `similar_texts`: joins texts that differ in one word (no I/O)
//! - `find`: finds the incidents of a store
//! - `model`, `table`: output

pub(crate) mod detection;
pub(crate) mod find;
pub mod model;
pub(crate) mod similar_texts;
pub(crate) mod table;

pub use find::IncidentSearch;
pub use model::ProviderIncident;
