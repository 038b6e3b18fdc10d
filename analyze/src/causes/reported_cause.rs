//! Cause of a bounce in reports: that of its text, or a provider incident.

use bouncewatch_classify::{Advice, advice};
use bouncewatch_schemas::cause::{Action, Cause, Fault, Rollup};

use crate::incidents::model::INCIDENT_REMEDY;

/// Cause of a bounce in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReportedCause {
    /// The cause that the text states.
    Text(Cause),
    /// The bounce belongs to a provider incident: the cause that its text states is wrong.
    ProviderIncident,
}

impl ReportedCause {
    const PROVIDER_INCIDENT: &str = "provider_incident";

    /// Returns the value in output.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Text(cause) => cause.as_str(),
            Self::ProviderIncident => Self::PROVIDER_INCIDENT,
        }
    }

    /// Returns the cause with this value in output.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            Self::PROVIDER_INCIDENT => Some(Self::ProviderIncident),
            _ => Cause::parse(text).map(Self::Text),
        }
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Text(cause) => cause.fault(),
            Self::ProviderIncident => Fault::RecipientServer,
        }
    }

    pub(super) fn action(self) -> Action {
        match self {
            Self::Text(cause) => cause.action(),
            Self::ProviderIncident => Action::Wait,
        }
    }

    pub(super) fn rollup(self) -> Rollup {
        match self {
            Self::Text(cause) => cause.rollup(),
            Self::ProviderIncident => Rollup::NotUs,
        }
    }

    pub(super) fn advice(self) -> Advice {
        match self {
            Self::Text(cause) => advice(cause),
            Self::ProviderIncident => Advice {
                meaning: "Many addresses of one provider that received mail before bounced with one text: its servers had a fault.",
                remedy: INCIDENT_REMEDY,
                ses: Some(
                    "SES adds hard bounces to its suppression list and counts them in the bounce rate, also in an incident.",
                ),
            },
        }
    }
}
