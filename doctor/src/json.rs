//! Findings as JSON, with the keys that `check` uses for its status.

use serde::Serialize;

use crate::finding::Finding;
use crate::judge::worst;
use crate::snapshot::Snapshot;
use crate::snapshot::time::Time;

/// Version of the JSON of findings. Keys are added, never renamed or removed.
const VERSION: u32 = 1;

/// Findings, with the account that they are about.
#[derive(Debug, Serialize)]
pub struct FindingsDocument<'a> {
    version: u32,
    as_of: Time,
    region: &'a str,
    account: Option<&'a String>,
    status: &'static str,
    exit_code: u8,
    findings: &'a [Finding],
}

impl<'a> FindingsDocument<'a> {
    /// The document of the findings about a snapshot.
    pub fn new(snapshot: &'a Snapshot, findings: &'a [Finding]) -> Self {
        let status = worst(findings).status();
        Self {
            version: VERSION,
            as_of: snapshot.taken_at,
            region: &snapshot.region,
            account: snapshot.account_id.value(),
            status: status.as_str(),
            exit_code: status.exit_code(),
            findings,
        }
    }
}
