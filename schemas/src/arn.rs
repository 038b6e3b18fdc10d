//! Amazon Resource Names (AWS general reference, "Amazon Resource Names").

/// The components of an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`. Components can be empty.
///
/// ```
/// use bouncewatch_schemas::arn::Arn;
///
/// let topic = Arn::parse("arn:aws:sns:eu-west-1:123456789012:ses-events").unwrap();
/// assert_eq!((topic.region, topic.resource), ("eu-west-1", "ses-events"));
/// assert_eq!(Arn::parse("arn:aws:sns:eu-west-1"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the components in the form above")]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN; `None` if a component is missing.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let (partition, service, region) = (parts.next()?, parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        Some(Self { partition, service, region, account, resource })
    }
}
