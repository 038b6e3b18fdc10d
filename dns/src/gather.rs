//! Live lookups: asks a resolver until a request can be judged, and records every answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr;
use hickory_resolver::{Resolver as HickoryResolver, TokioResolver};
use tokio::time::Instant;

use crate::answer::{Answer, Lookup, Mx, Question, Record, RecordType};
use crate::checks::recipient::{NoMailReason, no_mail_reason};
use crate::judge::judge;
use crate::name;
use crate::request::Request;
use crate::snapshot::{Answers, MissingQuestions};

/// Questions that are in flight at the same time.
const CONCURRENT_MAX: usize = 16;
/// Most questions of one run. Records of other domains decide how many there are.
const QUESTIONS_MAX: usize = 2000;

/// How to ask.
#[derive(Debug, Clone)]
pub struct ResolverSettings {
    /// DNS servers; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// Time for an answer to one query.
    pub timeout: Duration,
    /// Number of queries for one question without an answer.
    pub attempts: usize,
    /// Time for all questions of a run; those without an answer then count as timeouts.
    pub run_timeout: Duration,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            attempts: 2,
            run_timeout: Duration::from_mins(1),
        }
    }
}

/// The DNS servers could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not set up the DNS resolver: {0}")]
pub struct ResolverError(NetError);

/// Asks DNS servers. It caches answers: use one per run.
pub struct Resolver {
    inner: TokioResolver,
    run_timeout: Duration,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver. Without servers in the settings it reads the configuration of the system.
    ///
    /// # Errors
    /// If the configuration of the system cannot be read.
    pub fn new(settings: &ResolverSettings) -> Result<Self, ResolverError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if settings.servers.is_empty() {
            HickoryResolver::builder(provider).map_err(ResolverError)?
        } else {
            let servers = settings.servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            HickoryResolver::builder_with_config(config, provider)
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.attempts.saturating_sub(1);
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = u64::try_from(QUESTIONS_MAX).unwrap_or(u64::MAX);
        let inner = builder.build().map_err(ResolverError)?;
        Ok(Self { inner, run_timeout: settings.run_timeout })
    }

    /// Asks one question.
    pub async fn ask(&self, question: &Question) -> Answer {
        let Ok(name) = rr::Name::from_labels(question.name().split('.').map(str::as_bytes)) else {
            return Answer::NxDomain;
        };
        match self.inner.lookup(name, record_type(question.record_type())).await {
            Ok(lookup) => {
                let records = lookup.answers().iter().filter_map(|record| convert(&record.data));
                let records: Vec<Record> =
                    records.filter(|record| is_of_type(record, question.record_type())).collect();
                if records.is_empty() { Answer::NoData } else { Answer::Records(records) }
            }
            Err(error) => failure(&error),
        }
    }
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    NameServerConfig::new(server.ip(), true, connections)
}

fn failure(error: &NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
            match *response_code {
                ResponseCode::NXDomain => Answer::NxDomain,
                ResponseCode::NoError => Answer::NoData,
                code => of_code(code),
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => of_code(*code),
        NetError::Timeout => Answer::Timeout,
        other => Answer::Error(other.to_string()),
    }
}

fn of_code(code: ResponseCode) -> Answer {
    match code {
        ResponseCode::ServFail => Answer::ServFail,
        ResponseCode::Refused => Answer::Refused,
        code => Answer::Error(code.to_str().to_owned()),
    }
}

fn record_type(record_type: RecordType) -> rr::RecordType {
    match record_type {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Ptr => rr::RecordType::PTR,
        RecordType::Txt => rr::RecordType::TXT,
    }
}

/// Whether a record answers a question of the type; answers also contain the aliases on the way.
fn is_of_type(record: &Record, record_type: RecordType) -> bool {
    matches!(
        (record, record_type),
        (Record::A(_), RecordType::A)
            | (Record::Aaaa(_), RecordType::Aaaa)
            | (Record::Cname(_), RecordType::Cname)
            | (Record::Mx(_), RecordType::Mx)
            | (Record::Ptr(_), RecordType::Ptr)
            | (Record::Txt(_), RecordType::Txt)
    )
}

/// A name as text, without the escapes of zone files: [`Resolver::ask`] splits it at the dots again.
fn text_of(name: &rr::Name) -> String {
    let labels: Vec<_> = name.iter().map(String::from_utf8_lossy).collect();
    name::normalise(&labels.join("."))
}

fn convert(data: &rr::RData) -> Option<Record> {
    Some(match data {
        rr::RData::A(ip) => Record::A(ip.0),
        rr::RData::AAAA(ip) => Record::Aaaa(ip.0),
        rr::RData::CNAME(target) => Record::Cname(text_of(&target.0)),
        rr::RData::PTR(target) => Record::Ptr(text_of(&target.0)),
        rr::RData::MX(mx) => {
            Record::Mx(Mx { preference: mx.preference, exchange: text_of(&mx.exchange) })
        }
        rr::RData::TXT(txt) => {
            Record::Txt(txt.txt_data.iter().map(|string| string.to_vec()).collect())
        }
        _ => return None,
    })
}

/// Asks everything that [`judge`] needs for a request.
pub async fn gather(resolver: &Resolver, request: &Request) -> Answers {
    let deadline = Instant::now() + resolver.run_timeout;
    let ask = async |question: &Question| {
        let answer = tokio::time::timeout_at(deadline, resolver.ask(question)).await;
        answer.unwrap_or(Answer::Timeout)
    };
    gather_with(request, ask).await
}

/// Asks everything that [`judge`] needs for a request, by a function that answers one question.
///
/// The checks themselves name the questions: they run with the answers so far, their unanswered questions are asked at
/// the same time, and they run again, until none is left.
pub async fn gather_with(request: &Request, ask: impl AsyncFn(&Question) -> Answer) -> Answers {
    let check = |lookup: &dyn Lookup| drop(judge(lookup, request));
    gather_until_complete(check, ask).await
}

/// Which domains accept no mail.
#[derive(Debug, Default)]
pub struct NoMailDomains {
    /// These domains, with the reason.
    pub domains: BTreeMap<String, NoMailReason>,
    /// Number of domains for which a question had no answer: they may accept mail.
    pub unanswered: usize,
}

/// Asks which domains accept no mail, `per_second` domains per second.
pub async fn no_mail_domains(
    resolver: &Resolver,
    domains: Vec<String>,
    per_second: u32,
) -> NoMailDomains {
    let (start, pause) = (Instant::now(), Duration::from_secs(1) / per_second.max(1));
    let asked = (0_u32..).zip(domains).map(async |(number, domain)| {
        tokio::time::sleep_until(start + pause * number).await;
        let check = |lookup: &dyn Lookup| _ = no_mail_reason(lookup, &domain);
        let ask = async |question: &Question| resolver.ask(question).await;
        let answers = gather_until_complete(check, ask).await;
        let reason = no_mail_reason(&answers, &domain);
        (domain, reason, answers.iter().any(|(_, answer)| answer.failure().is_some()))
    });
    let mut asked = futures::stream::iter(asked).buffer_unordered(CONCURRENT_MAX);
    let mut found = NoMailDomains::default();
    while let Some((domain, reason, has_failed)) = asked.next().await {
        found.unanswered += usize::from(has_failed && reason.is_none());
        if let Some(reason) = reason {
            found.domains.insert(domain, reason);
        }
    }
    found
}

async fn gather_until_complete(
    check: impl Fn(&dyn Lookup),
    ask: impl AsyncFn(&Question) -> Answer,
) -> Answers {
    let mut answers = Answers::default();
    loop {
        let lookup = MissingQuestions::new(&answers);
        check(&lookup);
        let room = QUESTIONS_MAX.saturating_sub(answers.len());
        // a question that was asked and has no answer is not asked again
        let missing = lookup.into_questions().into_iter().filter(|one| !answers.contains(one));
        let missing: Vec<Question> = missing.take(room).collect();
        if missing.is_empty() {
            return answers;
        }
        let asked = missing.into_iter().map(async |question| {
            let answer = ask(&question).await;
            (question, answer)
        });
        let mut asked = futures::stream::iter(asked).buffer_unordered(CONCURRENT_MAX);
        while let Some((question, answer)) = asked.next().await {
            answers.insert(question, answer);
        }
    }
}
