//! A scope: names and values of its dimensions, in the order of the JSON.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// Number of dimensions of an account: account and region.
const ACCOUNT_DIMENSIONS: usize = 2;
/// Text for a dimension without a value.
const NO_VALUE: &str = "(none)";

/// Names and values of dimensions; `None` if the events have no value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(pub Vec<(String, Option<String>)>);

impl Scope {
    /// Returns account and region as text.
    pub fn account(&self) -> String {
        Self::values(self.0.iter().take(ACCOUNT_DIMENSIONS))
    }

    /// Returns the values below account and region as text.
    pub fn group(&self) -> String {
        Self::values(self.0.iter().skip(ACCOUNT_DIMENSIONS))
    }

    /// Whether the scope is an account and a region only.
    pub fn is_account(&self) -> bool {
        self.0.len() == ACCOUNT_DIMENSIONS
    }

    fn values<'s>(pairs: impl Iterator<Item = &'s (String, Option<String>)>) -> String {
        let values: Vec<&str> =
            pairs.map(|(_, value)| value.as_deref().unwrap_or(NO_VALUE)).collect();
        values.join(" ")
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Scope;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of dimensions")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scope, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                // JSON tools can sort keys: account and region come first, the others keep their order
                pairs.sort_by_key(|(name, _): &(String, Option<String>)| match name.as_str() {
                    "account" => 0,
                    "region" => 1,
                    _ => 2,
                });
                Ok(Scope(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
