//! The brake against a model of SES: humans pause and resume, calls fail, runs are killed.

use bouncewatch_schemas::event::Service;
use proptest::prelude::*;

use crate::alert::test_data::{check_of, verdict};
use crate::alert::timestamp::Timestamp;
use crate::brake::rule::{BrakeRule, BrakeTarget};
use crate::brake::run::{BrakeRun, LastChange, SendingSwitch, SwitchState};
use crate::brake::state::{BrakeCause, BrakePhase, PausedBy};
use crate::check::{CheckReport, Verdict};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn rule() -> BrakeRule {
    BrakeRule {
        target: BrakeTarget::ConfigurationSet("marketing".to_owned()),
        account: "1".to_owned(),
        region: "r".to_owned(),
        window: "24h".to_owned(),
        minimum_attempts: 1_000,
        minimum_bounces: 100,
        minimum_complaints: 20,
        confirm_after_ms: 4 * MINUTE,
        cool_down_ms: 6 * HOUR,
        release_after_ms: Some(12 * HOUR),
    }
}

fn cause() -> BrakeCause {
    let (metric, window) = ("bounce_rate".to_owned(), "24h".to_owned());
    BrakeCause { metric, window, rate: 0.12, count: 120, attempts: 1_000 }
}

/// A verdict of the configuration set `marketing`.
fn of_set(metric: &'static str, count: u64, attempts: u64) -> Verdict {
    verdict(metric, &[("configuration_set", "marketing")], "24h", count, Some(attempts))
}

#[test]
fn pause_needs_a_critical_rate_of_the_target_with_minimum_numbers_and_complete_events() {
    let check = |verdict: Verdict| check_of(vec![verdict]);
    let bounces = |count, attempts| check(of_set("bounce_rate", count, attempts));
    let stale = || {
        let mut check = bounces(120, 1_000);
        check.feed.stale = true;
        check
    };
    let incomplete =
        || CheckReport { incomplete_days: vec!["2026-11-19".to_owned()], ..bounces(120, 1_000) };
    let other_scope = |name, value: &str| {
        let mut verdict = of_set("bounce_rate", 120, 1_000);
        for (dimension, own) in &mut verdict.scope.0 {
            if dimension == name {
                *own = Some(value.to_owned());
            }
        }
        check(verdict)
    };
    let account = verdict("bounce_rate", &[], "24h", 120, Some(1_000));
    let other_window = Verdict { window: "7d".to_owned(), ..of_set("bounce_rate", 120, 1_000) };
    let insignificant = Verdict { significant: false, ..of_set("bounce_rate", 120, 1_000) };
    for (name, check, expected) in [
        ("bounces", bounces(120, 1_000), true),
        ("exactly at the threshold", bounces(100, 1_000), true),
        ("warning", bounces(99, 1_000), false),
        ("few attempts", bounces(500, 999), false),
        ("complaints", check(of_set("complaint_rate", 20, 1_000)), true),
        ("few complaints", check(of_set("complaint_rate", 19, 1_000)), false),
        ("stale feed", stale(), false),
        ("incomplete days", incomplete(), false),
        ("account", check(account), false),
        ("other account", other_scope("account", "2"), false),
        ("other region", other_scope("region", "s"), false),
        ("other set", other_scope("configuration_set", "receipts"), false),
        ("other window", check(other_window), false),
        ("not significant", check(insignificant), false),
        ("WorkMail", CheckReport { service: Service::WorkMail, ..bounces(120, 1_000) }, false),
    ] {
        assert_eq!(rule().demand(&check).is_ok(), expected, "{name}");
    }
    let few_bounces = BrakeRule { minimum_bounces: 121, ..rule() };
    assert!(few_bounces.demand(&bounces(120, 1_000)).is_err());
}

/// Which time of the last change SES reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    Nothing,
    LastAllowed,
    LastChange,
}

/// Party that made the current pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Brake,
    Human,
}

/// SES, the state file, and what happened.
#[derive(Debug)]
struct World {
    now: i64,
    knowledge: Knowledge,
    pause: Option<(Owner, i64)>,
    last_allowed: Option<i64>,
    last_change: Option<i64>,
    /// Time at which a human allowed sending again.
    human_release: Option<i64>,
    /// The state file.
    phase: BrakePhase,
    /// Number of operations until the run is killed; `None` if it is not killed.
    operations_left: Option<u32>,
    /// Number of calls that paused.
    pauses: u32,
    /// Number of calls that ended a pause.
    ends: u32,
    /// Time of the earlier runs without interruption that demanded a pause.
    demanded_since: Option<i64>,
}

impl World {
    fn new(knowledge: Knowledge) -> Self {
        Self {
            now: 0,
            knowledge,
            pause: None,
            last_allowed: None,
            last_change: None,
            human_release: None,
            phase: BrakePhase::default(),
            operations_left: None,
            pauses: 0,
            ends: 0,
            demanded_since: None,
        }
    }

    /// Counts an operation. An error if the run is killed before it.
    fn operation(&mut self) -> Result<(), String> {
        match &mut self.operations_left {
            None => Ok(()),
            Some(0) => Err("killed".to_owned()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn allow(&mut self) {
        self.pause = None;
        (self.last_allowed, self.last_change) = (Some(self.now), Some(self.now));
    }

    fn stop(&mut self, owner: Owner) {
        self.pause = Some((owner, self.now));
        self.last_change = Some(self.now);
    }

    /// A human pauses, or allows sending again.
    fn human(&mut self) {
        if self.pause.is_some() {
            self.allow();
            self.human_release = Some(self.now);
        } else {
            self.stop(Owner::Human);
        }
    }

    /// Runs the brake; a run that is killed saves only what it saved before.
    fn run(&mut self, rule: &BrakeRule, is_demanded: bool, killed_after: Option<u32>) {
        self.operations_left = killed_after;
        let (phase, now, cause) = (self.phase.clone(), self.now, cause());
        let world = std::cell::RefCell::new(self);
        let mut switch = Switch(&world, rule);
        let mut save = |phase: &BrakePhase| {
            let world = &mut **world.borrow_mut();
            world.operation()?;
            world.phase = phase.clone();
            Ok(())
        };
        let demand = is_demanded.then_some(&cause);
        let run = BrakeRun { rule, demand, switch: &mut switch, save: &mut save, now };
        let (phase, _) = run.run(phase);
        let world = world.into_inner();
        let is_killed = world.operations_left == Some(0);
        if !is_killed {
            world.phase = phase;
        }
        // a killed run loses its result
        if is_demanded || !is_killed {
            world.demanded_since = is_demanded.then(|| world.demanded_since.unwrap_or(world.now));
        }
    }
}

struct Switch<'w, 'm>(&'w std::cell::RefCell<&'m mut World>, &'w BrakeRule);

impl SendingSwitch for Switch<'_, '_> {
    fn read(&mut self) -> Result<SwitchState, String> {
        let world = &mut **self.0.borrow_mut();
        world.operation()?;
        let changed = match world.knowledge {
            Knowledge::Nothing => LastChange::Unknown,
            Knowledge::LastAllowed => {
                world.last_allowed.map_or(LastChange::Never, LastChange::Allowed)
            }
            Knowledge::LastChange => {
                world.last_change.map_or(LastChange::Never, LastChange::Either)
            }
        };
        Ok(SwitchState { is_allowed: world.pause.is_none(), changed })
    }

    /// Checks that the brake may make this call.
    fn set(&mut self, is_allowed: bool) -> Result<(), String> {
        let world = &mut **self.0.borrow_mut();
        world.operation()?;
        if is_allowed {
            let (owner, at) = world.pause.expect("a pause that ends");
            assert_eq!(owner, Owner::Brake, "the brake ends a pause of a human");
            assert!(world.now - at >= self.1.release_after_ms.unwrap(), "too early");
            world.ends += 1;
            world.allow();
        } else {
            assert!(world.pause.is_none(), "paused twice");
            let since = world.demanded_since.expect("an earlier check demanded it");
            assert!(world.now - since >= self.1.confirm_after_ms, "not confirmed");
            if let Some(released) = world.human_release {
                assert!(world.now - released >= self.1.cool_down_ms, "undoes a human");
            }
            world.pauses += 1;
            world.stop(Owner::Brake);
        }
        // a run that is killed after the call
        world.operation()
    }
}

/// One step of a history.
#[derive(Debug, Clone, Copy)]
struct Step {
    minutes: i64,
    is_demanded: bool,
    killed_after: Option<u32>,
    has_human: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let minutes =
        prop_oneof![5 => Just(5_i64), 2 => 1_i64..5, 2 => 5_i64..900, 1 => 900_i64..3_000];
    let killed = proptest::option::weighted(0.25, 0_u32..6);
    (minutes, proptest::bool::weighted(0.7), killed, proptest::bool::weighted(0.2)).prop_map(
        |(minutes, is_demanded, killed_after, has_human)| Step {
            minutes,
            is_demanded,
            killed_after,
            has_human,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// The switch of the model asserts what the brake may do.
    #[test]
    fn brake_never_pauses_twice_or_unconfirmed_and_never_undoes_a_human(
        steps in proptest::collection::vec(step(), 1..60),
        knowledge in prop_oneof![
            Just(Knowledge::LastAllowed), Just(Knowledge::LastChange), Just(Knowledge::Nothing)
        ],
        has_end in proptest::bool::ANY,
    ) {
        let rule = BrakeRule { release_after_ms: has_end.then_some(12 * HOUR), ..rule() };
        let mut world = World::new(knowledge);
        for step in steps {
            world.now += step.minutes * MINUTE;
            // without times of SES, only what happens to a pause that the brake knows can be noticed
            let is_noticed = knowledge != Knowledge::Nothing
                || (world.pause.is_some() && matches!(world.phase, BrakePhase::Paused { .. }));
            if step.has_human && is_noticed {
                world.human();
                world.now += MINUTE;
            }
            world.run(&rule, step.is_demanded, step.killed_after);
        }
        prop_assert!(has_end || world.ends == 0);
    }
}

/// Runs every five minutes without failures.
fn runs(world: &mut World, rule: &BrakeRule, demands: &[bool]) {
    for is_demanded in demands {
        world.now += 5 * MINUTE;
        world.run(rule, *is_demanded, None);
    }
}

#[test]
fn second_consecutive_check_pauses_and_a_human_release_starts_the_cool_down() {
    let rule = BrakeRule { release_after_ms: None, ..rule() };
    let mut world = World::new(Knowledge::LastAllowed);
    runs(&mut world, &rule, &[true, false, true, false]);
    assert_eq!(world.pauses, 0);
    runs(&mut world, &rule, &[true, true, true, false, true]);
    assert_eq!(world.pauses, 1);
    let BrakePhase::Paused { by: PausedBy::Brake, .. } = world.phase else {
        panic!("{:?}", world.phase)
    };
    world.human();
    runs(&mut world, &rule, &[true; 60]);
    assert_eq!((world.pauses, world.pause), (1, None));
    runs(&mut world, &rule, &[true; 20]);
    assert_eq!(world.pauses, 2);
    assert_eq!(world.ends, 0);
}

#[test]
fn own_pause_ends_after_the_configured_time() {
    let rule = rule();
    let mut world = World::new(Knowledge::LastChange);
    runs(&mut world, &rule, &[true; 2]);
    assert_eq!(world.pauses, 1);
    runs(&mut world, &rule, &[true; 12 * 12 - 1]);
    assert_eq!(world.ends, 0);
    runs(&mut world, &rule, &[true]);
    assert_eq!((world.ends, world.pause), (1, None));
    // a pause of a human stays
    world.human();
    world.now += 48 * HOUR;
    runs(&mut world, &rule, &[true; 300]);
    assert_eq!((world.pauses, world.ends), (1, 1));
}

#[test]
fn pause_of_a_human_minutes_after_that_of_the_brake_stays() {
    for knowledge in [Knowledge::LastAllowed, Knowledge::LastChange] {
        let mut world = World::new(knowledge);
        runs(&mut world, &rule(), &[true; 2]);
        assert_eq!(world.pauses, 1);
        // allowed and paused again before the next check
        for _ in 0..2 {
            world.now += MINUTE;
            world.human();
        }
        world.now += 48 * HOUR;
        runs(&mut world, &rule(), &[false; 2]);
        assert_eq!(world.ends, 0, "{knowledge:?}");
    }
}

#[test]
fn killed_run_is_completed_by_the_next_one() {
    let rule = rule();
    // read, save, call, after the call, read back
    for (killed_after, pauses_before) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)] {
        let mut world = World::new(Knowledge::LastAllowed);
        runs(&mut world, &rule, &[true]);
        world.now += 5 * MINUTE;
        world.run(&rule, true, Some(killed_after));
        assert_eq!(world.pauses, pauses_before, "{killed_after}");
        runs(&mut world, &rule, &[true]);
        assert_eq!(world.pauses, 1, "{killed_after}");
        assert!(matches!(world.phase, BrakePhase::Paused { .. }), "{:?}", world.phase);
    }
}

#[test]
fn clock_that_was_ahead_extends_no_cool_down() {
    let mut world = World::new(Knowledge::LastAllowed);
    world.phase = BrakePhase::Released { at: Timestamp(1_000 * HOUR) };
    runs(&mut world, &rule(), &[true]);
    assert_eq!(world.phase, BrakePhase::Released { at: Timestamp(5 * MINUTE) });
}
