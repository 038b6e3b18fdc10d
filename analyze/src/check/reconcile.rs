//! `reconcile`: step by step, what of all bounces is in the rate and what is left out, beside the figure that AWS shows.

use std::path::PathBuf;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::confidence::rate;
use crate::error::AnalyzeError;
use crate::scan::loading::{Wanted, load};
use crate::scan::{Exact, Look, Part, Scan, Timelines};
use crate::timeline::model::{
    Basis, Cut, Denominator, LEFT_OUT, Outcome, Scope, ScopeValues, ScopeWord, Timeline,
};
use crate::timeline::windows::{Measured, Window, count_out, measure};

/// What a reconciliation is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store.
    pub store: PathBuf,
    /// The moment for which it is told, epoch milliseconds.
    pub at: i64,
    /// Windows that end at that moment.
    pub windows: Vec<Window>,
    /// Cuts below account and region; without any, account and region.
    pub cuts: Vec<Cut>,
    /// Domains whose mail SES does not count.
    pub own_domains: Vec<String>,
    /// Nothing before this moment counts, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// The rate that AWS shows, as a fraction.
    pub aws_rate: Option<f64>,
}

/// The answer; its JSON is a contract.
#[derive(Debug, Serialize)]
pub struct Reconciliation {
    /// Version of this output.
    pub version: u32,
    /// The moment for which it holds.
    pub as_of: String,
    /// One for each scope and window.
    pub accounts: Vec<Account>,
}

/// How the rate of a scope comes about.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Account {
    pub scope: Scope,
    pub window: String,
    pub from: Option<String>,
    pub to: String,
    pub denominator: Option<Denominator>,
    /// From all that was tried to the attempts.
    pub attempts: Vec<Step>,
    /// From all bounces to those that count.
    pub bounces: Vec<Step>,
    pub rate: Option<f64>,
    pub aws_rate: Option<f64>,
    /// Ours minus that of AWS.
    pub difference: Option<f64>,
    /// The step at which our figure is nearest to that of AWS.
    pub nearest: Option<&'static str>,
}

/// One step.
#[derive(Debug, PartialEq, Serialize)]
pub struct Step {
    /// What is taken away, or what there is at the beginning and the end.
    pub step: &'static str,
    /// How many they are.
    pub count: u64,
    /// What is left.
    pub left: u64,
    /// What is left, out of the attempts.
    pub rate: Option<f64>,
}

/// Bounces that SES leaves out, in the order in which they are taken away.
const LEFT_OUT_BOUNCES: [(&str, &[Outcome]); 5] = [
    ("automatic_replies", &[Outcome::AutoReply]),
    ("soft", &[Outcome::Soft]),
    ("undetermined", &[Outcome::Undetermined]),
    ("suppressed_by_your_lists", &[Outcome::Suppressed]),
    ("of_unknown_class", &[Outcome::BounceOther]),
];
/// Bounces that count.
const COUNTED: [(&str, Outcome); 2] =
    [("counted_hard", Outcome::Hard), ("counted_suppressed_by_ses", Outcome::SuppressedCounted)];

/// Computes a reconciliation.
///
/// # Errors
/// If there is no store or it cannot be read.
pub fn reconcile(request: &Request) -> Result<Reconciliation, AnalyzeError> {
    Scan::over(&request.store, Service::Ses, &request.own_domains, |scan| answer(request, scan))
}

fn answer(request: &Request, scan: &Scan) -> Result<Reconciliation, AnalyzeError> {
    let cuts = if request.cuts.is_empty() { vec![Cut::account()] } else { request.cuts.clone() };
    let (counted_from, ends) = (request.counted_from, [request.at]);
    let look = Look { cuts: &cuts, basis: Basis::Event, counted_from };
    let wanted = Wanted {
        look,
        asked: cuts.len(),
        windows: &request.windows,
        ends: &ends,
        moments: &|_, _, _| Vec::new(),
        back: 0,
    };
    let history = load(scan, &wanted)?;
    let mut places = Vec::new();
    for (at, timelines) in history.cuts.iter().enumerate() {
        for (values, timeline) in timelines {
            for window in &request.windows {
                places.push((at, values, window, measure(timeline, window, request.at)));
            }
        }
    }
    // the same spans again, with the mail that is left out
    let finer: Vec<Cut> = cuts
        .iter()
        .map(|cut| Cut(cut.0.iter().cloned().chain([ScopeWord::Column(LEFT_OUT)]).collect()))
        .collect();
    let earliest = places.iter().map(|(.., measured)| measured.after).min().unwrap_or(request.at);
    let mut part = Part::new(scan, Look { cuts: &finer, ..look }, earliest, request.at)?;
    if places
        .iter()
        .any(|(.., measured)| measured.denominator.is_some_and(Denominator::is_of_pairs))
    {
        part.load_pairs()?;
    }
    let moments = places.iter().map(|(.., measured)| measured.after).chain(ends);
    let all = part.history(&Exact::of(moments))?;
    let mut accounts = Vec::with_capacity(places.len());
    for (at, values, window, measured) in &places {
        let scope = Scope::new(&cuts[*at], values);
        let Some(timelines) = all.cuts.get(*at) else { continue };
        accounts.push(account(request, scope, values, window, measured, timelines));
    }
    Ok(Reconciliation { version: 1, as_of: format_ms(request.at), accounts })
}

fn account(
    request: &Request,
    scope: Scope,
    values: &ScopeValues,
    window: &Window,
    measured: &Measured,
    timelines: &Timelines,
) -> Account {
    let of = |left_out: Option<&str>| {
        let mut finer = values.clone();
        finer.push(left_out.map(str::to_owned));
        timelines.get(&finer)
    };
    let (kept, simulator, own) = (of(None), of(Some("simulator")), of(Some("own_domain")));
    let (after, to) = (measured.after, request.at);
    let bounces = |timeline: Option<&Timeline>, outcomes: &[Outcome]| -> u64 {
        let of = |outcome: &Outcome| timeline.map(|one| one.of(*outcome).between(after, to));
        outcomes.iter().filter_map(of).sum()
    };
    let mut classes: Vec<Outcome> =
        LEFT_OUT_BOUNCES.iter().flat_map(|(_, all)| *all).copied().collect();
    classes.extend(COUNTED.map(|(_, outcome)| outcome));
    let tried = |timeline: Option<&Timeline>| {
        let out_of = measured.denominator?;
        count_out(timeline?, out_of, after, to).counts.attempts
    };
    let attempts = measured.counts.attempts;
    let of_attempts = |left: u64| attempts.and_then(|attempts| rate(left, attempts));

    let gone = [
        ("mailbox_simulator", bounces(simulator, &classes)),
        ("own_domains", bounces(own, &classes)),
    ];
    let gone = gone
        .into_iter()
        .chain(LEFT_OUT_BOUNCES.iter().map(|(step, outcomes)| (*step, bounces(kept, outcomes))));
    let mut left = bounces(kept, &classes) + bounces(simulator, &classes) + bounces(own, &classes);
    let mut steps = vec![Step { step: "all_bounces", count: left, left, rate: of_attempts(left) }];
    for (step, count) in gone {
        left -= count;
        steps.push(Step { step, count, left, rate: of_attempts(left) });
    }
    for (step, outcome) in COUNTED {
        let count = bounces(kept, &[outcome]);
        steps.push(Step { step, count, left, rate: of_attempts(left) });
    }
    let mut tries = Vec::new();
    if let Some(attempts) = attempts {
        let (simulated, owned) =
            (tried(simulator).unwrap_or_default(), tried(own).unwrap_or_default());
        let mut left = attempts + simulated + owned;
        tries.push(Step { step: "all_attempts", count: left, left, rate: None });
        for (step, count) in [("mailbox_simulator", simulated), ("own_domains", owned)] {
            left -= count;
            tries.push(Step { step, count, left, rate: None });
        }
    }
    let own_rate = of_attempts(left);
    let distance = |step: &Step| Some((step.rate? - request.aws_rate?).abs());
    let nearest = steps
        .iter()
        .filter_map(|step| Some((distance(step)?, step.step)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, step)| step);
    Account {
        scope,
        window: window.to_string(),
        from: measured.from.map(format_ms),
        to: format_ms(to),
        denominator: measured.denominator,
        attempts: tries,
        bounces: steps,
        rate: own_rate,
        aws_rate: request.aws_rate,
        difference: own_rate.zip(request.aws_rate).map(|(own, aws)| own - aws),
        nearest,
    }
}
