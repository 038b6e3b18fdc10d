//! Groups of scopes that differ only in their providers. No polars.

use std::collections::HashMap;

use crate::timeline::ScopeValues;

/// Groups of scopes that differ only in their providers. What counts once (a complaint report, a pair of message and
/// recipient) counts in one scope of a group, also if some of its rows name a provider and others name none.
pub(super) struct ScopeGroups<'v> {
    /// Values of each scope, by ID.
    values: &'v [ScopeValues],
    /// A scope of the same group, by scope ID; without providers, a scope is its own group.
    groups: Option<Vec<u32>>,
}

impl<'v> ScopeGroups<'v> {
    /// Returns the groups of scopes. `provider` is the index of the provider in their values; the values after the
    /// dimensions are recipient domains of unknown providers.
    pub(super) fn new(values: &'v [ScopeValues], provider: Option<usize>) -> Self {
        Self { values, groups: provider.map(|at| groups_of(values, at)) }
    }

    /// Returns the group of a scope.
    pub(super) fn of(&self, scope: u32) -> u32 {
        self.groups.as_ref().map_or(scope, |groups| groups[scope as usize])
    }

    /// Returns the last of two scopes of a group. A scope with a known provider is after all others.
    pub(super) fn last(&self, one: u32, other: u32) -> u32 {
        let is_later = self.values[one as usize] > self.values[other as usize];
        if is_later { one } else { other }
    }
}

/// Returns, by scope ID, the first scope that differs in its provider at most.
fn groups_of(values: &[ScopeValues], provider: usize) -> Vec<u32> {
    let mut known: HashMap<Vec<&Option<String>>, u32> = HashMap::new();
    let mut groups = Vec::with_capacity(values.len());
    for (id, values) in (0..).zip(values) {
        let domain = values.len() - 1;
        let others = values.iter().enumerate().filter(|(at, _)| *at != provider && *at != domain);
        groups.push(*known.entry(others.map(|(_, value)| value).collect()).or_insert(id));
    }
    groups
}
