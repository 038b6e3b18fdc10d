//! Tenants and their reputation entities.

use serde::{Deserialize, Serialize};

use crate::snapshot::part::Part;
use crate::snapshot::time::Time;

/// A tenant of `ListTenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Name.
    pub name: String,
    /// Response of `GetReputationEntity`.
    #[serde(default)]
    pub reputation: Part<Reputation>,
}

/// Reputation entity of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reputation {
    /// Status that the customer set.
    pub customer: Option<StatusRecord>,
    /// Status that AWS set.
    pub aws: Option<StatusRecord>,
    /// Both together.
    pub aggregate: Option<String>,
    /// `LOW` or `HIGH`.
    pub impact: Option<String>,
    /// ARN of the policy (`standard`, `strict`, `none`).
    pub policy: Option<String>,
}

/// A sending status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// `ENABLED`, `DISABLED`, `REINSTATED`.
    pub status: String,
    /// Reason.
    pub cause: Option<String>,
    /// Last change.
    pub updated: Option<Time>,
}
