//! Assigns IDs to the scopes of rows. No polars.

use std::collections::HashMap;

use bouncewatch_schemas::table;
use foldhash::fast::RandomState;

use crate::scan::expressions::TAG_SEPARATOR;
use crate::scan::scope_groups::ScopeGroups;
use crate::scan::string_interner::{NO_TEXT, StringInterner};
use crate::timeline::{Dimension, Grouping, ScopeValues};

/// Assigns IDs to the scopes of a grouping.
pub(super) struct ScopeIds<'g> {
    grouping: &'g Grouping,
    /// For each dimension, the index of its text in a row.
    columns: Vec<usize>,
    /// If the grouping has a provider: the index of that dimension, and the index of the recipient domain in a row.
    provider: Option<(usize, usize)>,
    /// Text IDs of the current row and of the previous row.
    key: Vec<u32>,
    previous_key: Vec<u32>,
    /// Index in `scopes_of_key` for the previous row.
    previous: usize,
    scopes_of_key: Vec<Vec<u32>>,
    known_keys: HashMap<Vec<u32>, usize, RandomState>,
    ids: HashMap<ScopeValues, u32>,
    /// Values of each scope, by ID.
    pub(super) values: Vec<ScopeValues>,
}

impl<'g> ScopeIds<'g> {
    /// Returns an empty set of scopes, for rows with the texts of the columns `names`.
    pub(super) fn new(grouping: &'g Grouping, names: &[String]) -> Self {
        let column = |name: &str| {
            let column = names.iter().position(|known| known == name);
            column.expect("the rows have every dimension of the grouping")
        };
        let provider = Dimension::Column(table::PROVIDER);
        let provider = grouping.0.iter().position(|dimension| *dimension == provider);
        Self {
            grouping,
            columns: grouping.0.iter().map(|dimension| column(&dimension.name())).collect(),
            provider: provider.map(|at| (at, column(table::RECIPIENT_DOMAIN))),
            key: Vec::new(),
            previous_key: Vec::new(),
            previous: 0,
            scopes_of_key: Vec::new(),
            known_keys: HashMap::default(),
            ids: HashMap::new(),
            values: Vec::new(),
        }
    }

    /// Returns the groups of the scopes so far.
    pub(super) fn groups(&self) -> ScopeGroups<'_> {
        ScopeGroups::new(&self.values, self.provider.map(|(at, _)| at))
    }

    /// Returns the scopes of a row: one, or one for each combination of values if a tag has several values.
    pub(super) fn scopes_of_row(&mut self, row: &[u32], texts: &StringInterner) -> &[u32] {
        // without a provider, the domain is part of the key: its provider may be found in other rows
        let domain = self.provider.map(|(at, domain)| match row[self.columns[at]] {
            NO_TEXT => row[domain],
            _ => NO_TEXT,
        });
        self.key.clear();
        self.key.extend(self.columns.iter().map(|column| row[*column]).chain(domain));
        if self.scopes_of_key.is_empty() || self.key != self.previous_key {
            self.previous = match self.known_keys.get(&self.key) {
                Some(index) => *index,
                None => self.add_key(texts),
            };
            std::mem::swap(&mut self.previous_key, &mut self.key);
        }
        &self.scopes_of_key[self.previous]
    }

    /// Adds the current key, and returns its index in `scopes_of_key`.
    fn add_key(&mut self, texts: &StringInterner) -> usize {
        let key = self.key.clone();
        let (scopes, index) = (self.scopes_of(&key, texts), self.scopes_of_key.len());
        self.scopes_of_key.push(scopes);
        self.known_keys.insert(key, index);
        index
    }

    /// Returns the scopes of a key. If the grouping has a provider, the last text of the key is the recipient domain of
    /// mail with an unknown provider.
    fn scopes_of(&mut self, key: &[u32], texts: &StringInterner) -> Vec<u32> {
        let mut all = vec![ScopeValues::new()];
        for (at, id) in key.iter().enumerate() {
            let text = texts.get(*id);
            let values: Vec<Option<&str>> = match (text, self.grouping.0.get(at)) {
                (Some(text), Some(Dimension::Tag(_))) => {
                    text.split(TAG_SEPARATOR).map(Some).collect()
                }
                _ => vec![text],
            };
            let extended = |scope: &ScopeValues| {
                let with = |value: Option<&str>| [&scope[..], &[value.map(str::to_owned)]].concat();
                values.iter().copied().map(with).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(extended).collect();
        }
        let mut ids = Vec::with_capacity(all.len());
        for values in all {
            let next = u32::try_from(self.values.len()).expect("fewer scopes than u32::MAX");
            let id = *self.ids.entry(values.clone()).or_insert(next);
            if id == next {
                self.values.push(values);
            }
            ids.push(id);
        }
        ids
    }
}
