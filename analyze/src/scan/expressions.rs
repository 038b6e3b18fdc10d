//! Polars expressions over the event table: filters, dimensions, and the outcome of an event.

use std::collections::HashSet;

use bouncewatch_schemas::bounce::{BounceClass, SIMULATOR_DOMAIN};
use bouncewatch_schemas::event::{Channel, EventKind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::DAY_MS;
use polars::prelude::*;

use crate::scan::complaint_reports::{FEEDBACK, PUBLISHED, REPORT_SEPARATOR};
use crate::timeline::{Dimension, NO_FEEDBACK, Outcome};

/// Separator between the values of a tag with several values.
pub(crate) const TAG_SEPARATOR: &str = "\u{1f}";

/// Kinds of events that are counted.
const COUNTED_KINDS: [EventKind; 8] = [
    EventKind::Send,
    EventKind::Delivery,
    EventKind::Bounce,
    EventKind::Complaint,
    EventKind::DeliveryDelay,
    EventKind::Reject,
    EventKind::RenderingFailure,
    EventKind::IncomingBounce,
];

/// A column without values.
pub(super) fn no_value(name: &str, data_type: DataType) -> Expr {
    lit(NULL).cast(data_type).alias(name)
}

/// Whether an event is of a service; null counts as false.
pub(super) fn is_of_service(service: Service) -> Expr {
    col(table::SERVICE).eq(lit(service.as_str()))
}

/// Whether an event is of a kind.
pub(super) fn is_kind(kind: EventKind) -> Expr {
    col(table::KIND).eq(lit(kind.as_str()))
}

/// Whether an event is about the account. Compares each kind, so that row groups without them are skipped.
pub(super) fn is_about_account() -> Expr {
    EventKind::ACCOUNT_KINDS.into_iter().map(is_kind).fold(lit(false), Expr::or)
}

/// Whether an event is about mail.
pub(super) fn is_about_mail() -> Expr {
    is_about_account().fill_null(lit(false)).not()
}

/// Maximum number of recipients that are compared one by one. Only such comparisons can skip row
/// groups by their statistics.
const COMPARED_RECIPIENTS_MAX: usize = 8;

/// Whether the recipient is one of `recipients`.
pub(super) fn is_recipient<'r>(recipients: impl IntoIterator<Item = &'r String>) -> Expr {
    let recipients: Vec<&String> = recipients.into_iter().collect();
    if recipients.len() > COMPARED_RECIPIENTS_MAX {
        let recipients: HashSet<String> = recipients.into_iter().cloned().collect();
        return col(table::RECIPIENT).map(
            move |column| {
                let is_match =
                    |text: Option<&str>| text.is_some_and(|text| recipients.contains(text));
                let is_match = column.str()?.iter().map(is_match);
                Ok(BooleanChunked::from_iter_values(column.name().clone(), is_match).into_column())
            },
            |_, field| Ok(Field::new(field.name.clone(), DataType::Boolean)),
        );
    }
    let is_equal = |one: &String| col(table::RECIPIENT).eq(lit(one.clone()));
    recipients.into_iter().map(is_equal).fold(lit(false), Expr::or)
}

/// Whether events of this kind are counted.
pub(super) fn is_counted_kind() -> Expr {
    COUNTED_KINDS.into_iter().map(is_kind).reduce(Expr::or).expect("there are kinds")
}

/// Whether SES counts the message: not for mail to the mailbox simulator or to own domains, which SES excludes from
/// numerator and denominator (SES developer guide, "Using the mailbox simulator" and "Sending review FAQs"). True for
/// an event without recipient, and for an incoming bounce, which is in no rate.
pub(super) fn is_counted_mail(own_domains: &[String]) -> Expr {
    is_outgoing().and(is_simulator().or(is_own_domain(own_domains))).not()
}

/// Reason why SES does not count a message: `simulator` or `own_domain`; null if it does.
pub(super) fn exclusion_reason(own_domains: &[String]) -> Expr {
    when(is_outgoing().and(is_simulator()))
        .then(lit("simulator"))
        .when(is_outgoing().and(is_own_domain(own_domains)))
        .then(lit("own_domain"))
        .otherwise(lit(NULL))
}

/// Whether an event is dated at most a day after its arrival. Later dates come from a wrong clock;
/// only earlier releases stored such events.
pub(super) fn is_not_from_the_future() -> Expr {
    let time = |name: &str| col(name).cast(DataType::Int64);
    let latest = time(table::RECEIVED_AT) + lit(DAY_MS);
    time(table::EVENT_AT).lt_eq(latest).fill_null(lit(true))
}

fn is_outgoing() -> Expr {
    is_kind(EventKind::IncomingBounce).fill_null(lit(false)).not()
}

fn is_simulator() -> Expr {
    col(table::RECIPIENT_DOMAIN).eq(lit(SIMULATOR_DOMAIN)).fill_null(lit(false))
}

fn is_own_domain(own_domains: &[String]) -> Expr {
    let domain = || col(table::RECIPIENT_DOMAIN);
    let own = own_domains.iter().map(|own| {
        let own = own.to_lowercase();
        let is_subdomain = domain().str().ends_with(lit(format!(".{own}")));
        domain().eq(lit(own)).or(is_subdomain)
    });
    own.fold(lit(false), Expr::or).fill_null(lit(false))
}

/// [`NO_FEEDBACK`] for mail to providers that send no complaint feedback to SES; null for others.
pub(super) fn no_feedback() -> Expr {
    let is_without_feedback = provider::WITHOUT_FEEDBACK
        .iter()
        .map(|name| col(table::PROVIDER).eq(lit(*name)))
        .fold(lit(false), Expr::or);
    when(is_without_feedback.fill_null(lit(false))).then(lit(NO_FEEDBACK)).otherwise(lit(NULL))
}

/// Channel, recipient and feedback ID of a complaint in one text; null for other events. The column
/// of recipients is read only if `has_recipients` is true.
///
/// Builds texts for complaints only; a polars expression would build one for each row.
pub(super) fn complaint_report(has_recipients: bool) -> Expr {
    let report = |columns: &mut [Column]| {
        let [kinds, channels, ids, recipients @ ..] = columns else {
            polars_bail!(ComputeError: "too few columns")
        };
        let (channels, ids) = (channels.str()?, ids.str()?);
        let recipients = recipients.first().map(|column| column.str()).transpose()?;
        let is_complaint = kinds.str()?.equal(EventKind::Complaint.as_str());
        let reports = is_complaint.iter().enumerate().map(|(row, is_complaint)| {
            let report = || {
                let is_feedback = channels.get(row) == Some(Channel::IdentityFeedback.as_str());
                let channel = if is_feedback { FEEDBACK } else { PUBLISHED };
                let recipient = recipients.and_then(|texts| texts.get(row)).unwrap_or_default();
                let id = ids.get(row).unwrap_or_default();
                format!("{channel}{recipient}{REPORT_SEPARATOR}{id}")
            };
            (is_complaint == Some(true)).then(report)
        });
        let name = ids.name().clone();
        Ok(StringChunked::from_iter_options(name, reports).into_column())
    };
    let field =
        |_: &Schema, _: &[Field]| Ok(Field::new(table::FEEDBACK_ID.into(), DataType::String));
    let mut arguments = vec![col(table::CHANNEL), col(table::FEEDBACK_ID)];
    if has_recipients {
        arguments.push(col(table::RECIPIENT));
    }
    col(table::KIND).map_many(report, &arguments, field).alias(table::FEEDBACK_ID)
}

/// Fields that determine the outcome of an event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OutcomeFields<'t> {
    pub(super) kind: Option<&'t str>,
    pub(super) class: Option<&'t str>,
    pub(super) counts: Option<bool>,
    pub(super) complaint_type: Option<&'t str>,
    pub(super) complaint_subtype: Option<&'t str>,
}

impl OutcomeFields<'_> {
    /// Text columns of these fields, in their order.
    pub(super) const TEXT_COLUMNS: [&'static str; 4] =
        [table::KIND, table::CLASS, table::COMPLAINT_TYPE, table::COMPLAINT_SUBTYPE];

    /// Returns the outcome of the event in the rates of a service.
    pub(super) fn outcome(&self, service: Service) -> Outcome {
        match self.kind.and_then(EventKind::parse) {
            Some(EventKind::Send) => Outcome::Send,
            Some(EventKind::Delivery) => Outcome::Delivery,
            Some(EventKind::Bounce) => self.bounce(service),
            Some(EventKind::Complaint) if self.is_counted_complaint() => Outcome::Complaint,
            Some(EventKind::Complaint) => Outcome::ComplaintNotCounted,
            Some(EventKind::DeliveryDelay) => Outcome::Delay,
            Some(EventKind::Reject) => Outcome::Reject,
            Some(EventKind::RenderingFailure) => Outcome::RenderingFailure,
            Some(EventKind::IncomingBounce) => Outcome::IncomingBounce,
            _ => Outcome::Other,
        }
    }

    fn bounce(&self, service: Service) -> Outcome {
        // `counts` describes rates of SES; bounces of WorkMail have only a class
        let counts = self.counts == Some(true) || service == Service::WorkMail;
        match self.class.and_then(BounceClass::parse) {
            Some(BounceClass::Hard) if counts => Outcome::Hard,
            Some(BounceClass::Suppressed) if counts => Outcome::SuppressedCounted,
            Some(BounceClass::Suppressed) => Outcome::Suppressed,
            Some(BounceClass::Undetermined) => Outcome::Undetermined,
            Some(BounceClass::Soft) => Outcome::Soft,
            Some(BounceClass::AutoReply) => Outcome::AutoReply,
            Some(BounceClass::Hard) | None => Outcome::BounceOther,
        }
    }

    /// Whether a complaint counts: not a `not-spam` report, and not about mail that a suppression list stopped
    /// (`OnAccountSuppressionList` and similar subtypes). A complaint without type counts.
    fn is_counted_complaint(&self) -> bool {
        let is_not_spam =
            self.complaint_type.is_some_and(|value| value.eq_ignore_ascii_case("not-spam"));
        let is_suppressed = self
            .complaint_subtype
            .is_some_and(|value| value.to_ascii_lowercase().contains("suppression"));
        !is_not_spam && !is_suppressed
    }
}

/// Value of a dimension; null if there is none. The values of a tag with several values are joined with
/// [`TAG_SEPARATOR`]. The "other" provider is null, so that a copy with a known provider wins.
pub(super) fn dimension_value(dimension: &Dimension) -> Expr {
    let name = dimension.name();
    match dimension {
        Dimension::Column(column @ "provider") => when(col(*column).eq(lit(provider::OTHER)))
            .then(lit(NULL))
            .otherwise(col(*column))
            .alias(name),
        Dimension::Column(column) => col(*column).alias(name),
        Dimension::Tag(tag) => {
            let tag = tag.clone();
            let values = move |tags: Column| tag_values(&tags, &tag);
            let field = |_: &Schema, field: &Field| Ok(field.clone().with_dtype(DataType::String));
            col(table::TAGS).map(values, field).alias(name)
        }
    }
}

/// Returns the joined values of a tag. An equivalent polars expression takes several times as long.
fn tag_values(tags: &Column, tag: &str) -> PolarsResult<Column> {
    let lists = tags.list()?.rechunk();
    let (tags, offsets) = (lists.get_inner(), lists.offsets()?);
    let (names, values) =
        (tags.struct_()?.field_by_name("key")?, tags.struct_()?.field_by_name("value")?);
    let (names, values) = (names.str()?.downcast_as_array(), values.str()?.downcast_as_array());
    let validity = lists.downcast_as_array().validity();
    let mut joined = StringChunkedBuilder::new(lists.name().clone(), lists.len());
    let mut of_row: Vec<&str> = Vec::new();
    for row in 0..lists.len() {
        let (start, end) = offsets.start_end(row);
        let is_known = validity.is_none_or(|validity| validity.get_bit(row));
        let found = (start..end).filter(|at| is_known && names.get(*at) == Some(tag));
        of_row.clear();
        of_row.extend(found.filter_map(|at| values.get(at)));
        of_row.sort_unstable();
        of_row.dedup();
        match of_row.as_slice() {
            [] | [""] => joined.append_null(),
            [value] => joined.append_value(value),
            several => joined.append_value(several.join(TAG_SEPARATOR)),
        }
    }
    Ok(joined.finish().into_column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_tag_is_the_sorted_list_of_its_values() {
        let rows: [Option<&[(&str, &str)]>; 6] = [
            Some(&[("team", "x"), ("campaign", "b"), ("campaign", "a"), ("campaign", "b")]),
            None,
            Some(&[]),
            Some(&[("campaign", "")]),
            Some(&[("campaign", "c")]),
            Some(&[("other", "c")]),
        ];
        let list = |row: &[(&str, &str)]| {
            let text = |at: fn(&(&str, &str)) -> String| row.iter().map(at).collect::<Vec<_>>();
            let fields = [
                Column::new("key".into(), text(|tag| tag.0.to_owned())),
                Column::new("value".into(), text(|tag| tag.1.to_owned())),
            ];
            StructChunked::from_columns("".into(), row.len(), &fields).unwrap().into_series()
        };
        let lists: Vec<Option<Series>> = rows.map(|row| row.map(list)).to_vec();
        let tags = Column::new(table::TAGS.into(), lists);
        let value = dimension_value(&Dimension::Tag("campaign".to_owned()));
        // a slice starts within the values
        for first in 0..rows.len() {
            let tags = DataFrame::new(rows.len(), vec![tags.clone()]).unwrap();
            let tags = tags.slice(i64::try_from(first).unwrap(), rows.len());
            let found = tags.lazy().select([value.clone()]).collect().unwrap();
            let found: Vec<Option<String>> = found.columns()[0]
                .str()
                .unwrap()
                .iter()
                .map(|value| value.map(str::to_owned))
                .collect();
            let expected = ["a\u{1f}b", "", "", "", "c", ""];
            let expected = expected.map(|text| (!text.is_empty()).then(|| text.to_owned()));
            assert_eq!(found, expected[first..], "{first}");
        }
    }

    #[test]
    fn event_more_than_a_day_after_its_arrival_is_from_the_future() {
        let arrival = 1_795_046_400_000_i64;
        let rows = df![
            table::EVENT_AT => [arrival, arrival + DAY_MS, arrival + DAY_MS + 1, arrival],
            table::RECEIVED_AT => [Some(arrival), Some(arrival), Some(arrival), None],
        ];
        let is_kept = is_not_from_the_future().alias("is_kept");
        let rows = rows.unwrap().lazy().select([is_kept]).collect().unwrap();
        let kept: Vec<_> = rows.column("is_kept").unwrap().bool().unwrap().iter().collect();
        assert_eq!(kept, [Some(true), Some(true), Some(false), Some(true)]);
    }
}
