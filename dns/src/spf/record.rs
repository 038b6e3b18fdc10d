//! SPF records (RFC 7208): terms, and the parser that locates errors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::macros::{MacroContext, MacroString};
use super::syntax_error::SpfSyntaxError;
use crate::snapshot::escape;

/// A parsed SPF record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfRecord {
    /// The mechanisms and modifiers in order.
    pub terms: Vec<SpfTerm>,
}

/// A mechanism or a modifier with its position in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfTerm {
    /// Number of bytes before the term.
    pub at: usize,
    /// The term as it is written.
    pub text: String,
    /// Its meaning.
    pub kind: SpfTermKind,
}

/// The meaning of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpfTermKind {
    /// A mechanism, and the result if it matches.
    Directive(Qualifier, Mechanism),
    /// `redirect=`: the record that is used if no mechanism matches.
    Redirect(MacroString),
    /// `exp=`: the name of the text that explains a fail.
    Explanation(MacroString),
    /// A modifier without a meaning, which receivers ignore.
    UnknownModifier(String),
}

/// The result of a mechanism that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `+` or none.
    Pass,
    /// `-`
    Fail,
    /// `~`
    SoftFail,
    /// `?`
    Neutral,
}

/// What a directive compares with the sending host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// Every address.
    All,
    /// The addresses of another record.
    Include(MacroString),
    /// The addresses of a host; of the domain itself if none is named.
    A(Option<MacroString>, DualCidr),
    /// The addresses of the mail exchangers of a domain.
    Mx(Option<MacroString>, DualCidr),
    /// Hosts with a PTR record below a domain.
    Ptr(Option<MacroString>),
    /// A network of IPv4 or IPv6.
    Ip(Network),
    /// Every address, if an `A` record exists.
    Exists(MacroString),
}

impl Mechanism {
    /// Whether the mechanism counts for the limit of ten lookups.
    pub fn needs_lookup(&self) -> bool {
        !matches!(self, Self::All | Self::Ip(_))
    }
}

/// Prefix lengths for both address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DualCidr {
    /// 0 to 32.
    pub v4: u8,
    /// 0 to 128.
    pub v6: u8,
}

/// An address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Number of leading bits that are equal.
    pub prefix: u8,
}

impl Network {
    /// Whether an address is in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let difference = u32::from(network) ^ u32::from(ip);
                u32::from(self.prefix) <= difference.leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let difference = u128::from(network) ^ u128::from(ip);
                u32::from(self.prefix) <= difference.leading_zeros()
            }
            _ => false,
        }
    }
}

/// The version with which a record begins, in any case.
const VERSION: &[u8] = b"v=spf1";

/// Whether a text is an SPF record: the version, then a space or the end.
pub fn is_spf(text: &[u8]) -> bool {
    text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
        version.eq_ignore_ascii_case(VERSION) && matches!(rest.first(), None | Some(b' '))
    })
}

impl SpfRecord {
    /// Parses a record.
    ///
    /// # Errors
    /// The first syntax error with its position. Receivers answer every error with permerror.
    pub fn parse(text: &[u8]) -> Result<Self, SpfSyntaxError> {
        if !is_spf(text) {
            return Err(SpfSyntaxError::new(0, text, "no version `v=spf1` and space"));
        }
        let mut terms: Vec<SpfTerm> = Vec::new();
        let mut at = VERSION.len();
        for word in text.get(at..).unwrap_or_default().split(|byte| *byte == b' ') {
            if !word.is_empty() {
                let kind = parse_term(word, at)?;
                let is_twice = |kind: &SpfTermKind| {
                    matches!(kind, SpfTermKind::Redirect(_) | SpfTermKind::Explanation(_))
                        && terms.iter().any(|term| {
                            std::mem::discriminant(&term.kind) == std::mem::discriminant(kind)
                        })
                };
                if is_twice(&kind) {
                    return Err(SpfSyntaxError::new(at, word, "modifier that occurs twice"));
                }
                terms.push(SpfTerm { at, text: escape(word), kind });
            }
            at += word.len() + 1;
        }
        Ok(Self { terms })
    }

    /// The target of `redirect=`.
    pub fn redirect(&self) -> Option<&MacroString> {
        self.terms.iter().find_map(|term| match &term.kind {
            SpfTermKind::Redirect(domain) => Some(domain),
            _ => None,
        })
    }

    /// The name in `exp=`.
    pub fn explanation(&self) -> Option<&MacroString> {
        self.terms.iter().find_map(|term| match &term.kind {
            SpfTermKind::Explanation(domain) => Some(domain),
            _ => None,
        })
    }

    /// The mechanisms with their qualifiers and terms.
    pub fn directives(&self) -> impl Iterator<Item = (&SpfTerm, Qualifier, &Mechanism)> {
        self.terms.iter().filter_map(|term| match &term.kind {
            SpfTermKind::Directive(qualifier, mechanism) => Some((term, *qualifier, mechanism)),
            _ => None,
        })
    }
}

fn parse_term(word: &[u8], at: usize) -> Result<SpfTermKind, SpfSyntaxError> {
    let sign = word.iter().position(|byte| matches!(byte, b'=' | b':' | b'/'));
    if let Some(equals) = sign.filter(|sign| word.get(*sign) == Some(&b'='))
        && let (Some(name), Some(value)) = (word.get(..equals), word.get(equals + 1..))
    {
        return parse_modifier(word, name, value, at);
    }
    let (qualifier, rest) = match word {
        [b'-', rest @ ..] => (Qualifier::Fail, rest),
        [b'~', rest @ ..] => (Qualifier::SoftFail, rest),
        [b'?', rest @ ..] => (Qualifier::Neutral, rest),
        [b'+', rest @ ..] | rest => (Qualifier::Pass, rest),
    };
    let at = at + word.len() - rest.len();
    Ok(SpfTermKind::Directive(qualifier, parse_mechanism(rest, at)?))
}

fn parse_modifier(
    word: &[u8],
    name: &[u8],
    value: &[u8],
    at: usize,
) -> Result<SpfTermKind, SpfSyntaxError> {
    let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    if !is_name {
        return Err(SpfSyntaxError::new(at, word, "invalid name of a modifier"));
    }
    let value_at = at + name.len() + 1;
    let name = escape(&name.to_ascii_lowercase());
    Ok(match name.as_str() {
        "redirect" => SpfTermKind::Redirect(MacroString::parse_domain(value, value_at)?),
        "exp" => SpfTermKind::Explanation(MacroString::parse_domain(value, value_at)?),
        _ => {
            MacroString::parse(value, value_at, MacroContext::Modifier)?;
            SpfTermKind::UnknownModifier(name)
        }
    })
}

fn parse_mechanism(word: &[u8], at: usize) -> Result<Mechanism, SpfSyntaxError> {
    let error = |reason| SpfSyntaxError::new(at, word, reason);
    let end = word.iter().position(|byte| matches!(byte, b':' | b'/')).unwrap_or(word.len());
    let (name, rest) = word.split_at_checked(end).unwrap_or((word, b""));
    // what follows a colon; `None` without one
    let argument = rest.strip_prefix(b":");
    let argument_at = at + end + 1;
    let needed = || argument.ok_or_else(|| error("mechanism needs a value after a colon"));
    let domain = |text: &[u8]| MacroString::parse_domain(text, argument_at);
    let no_rest = |mechanism| {
        if rest.is_empty() { Ok(mechanism) } else { Err(error("value where none is allowed")) }
    };
    match name.to_ascii_lowercase().as_slice() {
        b"all" => no_rest(Mechanism::All),
        b"include" => Ok(Mechanism::Include(domain(needed()?)?)),
        b"exists" => Ok(Mechanism::Exists(domain(needed()?)?)),
        b"ptr" => match argument {
            Some(argument) => Ok(Mechanism::Ptr(Some(domain(argument)?))),
            None => no_rest(Mechanism::Ptr(None)),
        },
        kind @ (b"a" | b"mx") => {
            let (before, cidr) = split_dual_cidr(rest).ok_or_else(|| {
                error("prefix length that is not a number from 0 to 32 (IPv4) or 128 (IPv6)")
            })?;
            let host = match before {
                [] => None,
                [b':', host @ ..] => Some(domain(host)?),
                _ => return Err(error("malformed prefix length")),
            };
            Ok(if kind == b"a" { Mechanism::A(host, cidr) } else { Mechanism::Mx(host, cidr) })
        }
        b"ip4" => network::<Ipv4Addr>(needed()?, 32).ok_or_else(|| error("not an IPv4 network")),
        b"ip6" => network::<Ipv6Addr>(needed()?, 128).ok_or_else(|| error("not an IPv6 network")),
        _ => Err(error("unknown mechanism")),
    }
}

/// Splits `/24//64` off the end. `None` if a prefix length is too large or has a leading zero.
fn split_dual_cidr(text: &[u8]) -> Option<(&[u8], DualCidr)> {
    let (mut v4, mut v6) = (32, 128);
    let mut before = text;
    if let Some((head, digits)) = split_digits(before)
        && let Some(head) = head.strip_suffix(b"//")
    {
        v6 = prefix_length(digits, 128)?;
        before = head;
    }
    if let Some((head, digits)) = split_digits(before)
        && let Some(head) = head.strip_suffix(b"/")
        && !head.ends_with(b"/")
    {
        v4 = prefix_length(digits, 32)?;
        before = head;
    }
    Some((before, DualCidr { v4, v6 }))
}

/// Splits the digits off the end of a text; `None` if there are none.
fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| text.split_at_checked(text.len() - digits)).flatten()
}

/// A prefix length without leading zeros.
fn prefix_length(digits: &[u8], max: u8) -> Option<u8> {
    let is_plain = digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let length: u8 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_plain && length <= max).then_some(length)
}

fn network<T: std::str::FromStr + Into<IpAddr>>(text: &[u8], prefix_max: u8) -> Option<Mechanism> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, digits)) => (address, prefix_length(digits.as_bytes(), prefix_max)?),
        None => (text, prefix_max),
    };
    let address: T = address.parse().ok()?;
    Some(Mechanism::Ip(Network { address: address.into(), prefix }))
}
