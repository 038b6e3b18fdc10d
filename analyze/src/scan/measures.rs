//! Named expressions over the event table: what an event is for the rates, and by which words it is cut.

use bouncewatch_schemas::bounce::{BounceClass, SIMULATOR_DOMAIN};
use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use polars::prelude::*;

use crate::timeline::model::{NO_FEEDBACK, Outcome, ScopeWord};

/// Between the values of a tag that has several.
pub(crate) const TAG_SEPARATOR: &str = "\u{1f}";

/// Kinds that a rate, or the denominator of one, is made of, or that are counted beside it.
const COUNTED_KINDS: [Kind; 8] = [
    Kind::Send,
    Kind::Delivery,
    Kind::Bounce,
    Kind::Complaint,
    Kind::DeliveryDelay,
    Kind::Reject,
    Kind::RenderingFailure,
    Kind::IncomingBounce,
];

/// Events of one service; those of another are in no rate of it. Null counts as no.
pub(crate) fn is_of(service: Service) -> Expr {
    col(table::SERVICE).eq(lit(service.as_str()))
}

/// Events of one kind.
pub(crate) fn is_kind(kind: Kind) -> Expr {
    col(table::KIND).eq(lit(kind.as_str()))
}

/// Whether an event is counted anywhere, or only tells about its message.
pub(crate) fn is_counted_kind() -> Expr {
    COUNTED_KINDS.into_iter().map(is_kind).reduce(Expr::or).expect("there are kinds")
}

/// Mail but to the simulator and to one's own domains, which SES leaves out of numerator and denominator (facts 5.1). An
/// event without recipient stays, and so do bounces of others' mail to us, which are in no rate.
pub(crate) fn is_foreign_mail(own_domains: &[String]) -> Expr {
    is_ours().and(is_simulator().or(is_own(own_domains))).not()
}

/// Why SES does not count a mail: `simulator` or `own_domain`; null where it counts it.
pub(crate) fn left_out(own_domains: &[String]) -> Expr {
    when(is_ours().and(is_simulator()))
        .then(lit("simulator"))
        .when(is_ours().and(is_own(own_domains)))
        .then(lit("own_domain"))
        .otherwise(lit(NULL))
}

fn is_ours() -> Expr {
    is_kind(Kind::IncomingBounce).fill_null(lit(false)).not()
}

fn is_simulator() -> Expr {
    col(table::RECIPIENT_DOMAIN).eq(lit(SIMULATOR_DOMAIN)).fill_null(lit(false))
}

fn is_own(own_domains: &[String]) -> Expr {
    let domain = || col(table::RECIPIENT_DOMAIN);
    let own = own_domains.iter().map(|own| {
        let own = own.to_lowercase();
        let below = domain().str().ends_with(lit(format!(".{own}")));
        domain().eq(lit(own)).or(below)
    });
    own.fold(lit(false), Expr::or).fill_null(lit(false))
}

/// The word for mail to providers that tell SES of no complaints; null for the others.
pub(crate) fn no_feedback() -> Expr {
    let is_one = provider::WITHOUT_FEEDBACK
        .iter()
        .map(|name| col(table::PROVIDER).eq(lit(*name)))
        .fold(lit(false), Expr::or);
    when(is_one.fill_null(lit(false))).then(lit(NO_FEEDBACK)).otherwise(lit(NULL))
}

/// The words that tell what an event is for the rates.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told<'t> {
    pub(crate) kind: Option<&'t str>,
    pub(crate) class: Option<&'t str>,
    pub(crate) counts: Option<bool>,
    pub(crate) complaint_type: Option<&'t str>,
    pub(crate) complaint_subtype: Option<&'t str>,
}

impl Told<'_> {
    /// The columns of text among them.
    pub(crate) const TEXTS: [&'static str; 4] =
        [table::KIND, table::CLASS, table::COMPLAINT_TYPE, table::COMPLAINT_SUBTYPE];

    /// What the event is for the rates of a service.
    pub(crate) fn outcome(&self, service: Service) -> Outcome {
        match self.kind.and_then(Kind::from_word) {
            Some(Kind::Send) => Outcome::Send,
            Some(Kind::Delivery) => Outcome::Delivery,
            Some(Kind::Bounce) => self.bounce(service),
            Some(Kind::Complaint) if self.is_real_complaint() => Outcome::Complaint,
            Some(Kind::Complaint) => Outcome::ComplaintNotCounted,
            Some(Kind::DeliveryDelay) => Outcome::Delay,
            Some(Kind::Reject) => Outcome::Reject,
            Some(Kind::RenderingFailure) => Outcome::RenderingFailure,
            Some(Kind::IncomingBounce) => Outcome::IncomingBounce,
            _ => Outcome::Other,
        }
    }

    fn bounce(&self, service: Service) -> Outcome {
        // what SES counts says nothing of WorkMail's bounces: there a class is all that there is
        let counts = self.counts == Some(true) || service == Service::WorkMail;
        match self.class.and_then(BounceClass::from_word) {
            Some(BounceClass::Hard) if counts => Outcome::Hard,
            Some(BounceClass::Suppressed) if counts => Outcome::SuppressedCounted,
            Some(BounceClass::Suppressed) => Outcome::Suppressed,
            Some(BounceClass::Undetermined) => Outcome::Undetermined,
            Some(BounceClass::Soft) => Outcome::Soft,
            Some(BounceClass::AutoReply) => Outcome::AutoReply,
            Some(BounceClass::Hard) | None => Outcome::BounceOther,
        }
    }

    /// Whether a complaint counts: it is no `not-spam` report, and not about mail that a suppression list held back
    /// (`OnAccountSuppressionList` and its kin). What is not told counts.
    fn is_real_complaint(&self) -> bool {
        let is_not_spam =
            self.complaint_type.is_some_and(|word| word.eq_ignore_ascii_case("not-spam"));
        let held_back = self
            .complaint_subtype
            .is_some_and(|word| word.to_ascii_lowercase().contains("suppression"));
        !is_not_spam && !held_back
    }
}

/// The value of a word of a cut; a tag with several values gives them in one text, with [`TAG_SEPARATOR`] between.
/// Null where there is none. A provider that is not known is null too, so that a copy that knows wins.
pub(crate) fn word(word: &ScopeWord) -> Expr {
    let name = word.name();
    match word {
        ScopeWord::Column(column @ "provider") => when(col(*column).eq(lit(provider::OTHER)))
            .then(lit(NULL))
            .otherwise(col(*column))
            .alias(name),
        ScopeWord::Column(column) => col(*column).alias(name),
        ScopeWord::Tag(tag) => {
            let field = |name: &str| element().struct_().field_by_name(name);
            let values = col(table::TAGS).list().eval(
                field("value")
                    .filter(field("key").eq(lit(tag.clone())))
                    .unique()
                    .sort(SortOptions::default()),
            );
            let joined = values.list().join(lit(TAG_SEPARATOR), true);
            when(joined.clone().eq(lit(""))).then(lit(NULL)).otherwise(joined).alias(name)
        }
    }
}
