//! Builds the report from the counts.

use std::collections::BTreeMap;

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::cause::{Action, Fault, Rollup};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::format_ms;

use crate::causes::delays;
use crate::causes::failure_tally::{
    CauseTally, Contradiction, FailureCounts, FailureTally, GroupTally, UnknownKey,
};
use crate::causes::grouping::{CauseDimension, CauseGrouping};
use crate::causes::model::{
    CauseAdvice, CauseGroup, CausesReport, CommonValue, DelayCount, Disagreement, MistypedDomain,
    NamedCount, RollupCount, UnknownText,
};
use crate::causes::reported_cause::ReportedCause;
use crate::causes::request::CausesRequest;
use crate::check::confidence::rate;
use crate::incidents::model::ProviderIncident;
use crate::timeline::{Dimension, Scope, ScopeValues};

/// Maximum number of common values per dimension, and of block lists.
const COMMON_VALUES_MAX: usize = 3;
/// Maximum number of mistyped domains per cause.
const SUGGESTIONS_MAX: usize = 5;

/// Builds the report from the counts.
pub(super) struct ReportBuilder<'a, 'c> {
    pub(super) request: &'a CausesRequest,
    pub(super) tally: &'a FailureTally<'a, 'c>,
    pub(super) incidents: &'a [ProviderIncident],
    /// Whether the store contains the previous period.
    pub(super) has_previous: bool,
}

impl ReportBuilder<'_, '_> {
    /// Returns the report.
    pub(super) fn build(
        &self,
        groupings: &[CauseGrouping],
        dimensions: &[Dimension],
    ) -> CausesReport {
        let tally = self.tally;
        let mut groups = Vec::new();
        for (grouping, of_grouping) in groupings.iter().zip(&tally.groups) {
            groups.extend(self.groups(grouping, of_grouping));
        }
        let (from, to) = (format_ms(self.request.from), format_ms(self.request.to));
        CausesReport {
            version: 1,
            as_of: to.clone(),
            from,
            to,
            bounces: tally.all.count,
            counted: tally.all.counted,
            bounces_before: self.before(tally.all.before),
            auto_replies: tally.auto_replies,
            rollups: self.rollups(),
            groups_total: tally.groups.iter().map(BTreeMap::len).sum(),
            groups,
            advice: self.advice(dimensions),
            delays: self.delays(),
            disagreements: self.disagreements(),
            unknown: self.unknown(),
            incidents: self.incidents(),
        }
    }

    /// Returns the incidents with bounces in the period.
    fn incidents(&self) -> Vec<ProviderIncident> {
        let from = format_ms(self.request.from);
        self.incidents.iter().filter(|one| one.to > from).cloned().collect()
    }

    /// Returns a count of the previous period; `None` if the store does not contain that period.
    fn before(&self, count: u64) -> Option<u64> {
        self.has_previous.then_some(count)
    }

    fn share(&self, count: u64) -> Option<f64> {
        rate(count, self.tally.all.count)
    }

    fn share_before(&self, counts: FailureCounts) -> Option<f64> {
        self.before(counts.before).and_then(|count| rate(count, self.tally.all.before))
    }

    fn rollups(&self) -> Vec<RollupCount> {
        let of = |rollup: &Rollup| {
            let mut sum = FailureCounts::default();
            for (_, of_cause) in
                self.tally.causes.iter().filter(|(cause, _)| cause.rollup() == *rollup)
            {
                sum.count += of_cause.counts.count;
                sum.counted += of_cause.counts.counted;
                sum.before += of_cause.counts.before;
            }
            RollupCount {
                rollup: rollup.as_str(),
                count: sum.count,
                share: self.share(sum.count),
                counted: sum.counted,
                count_before: self.before(sum.before),
                share_before: self.share_before(sum),
            }
        };
        Rollup::ALL.iter().map(of).collect()
    }

    fn groups(
        &self,
        grouping: &CauseGrouping,
        groups: &BTreeMap<ScopeValues, GroupTally>,
    ) -> Vec<CauseGroup> {
        let mut all: Vec<(&ScopeValues, &GroupTally)> = groups.iter().collect();
        // stable: equal groups keep the order of their values
        all.sort_by_key(|(_, group)| {
            std::cmp::Reverse((group.counts.count, group.counts.counted, group.counts.before))
        });
        all.truncate(self.request.top.unwrap_or(usize::MAX));
        let names: Vec<String> = grouping.0.iter().map(CauseDimension::name).collect();
        let report = |(values, group): (&ScopeValues, &GroupTally)| CauseGroup {
            scope: Scope(names.iter().cloned().zip(values.iter().cloned()).collect()),
            fault: fault(grouping, values).map(Fault::as_str),
            count: group.counts.count,
            share: self.share(group.counts.count),
            counted: group.counts.counted,
            count_before: self.before(group.counts.before),
            share_before: self.share_before(group.counts),
            example: self.tally.example(group).map(str::to_owned),
        };
        all.into_iter().map(report).collect()
    }

    fn advice(&self, dimensions: &[Dimension]) -> Vec<CauseAdvice> {
        let mut all: Vec<(&ReportedCause, &CauseTally)> = self.tally.causes.iter().collect();
        all.retain(|(_, of_cause)| of_cause.counts.count > 0);
        all.sort_by_key(|(_, of_cause)| std::cmp::Reverse(of_cause.counts.count));
        let report = |(cause, of_cause): (&ReportedCause, &CauseTally)| {
            let advice = cause.advice();
            CauseAdvice {
                cause: cause.as_str(),
                fault: cause.fault().as_str(),
                action: Action::as_str(cause.action()),
                count: of_cause.counts.count,
                share: self.share(of_cause.counts.count),
                mostly: common_values(dimensions, of_cause),
                block_lists: most_frequent(&of_cause.block_lists)
                    .map(|(name, count)| NamedCount { name: name.clone(), count })
                    .collect(),
                suggestions: mistyped_domains(dimensions, of_cause),
                meaning: advice.meaning,
                remedy: advice.remedy,
                ses: advice.ses,
            }
        };
        all.into_iter().map(report).collect()
    }

    fn delays(&self) -> Vec<DelayCount> {
        let delay = |((delay_type, provider), (count, before)): (
            &(Option<String>, String),
            &(u64, u64),
        )| DelayCount {
            meaning: delays::meaning(delay_type.as_deref()),
            about_sender: delay_type.as_deref().is_some_and(delays::is_about_sender),
            delay_type: delay_type.clone(),
            provider: provider.clone(),
            count: *count,
            count_before: self.before(*before),
        };
        let mut all: Vec<DelayCount> = self.tally.delays.iter().map(delay).collect();
        all.retain(|delay| delay.count > 0);
        all.sort_by_key(|delay| std::cmp::Reverse((delay.about_sender, delay.count)));
        all
    }

    fn disagreements(&self) -> Vec<Disagreement> {
        let all = self.tally.contradictions.iter().filter(|(_, group)| group.counts.count > 0);
        let report =
            |((bounce_type, bounce_subtype, cause), group): (&Contradiction, &GroupTally)| {
                Disagreement {
                    bounce_type: bounce_type.clone(),
                    bounce_subtype: bounce_subtype.clone(),
                    cause: cause.as_str(),
                    count: group.counts.count,
                    counted: group.counts.counted,
                    example: self.tally.example(group).map(str::to_owned),
                }
            };
        let mut all: Vec<Disagreement> = all.map(report).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.count));
        all
    }

    fn unknown(&self) -> Vec<UnknownText> {
        let report = |(key, count): (&UnknownKey, &u64)| {
            let key = key.clone();
            UnknownText {
                count: *count,
                template: key.template,
                smtp_code: key.smtp_code,
                enhanced_status: key.enhanced_status,
                bounce_type: key.bounce_type,
                bounce_subtype: key.bounce_subtype,
            }
        };
        let mut all: Vec<UnknownText> = self.tally.unknown.iter().map(report).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.count));
        all
    }
}

/// Returns the fault of a group by its cause or fault; `None` if the grouping has neither.
fn fault(grouping: &CauseGrouping, values: &ScopeValues) -> Option<Fault> {
    grouping.0.iter().zip(values).find_map(|(dimension, value)| match dimension {
        CauseDimension::Cause => ReportedCause::parse(value.as_deref()?).map(ReportedCause::fault),
        CauseDimension::Fault => Fault::parse(value.as_deref()?),
        _ => None,
    })
}

/// Returns the most frequent values; equally frequent ones in alphabetical order.
fn most_frequent(values: &BTreeMap<String, u64>) -> impl Iterator<Item = (&String, u64)> {
    let mut all: Vec<(&String, u64)> =
        values.iter().map(|(value, count)| (value, *count)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.into_iter().take(COMMON_VALUES_MAX)
}

/// Returns the values that at least a third of the bounces of a cause have.
fn common_values(dimensions: &[Dimension], of_cause: &CauseTally) -> Vec<CommonValue> {
    let mut common: Vec<CommonValue> = Vec::new();
    for (dimension, values) in dimensions.iter().zip(&of_cause.values) {
        let frequent = most_frequent(values);
        for (value, count) in frequent.filter(|(_, count)| count * 3 >= of_cause.counts.count) {
            // skip the "other" provider, and the only domain of a provider
            let is_informative = value != provider::OTHER
                && common.iter().all(|one| !(one.count == count && is_domain(dimension)));
            if is_informative {
                common.push(CommonValue { by: dimension.name(), value: value.clone(), count });
            }
        }
    }
    common
}

fn is_domain(dimension: &Dimension) -> bool {
    *dimension == Dimension::Column(table::RECIPIENT_DOMAIN)
}

/// Returns the domains of a cause that are probably mistyped.
fn mistyped_domains(dimensions: &[Dimension], of_cause: &CauseTally) -> Vec<MistypedDomain> {
    let Some(at) = dimensions.iter().position(is_domain) else { return Vec::new() };
    let likely = |(domain, count): (&String, &u64)| {
        let likely = likely_domain(domain)?;
        Some(MistypedDomain { domain: domain.clone(), likely, count: *count })
    };
    let mut all: Vec<MistypedDomain> =
        of_cause.values.get(at).into_iter().flatten().filter_map(likely).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all.truncate(SUGGESTIONS_MAX);
    all
}
