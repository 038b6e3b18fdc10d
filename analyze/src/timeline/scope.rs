//! Groupings of events, and the scopes that they result in.

use std::fmt;
use std::str::FromStr;

use bouncewatch_schemas::send_counts::SCOPE_COLUMNS;
use bouncewatch_schemas::table;
use serde::{Serialize, Serializer};

use crate::error::AnalyzeError;

/// Columns that every scope has.
pub const ACCOUNT_COLUMNS: [&str; 2] = ["account", "region"];

/// Dimension that is not a column of the event table: why SES does not count a message. `reconcile`
/// groups by it.
pub const EXCLUSION_REASON: &str = "left_out";

/// Dimension that is not a column of the event table. Its value is its own name for mail to
/// providers that send no complaint feedback, and missing for other mail.
pub(crate) const NO_FEEDBACK: &str = "no_feedback";

/// One dimension of a grouping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// A column of the event table.
    Column(&'static str),
    /// A message tag.
    Tag(String),
}

impl Dimension {
    /// Returns its name in arguments and in the JSON.
    pub fn name(&self) -> String {
        match self {
            Self::Column(name) => (*name).to_owned(),
            Self::Tag(name) => format!("tag:{name}"),
        }
    }

    /// Whether all recipients of a message have the same value.
    pub fn is_of_message(&self) -> bool {
        !matches!(
            self,
            Self::Column(
                "provider" | "recipient_domain" | "cause" | EXCLUSION_REASON | NO_FEEDBACK
            )
        )
    }

    /// Parses a dimension for contributors: that of a grouping, or `cause`.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn parse_contributor(text: &str) -> Result<Self, AnalyzeError> {
        if text.trim() == table::CAUSE {
            return Ok(Self::Column(table::CAUSE));
        }
        text.parse().map_err(|_| AnalyzeError::Contributor(text.to_owned()))
    }
}

impl FromStr for Dimension {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(tag) = text.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
            return Ok(Self::Tag(tag.to_owned()));
        }
        ACCOUNT_COLUMNS
            .iter()
            .chain(&SCOPE_COLUMNS)
            .find(|column| **column == text)
            .map(|column| Self::Column(column))
            .ok_or_else(|| AnalyzeError::Grouping(text.to_owned()))
    }
}

/// A grouping of events: account and region, then further dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping(pub Vec<Dimension>);

impl Grouping {
    /// Returns the grouping by account and region.
    pub fn account() -> Self {
        Self(ACCOUNT_COLUMNS.iter().map(|column| Dimension::Column(column)).collect())
    }

    /// Parses a comma-separated list of dimensions below account and region.
    ///
    /// # Errors
    /// If a dimension is neither a column nor a tag.
    pub fn parse(text: &str) -> Result<Self, AnalyzeError> {
        let mut grouping = Self::account();
        for dimension in text.split(',') {
            let dimension = dimension.parse()?;
            if !grouping.0.contains(&dimension) {
                grouping.0.push(dimension);
            }
        }
        Ok(grouping)
    }

    /// Returns the grouping with one more dimension.
    #[must_use]
    pub fn with(&self, dimension: Dimension) -> Self {
        Self(self.0.iter().cloned().chain([dimension]).collect())
    }

    /// Whether it is the grouping by account and region only.
    pub fn is_account(&self) -> bool {
        self.0.len() == ACCOUNT_COLUMNS.len()
    }
}

/// Values of a grouping's dimensions, in their order; `None` if the events have no value.
pub type ScopeValues = Vec<Option<String>>;

/// A scope in output: name and value of each dimension, in the order of the grouping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub Vec<(String, Option<String>)>);

impl Scope {
    /// Returns the scope with these values.
    pub fn new(grouping: &Grouping, values: &ScopeValues) -> Self {
        Self(grouping.0.iter().map(Dimension::name).zip(values.iter().cloned()).collect())
    }

    /// Returns account and region, then `NAME=VALUE` of the other dimensions; `missing` is the text
    /// for a missing value.
    pub(crate) fn text(&self, missing: &str) -> String {
        let part = |(name, value): &(String, Option<String>)| {
            let value = value.as_deref().unwrap_or(missing);
            if ACCOUNT_COLUMNS.contains(&name.as_str()) {
                value.to_owned()
            } else {
                format!("{name}={value}")
            }
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    /// Whether the scope is an account and a region, not a group below them.
    pub fn is_account(&self) -> bool {
        self.0.len() == ACCOUNT_COLUMNS.len()
    }
}

/// Text for a dimension without a value.
pub(crate) const NO_VALUE: &str = "(none)";

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(NO_VALUE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_of_recipients_are_not_those_of_messages() {
        for (text, expected) in [
            ("identity", true),
            ("tag:campaign", true),
            ("source_ip", true),
            ("provider", false),
            ("recipient_domain", false),
            ("cause", false),
        ] {
            let dimension = Dimension::parse_contributor(text).unwrap();
            assert_eq!(dimension.is_of_message(), expected, "{text}");
        }
    }

    #[test]
    fn grouping_has_each_dimension_once() {
        let grouping = Grouping::parse("identity, region,tag:x,identity").unwrap();
        let names: Vec<String> = grouping.0.iter().map(Dimension::name).collect();
        assert_eq!(names, ["account", "region", "identity", "tag:x"]);
    }
}
