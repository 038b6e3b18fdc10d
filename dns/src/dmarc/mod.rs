//! DMARC (RFC 9989): the parser of records, the tree walk that finds the policy of a domain, the linter.

mod discovery;
mod lint;
mod record;

pub(crate) use discovery::organizational;
pub use discovery::{DmarcDiscovery, DmarcRecordAt, discover};
pub(crate) use lint::lint;
pub use record::{
    AlignmentMode, DmarcFault, DmarcPolicy, DmarcRecord, DomainRelation, PublicSuffix, is_dmarc,
};
