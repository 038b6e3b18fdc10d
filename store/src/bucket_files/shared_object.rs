//! A small object beside the tables that several machines read and replace.

/// An object and its `ETag`.
#[derive(Debug, Clone, Default)]
pub struct SharedObject {
    /// Content; `None` if there is no object.
    pub bytes: Option<Vec<u8>>,
    /// `ETag`.
    pub(super) tag: Option<String>,
}
