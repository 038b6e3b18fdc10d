//! Counts failures by the dimensions of groupings. Counts do not depend on the order of events.

use std::collections::{BTreeMap, HashMap};

use bouncewatch_classify::template;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::EventKind;

use crate::causes::anonymise::anonymise;
use crate::causes::cached_classifier::{CachedClassifier, ClassifiedFailure};
use crate::causes::grouping::{CauseDimension, CauseGrouping};
use crate::causes::reported_cause::ReportedCause;
use crate::incidents::find::IncidentBounces;
use crate::scan::{Failure, TAG_SEPARATOR};
use crate::timeline::{Dimension, Outcome, ScopeValues};

/// Counts of the period and of the previous period.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailureCounts {
    /// Bounces of the period.
    pub(super) count: u64,
    /// Bounces of the period that count in the bounce rate of SES.
    pub(super) counted: u64,
    /// Bounces of the previous period.
    pub(super) before: u64,
}

impl FailureCounts {
    fn add(&mut self, event: TalliedEvent) {
        if event.is_before {
            self.before += 1;
        } else {
            self.count += 1;
            self.counted += u64::from(event.is_counted);
        }
    }
}

/// Number of texts with the same template, and an example.
#[derive(Debug, Default)]
struct TemplateTexts {
    count: u64,
    /// The earliest text and its time.
    example: Option<(i64, Box<str>)>,
}

impl TemplateTexts {
    fn add(&mut self, at: i64, text: &str) {
        self.count += 1;
        let is_earlier =
            |(earliest, known): &(i64, Box<str>)| (at, text) < (*earliest, known.as_ref());
        if self.example.as_ref().is_none_or(is_earlier) {
            self.example = Some((at, Box::from(text)));
        }
    }
}

/// Counts and texts of one group.
#[derive(Debug, Default)]
pub(super) struct GroupTally {
    pub(super) counts: FailureCounts,
    /// By template ID.
    texts: BTreeMap<u32, TemplateTexts>,
}

/// Counts and values of one cause.
#[derive(Debug, Default)]
pub(super) struct CauseTally {
    pub(super) counts: FailureCounts,
    /// For each dimension of the scan, the number of bounces by value.
    pub(super) values: Vec<BTreeMap<String, u64>>,
    pub(super) block_lists: BTreeMap<String, u64>,
}

/// Delays of the period and of the previous period, by type and provider.
pub(super) type Delays = BTreeMap<(Option<String>, String), (u64, u64)>;

/// Type and subtype of SES, and the cause found in the text.
pub(super) type Contradiction = (Option<String>, Option<String>, Cause);

/// Fields by which texts that match no rule are grouped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnknownKey {
    pub(super) template: Option<String>,
    pub(super) bounce_type: Option<String>,
    pub(super) bounce_subtype: Option<String>,
    pub(super) smtp_code: Option<u16>,
    pub(super) enhanced_status: Option<String>,
}

/// Properties of a failure that decide which counts it increments.
#[derive(Debug, Clone, Copy)]
struct TalliedEvent {
    is_before: bool,
    /// Whether it counts in the bounce rate of SES.
    is_counted: bool,
}

/// Counts of all failures.
pub(super) struct FailureTally<'a, 'c> {
    groupings: &'a [CauseGrouping],
    dimensions: &'a [Dimension],
    /// Start of the period (exclusive); earlier failures belong to the previous period.
    from: i64,
    classifier: &'a mut CachedClassifier<'c>,
    /// Recipients of bounces that belong to provider incidents, by message.
    incident_bounces: &'a IncidentBounces,
    templates: Templates,
    pub(super) all: FailureCounts,
    pub(super) auto_replies: u64,
    /// Groups of each grouping.
    pub(super) groups: Vec<BTreeMap<ScopeValues, GroupTally>>,
    pub(super) causes: BTreeMap<ReportedCause, CauseTally>,
    pub(super) delays: Delays,
    pub(super) contradictions: BTreeMap<Contradiction, GroupTally>,
    pub(super) unknown: BTreeMap<UnknownKey, u64>,
}

/// IDs of the templates of texts.
#[derive(Debug, Default)]
struct Templates {
    ids: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Templates {
    /// Returns the ID of the template of a text.
    fn id(&mut self, text: &str) -> u32 {
        let text = template(text);
        if let Some(id) = self.ids.get(&text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.clone());
        self.ids.insert(text, id);
        id
    }
}

impl<'a, 'c> FailureTally<'a, 'c> {
    /// Returns empty counts.
    pub(super) fn new(
        groupings: &'a [CauseGrouping],
        dimensions: &'a [Dimension],
        from: i64,
        classifier: &'a mut CachedClassifier<'c>,
        incident_bounces: &'a IncidentBounces,
    ) -> Self {
        Self {
            groupings,
            dimensions,
            from,
            classifier,
            incident_bounces,
            templates: Templates::default(),
            all: FailureCounts::default(),
            auto_replies: 0,
            groups: groupings.iter().map(|_| BTreeMap::new()).collect(),
            causes: BTreeMap::new(),
            delays: BTreeMap::new(),
            contradictions: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Counts a failure; `provider` is the index of the provider in `failure.values`.
    pub(super) fn add(&mut self, failure: &Failure<'_>, provider: usize) {
        let is_before = failure.at <= self.from;
        if failure.kind == EventKind::DeliveryDelay {
            let delay_type = failure.delay_type.map(str::to_owned);
            let provider = failure.values.get(provider).copied().flatten().unwrap_or_default();
            let (count, before) = self.delays.entry((delay_type, provider.to_owned())).or_default();
            *if is_before { before } else { count } += 1;
            return;
        }
        let classified = self.classifier.classify(failure);
        if classified.cause == Cause::AutoReply {
            self.auto_replies += u64::from(!is_before);
            return;
        }
        let is_incident = failure.recipient.is_some_and(|recipient| {
            let of_message = self.incident_bounces.get(&failure.message);
            of_message.is_some_and(|all| all.contains(recipient))
        });
        let cause = if is_incident {
            ReportedCause::ProviderIncident
        } else {
            ReportedCause::Text(classified.cause)
        };
        let is_counted = matches!(failure.outcome, Outcome::Hard | Outcome::SuppressedCounted);
        let event = TalliedEvent { is_before, is_counted };
        let text =
            failure.diagnostic.filter(|_| !is_before).map(|text| (self.templates.id(text), text));
        self.all.add(event);
        for (grouping, groups) in self.groupings.iter().zip(&mut self.groups) {
            for values in group_values(grouping, self.dimensions, failure, cause) {
                add_to_group(groups.entry(values).or_default(), event, failure.at, text);
            }
        }
        self.add_cause(failure, cause, &classified, event);
        if is_incident {
            return;
        }
        if classified.agrees_with_ses == Some(false) {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let key = (owned(failure.bounce_type), owned(failure.bounce_subtype), classified.cause);
            add_to_group(self.contradictions.entry(key).or_default(), event, failure.at, text);
        }
        if !classified.has_rule && !is_before {
            *self.unknown.entry(unknown_key(failure)).or_default() += 1;
        }
    }

    fn add_cause(
        &mut self,
        failure: &Failure<'_>,
        cause: ReportedCause,
        classified: &ClassifiedFailure,
        event: TalliedEvent,
    ) {
        let cause = self.causes.entry(cause).or_default();
        cause.counts.add(event);
        if event.is_before {
            return;
        }
        cause.values.resize_with(self.dimensions.len(), BTreeMap::new);
        for (values, value) in cause.values.iter_mut().zip(&failure.values) {
            for value in value.iter().flat_map(|value| value.split(TAG_SEPARATOR)) {
                *values.entry(value.to_owned()).or_default() += 1;
            }
        }
        if let Some(list) = &classified.block_list {
            *cause.block_lists.entry(list.to_string()).or_default() += 1;
        }
    }

    /// Returns a text with the most frequent template of a group; if several are equally frequent,
    /// the first template in alphabetical order.
    pub(super) fn example<'g>(&self, group: &'g GroupTally) -> Option<&'g str> {
        let template = |id: u32| self.templates.texts.get(id as usize);
        let most = group.texts.iter().max_by(|(a, first), (b, second)| {
            first.count.cmp(&second.count).then_with(|| template(**b).cmp(&template(**a)))
        });
        most.and_then(|(_, texts)| texts.example.as_ref()).map(|(_, text)| text.as_ref())
    }
}

fn add_to_group(group: &mut GroupTally, event: TalliedEvent, at: i64, text: Option<(u32, &str)>) {
    group.counts.add(event);
    if let Some((template, text)) = text {
        group.texts.entry(template).or_default().add(at, text);
    }
}

/// Returns the groups of a failure: one, or one per combination of values if tags have several
/// values.
fn group_values(
    grouping: &CauseGrouping,
    dimensions: &[Dimension],
    failure: &Failure<'_>,
    cause: ReportedCause,
) -> Vec<ScopeValues> {
    let mut all: Vec<ScopeValues> = vec![Vec::with_capacity(grouping.0.len())];
    for dimension in &grouping.0 {
        let own = match dimension {
            CauseDimension::Cause => vec![Some(cause.as_str())],
            CauseDimension::Fault => vec![Some(cause.fault().as_str())],
            CauseDimension::Rollup => vec![Some(cause.rollup().as_str())],
            CauseDimension::Scope(dimension) => {
                let at = dimensions.iter().position(|known| known == dimension);
                match at.and_then(|at| failure.values.get(at).copied().flatten()) {
                    Some(value) if matches!(dimension, Dimension::Tag(_)) => {
                        value.split(TAG_SEPARATOR).map(Some).collect()
                    }
                    value => vec![value],
                }
            }
        };
        all = all
            .into_iter()
            .flat_map(|values| {
                own.iter().map(move |value| {
                    let mut values = values.clone();
                    values.push(value.map(str::to_owned));
                    values
                })
            })
            .collect();
    }
    all
}

fn unknown_key(failure: &Failure<'_>) -> UnknownKey {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    UnknownKey {
        template: failure.diagnostic.map(|text| anonymise(text, failure.recipient)),
        bounce_type: owned(failure.bounce_type),
        bounce_subtype: owned(failure.bounce_subtype),
        smtp_code: failure.smtp_code,
        enhanced_status: owned(failure.enhanced_status),
    }
}
