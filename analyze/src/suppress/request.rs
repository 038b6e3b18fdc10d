//! Parameters of `suppress`.

use crate::suppress::address_list::AddressList;
use crate::suppress::decision::SoftLimit;
use bouncewatch_store::StoreFiles;

/// Parameters of `suppress`.
#[derive(Debug, Clone)]
pub struct SuppressRequest {
    /// Files of the store.
    pub store: StoreFiles,
    /// Time of the evaluation, epoch milliseconds.
    pub at: i64,
    /// Number of soft failures that suppress an address.
    pub soft: SoftLimit,
    /// Minimum number of addresses of a provider incident; 0: incidents are not detected.
    pub mass_guard: usize,
    /// A list to compare with.
    pub known: Option<AddressList>,
}
