//! Groupings of failures.

use std::str::FromStr;

use bouncewatch_schemas::table;

use crate::error::AnalyzeError;
use crate::timeline::Dimension;

/// One dimension of a grouping of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CauseDimension {
    /// The cause.
    Cause,
    /// The party that can fix it.
    Fault,
    /// List quality, sender health, or neither.
    Rollup,
    /// A column of the event table, or a tag.
    Scope(Dimension),
}

impl CauseDimension {
    /// Returns its name in arguments and in the JSON.
    pub fn name(&self) -> String {
        match self {
            Self::Cause => "cause".to_owned(),
            Self::Fault => "fault".to_owned(),
            Self::Rollup => "rollup".to_owned(),
            Self::Scope(dimension) => dimension.name(),
        }
    }
}

impl FromStr for CauseDimension {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "cause" => Ok(Self::Cause),
            "fault" => Ok(Self::Fault),
            "rollup" => Ok(Self::Rollup),
            // short names
            "domain" => Ok(Self::Scope(Dimension::Column(table::RECIPIENT_DOMAIN))),
            "campaign" => Ok(Self::Scope(Dimension::Tag("campaign".to_owned()))),
            other => match other.parse() {
                Ok(dimension) => Ok(Self::Scope(dimension)),
                Err(_) => Err(AnalyzeError::CauseGrouping(other.to_owned())),
            },
        }
    }
}

/// Dimensions by which failures are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseGrouping(pub Vec<CauseDimension>);

impl FromStr for CauseGrouping {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut dimensions = Vec::new();
        for dimension in text.split(',') {
            let dimension = dimension.parse()?;
            if !dimensions.contains(&dimension) {
                dimensions.push(dimension);
            }
        }
        Ok(Self(dimensions))
    }
}
