//! The `detail` of an event about the account on the event bus of EventBridge.
//!
//! Source: SES developer guide, "Managing tenants", "Setting up EventBridge notifications".

use crate::wire::lenient::{Object, Text, TextOrObject, wire_object};

wire_object! {
    /// The detail of `Sending Status ...` and `Advisor Recommendation Status ...`.
    pub struct AccountDetail<'a> {
        /// The text of a finding, or the change of a status.
        pub data: TextOrObject<'a, AccountData<'a>> = "data",
        /// Facts about a finding.
        pub metadata: Object<Finding<'a>> = "metadata",
    }
}

wire_object! {
    /// The change of a status.
    pub struct AccountData<'a> {
        /// The party that changed it: `CUSTOMER_MANAGED` or `AWS_MANAGED`.
        pub origin: Text<'a> = "origin",
        /// The new status.
        pub record: Object<StatusRecord<'a>> = "record",
        /// Impact of a finding without `metadata`.
        pub impact: Text<'a> = "impact",
        /// Type of a finding without `metadata`.
        pub finding_type: Text<'a> = "type" | "recommendationType",
        /// Text of a finding.
        pub description: Text<'a> = "description",
    }
}

wire_object! {
    /// The new status.
    pub struct StatusRecord<'a> {
        /// Why it changed.
        pub cause: Text<'a> = "cause",
    }
    unread "status" | "lastUpdatedTimestamp"
}

wire_object! {
    /// Facts about a finding.
    pub struct Finding<'a> {
        /// `LOW` or `HIGH`.
        pub impact: Text<'a> = "impact",
        /// `BOUNCE`, `COMPLAINT`, ...
        pub finding_type: Text<'a> = "type",
    }
}
