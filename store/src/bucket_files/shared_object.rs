//! A small object beside the tables that several machines read and replace.

use object_store::UpdateVersion;

/// An object and its version.
#[derive(Debug, Clone, Default)]
pub struct SharedObject {
    /// Content; `None` if there is no object.
    pub bytes: Option<Vec<u8>>,
    pub(super) version: Option<UpdateVersion>,
}
