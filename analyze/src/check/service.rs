//! Serde helpers for the key `service` of the JSON output.

use bouncewatch_schemas::event::Service;
use serde::Serializer;

/// Returns true for SES; the key `service` is omitted from the JSON then.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(crate) fn is_ses(service: &Service) -> bool {
    *service == Service::Ses
}

/// Serializes a service as its name: `ses` or `workmail`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(crate) fn serialize_service<S: Serializer>(
    service: &Service,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(service.as_str())
}
