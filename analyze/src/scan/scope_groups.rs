//! Groups of scopes that differ only in their providers. No polars.

use std::collections::HashMap;

use crate::timeline::ScopeValues;

/// Groups of scopes that differ only in their providers. A complaint report or (message, recipient)
/// pair counts in one scope of a group, even if only some of its rows name a provider.
pub(super) struct ScopeGroups<'v> {
    /// Values of each scope, by ID.
    values: &'v [ScopeValues],
    /// ID of the first scope of the group, by scope ID; `None` if each scope is its own group,
    /// because the grouping has no provider.
    groups: Option<Vec<u32>>,
}

impl<'v> ScopeGroups<'v> {
    /// Returns the groups of scopes. `provider` is the index of the provider in their values; the values after the
    /// dimensions are recipient domains of unknown providers.
    pub(super) fn new(values: &'v [ScopeValues], provider: Option<usize>) -> Self {
        Self { values, groups: provider.map(|at| groups_of(values, at)) }
    }

    /// Returns the group of a scope.
    pub(super) fn group_of(&self, scope: u32) -> u32 {
        self.groups.as_ref().map_or(scope, |groups| groups[scope as usize])
    }

    /// Returns the scope with the greater values of two scopes of a group. A scope with a known
    /// provider is greater than scopes without.
    pub(super) fn greater(&self, one: u32, other: u32) -> u32 {
        let is_greater = self.values[one as usize] > self.values[other as usize];
        if is_greater { one } else { other }
    }
}

/// Returns, by scope ID, the first scope with the same values except provider and recipient domain.
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
