//! scratch
#![allow(clippy::all, clippy::pedantic, clippy::restriction)]
use std::borrow::Cow;
use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::cause::{Action, Cause};
fn main() {
    let quiet = std::env::args().nth(1).as_deref() == Some("-q");
    for file in std::env::args().skip(if quiet { 2 } else { 1 }) {
        let all = std::fs::read_to_string(&file).unwrap();
        let (mut ok, mut n, mut sup) = (0, 0, 0);
        for line in all.lines().filter(|l| !l.starts_with('#')) {
            let mut c = line.split('\t');
            let (cause, text) = if file.ends_with("cases/texts.tsv") { let a=c.next().unwrap(); c.next(); (a, c.next().unwrap()) }
              else if file.ends_with("causes/texts.tsv") { let a=c.next().unwrap(); c.next(); (a, c.next().unwrap()) } else { (c.next().unwrap(), c.next().unwrap()) };
            let want = Cause::parse(cause).unwrap_or_else(|| panic!("{line}"));
            let text = text.replace("\\n", "\n");
            let d = diagnostic::parse(Some(Cow::Borrowed(&text)), None);
            let mut f = FailureFacts::from_diagnostic(&d);
            if std::env::var("PERM").is_ok() { f.bounce_type = Some("Permanent"); f.bounce_subtype = Some("General"); }
            let mut s = Scratch::default();
            let r = Classifier::builtin().classify(&f, &mut s);
            n += 1;
            let bad = (r.cause.is_recipient_failure() || r.action == Action::Suppress) && !want.is_recipient_failure() && want != Cause::Suppressed;
            if bad { sup += 1; }
            if r.cause == want { ok += 1; if std::env::var("ALL").is_ok() { println!("  ok {} {:?} {:?} {:?} {:?} | {}", r.cause.as_str(), r.confidence, r.action, r.rule, r.matched, text.replace('\n', "\\n")); } } else if !quiet {
                println!("{} want {} got {} ({:?} {:?} {:?}) | {}", if bad {"FALSE"} else {"-"}, cause, r.cause.as_str(), r.confidence, r.rule, r.matched, text.replace('\n', "\\n"));
            }
        }
        println!("{file}: {ok}/{n} = {:.1} %, false suppressions {sup}", ok as f64 * 100.0 / n as f64);
    }
}
