//! A closed world of DNS records: a name that is not in it does not exist.

use bouncewatch_dns::{Answer, Answers, Lookup, Question, Record, RecordType};

/// All records that exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone(pub(crate) Answers);

/// Most aliases in a chain.
const ALIASES_MAX: usize = 8;

impl Zone {
    /// The entry for a question, if the zone has one.
    fn entry(&self, question: &Question) -> Option<Answer> {
        Some(self.0.answer(question)).filter(|answer| *answer != Answer::NotAsked)
    }

    /// Whether a name or one below it has an entry.
    fn contains(&self, name: &str) -> bool {
        let is_within = |question: &Question| {
            question
                .name()
                .strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.0.iter().any(|(question, _)| is_within(question))
    }
}

impl Lookup for Zone {
    fn answer(&self, question: &Question) -> Answer {
        let mut name = question.name().to_owned();
        for _ in 0..ALIASES_MAX {
            let question = Question::new(&name, question.record_type()).unwrap();
            if let Some(answer) = self.entry(&question) {
                return answer;
            }
            match self.entry(&Question::new(&name, RecordType::Cname).unwrap()) {
                Some(Answer::Records(records)) => match records.as_slice() {
                    [Record::Cname(target)] => name.clone_from(target),
                    other => panic!("{name}: {other:?}"),
                },
                _ if self.contains(&name) => return Answer::NoData,
                _ => return Answer::NxDomain,
            }
        }
        Answer::ServFail
    }
}
