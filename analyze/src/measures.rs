//! Named expressions over the event table: what an event is for the rates, and by which words it is cut.

use bouncewatch_schemas::bounce::{BounceClass, SIMULATOR_DOMAIN};
use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use polars::prelude::*;

use crate::model::{NO_FEEDBACK, Outcome, ScopeWord};

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
    left_out(own_domains).is_null()
}

/// Why SES does not count a mail: `simulator` or `own_domain`; null where it counts it.
pub(crate) fn left_out(own_domains: &[String]) -> Expr {
    let domain = || col(table::RECIPIENT_DOMAIN);
    let own = own_domains.iter().map(|own| {
        let own = own.to_lowercase();
        let below = domain().str().ends_with(lit(format!(".{own}")));
        domain().eq(lit(own)).or(below)
    });
    let is_own = own.fold(lit(false), Expr::or).fill_null(lit(false));
    let is_simulator = domain().eq(lit(SIMULATOR_DOMAIN)).fill_null(lit(false));
    let is_ours = is_kind(Kind::IncomingBounce).fill_null(lit(false)).not();
    when(is_ours.clone().and(is_simulator))
        .then(lit("simulator"))
        .when(is_ours.and(is_own))
        .then(lit("own_domain"))
        .otherwise(lit(NULL))
}

/// The word for mail to providers that tell SES of no complaints; null for the others.
pub(crate) fn no_feedback() -> Expr {
    let is_one = provider::WITHOUT_FEEDBACK
        .iter()
        .map(|name| col(table::PROVIDER).eq(lit(*name)))
        .fold(lit(false), Expr::or);
    when(is_one.fill_null(lit(false))).then(lit(NO_FEEDBACK)).otherwise(lit(NULL))
}

/// What an event is for the rates, as the number of an [`Outcome`].
pub(crate) fn outcome() -> Expr {
    let code = |outcome: Outcome| lit(outcome.code());
    let class = |class: BounceClass| col(table::CLASS).eq(lit(class.as_str()));
    // what SES counts says nothing of WorkMail's bounces: there a class is all that there is
    let counts = || col(table::COUNTS).or(is_of(Service::WorkMail));
    let bounce = when(class(BounceClass::Hard).and(counts()))
        .then(code(Outcome::Hard))
        .when(class(BounceClass::Suppressed).and(counts()))
        .then(code(Outcome::SuppressedCounted))
        .when(class(BounceClass::Undetermined))
        .then(code(Outcome::Undetermined))
        .when(class(BounceClass::Soft))
        .then(code(Outcome::Soft))
        .when(class(BounceClass::Suppressed))
        .then(code(Outcome::Suppressed))
        .when(class(BounceClass::AutoReply))
        .then(code(Outcome::AutoReply))
        .otherwise(code(Outcome::BounceOther));
    let complaint = when(is_real_complaint())
        .then(code(Outcome::Complaint))
        .otherwise(code(Outcome::ComplaintNotCounted));
    when(is_kind(Kind::Send))
        .then(code(Outcome::Send))
        .when(is_kind(Kind::Delivery))
        .then(code(Outcome::Delivery))
        .when(is_kind(Kind::Bounce))
        .then(bounce)
        .when(is_kind(Kind::Complaint))
        .then(complaint)
        .when(is_kind(Kind::DeliveryDelay))
        .then(code(Outcome::Delay))
        .when(is_kind(Kind::Reject))
        .then(code(Outcome::Reject))
        .when(is_kind(Kind::RenderingFailure))
        .then(code(Outcome::RenderingFailure))
        .when(is_kind(Kind::IncomingBounce))
        .then(code(Outcome::IncomingBounce))
        .otherwise(code(Outcome::Other))
}

/// A complaint that counts: no `not-spam` report, and not about mail that a suppression list held back. Nulls count.
fn is_real_complaint() -> Expr {
    let is_type = |word: &str| col(table::COMPLAINT_TYPE).eq(lit(word.to_owned()));
    let not_spam = ["not-spam", "Not-Spam", "NOT-SPAM"].map(is_type);
    let not_spam = not_spam.into_iter().reduce(Expr::or).expect("there are words");
    // `OnAccountSuppressionList` and its kin; small letters of every row would cost more than all else here
    let names =
        |part: &str| col(table::COMPLAINT_SUBTYPE).str().contains_literal(lit(part.to_owned()));
    let held_back = names("uppression").or(names("UPPRESSION"));
    not_spam.fill_null(lit(false)).or(held_back.fill_null(lit(false))).not()
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
