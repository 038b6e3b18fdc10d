//! Live lookups from a DNS server in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bouncewatch_dns::{
    Answer, Answers, FindingLevel, Lookup, NoMailReason, Question, Record, RecordType, Request,
    Resolver, ResolverSettings, gather, gather_with, judge, no_mail_domains,
};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr;
use hickory_server::server::{RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use crate::corpus::Base;
use crate::zone::Zone;

/// Serves a zone. A question with [`Answer::Timeout`] gets no response.
struct ZoneServer {
    zone: Zone,
    tcp_requests: Arc<AtomicUsize>,
}

fn name(name: &str) -> rr::Name {
    let labels = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    rr::Name::from_labels(labels).unwrap()
}

fn rdata(record: &Record) -> rr::RData {
    match record {
        Record::A(ip) => rr::RData::A(rr::rdata::A(*ip)),
        Record::Aaaa(ip) => rr::RData::AAAA(rr::rdata::AAAA(*ip)),
        Record::Cname(target) => rr::RData::CNAME(rr::rdata::CNAME(name(target))),
        Record::Ptr(target) => rr::RData::PTR(rr::rdata::PTR(name(target))),
        Record::Mx(mx) => rr::RData::MX(rr::rdata::MX::new(mx.preference, name(&mx.exchange))),
        Record::Txt(strings) => {
            let strings = strings.iter().map(Vec::as_slice).collect();
            rr::RData::TXT(rr::rdata::TXT::from_bytes(strings))
        }
    }
}

fn record_type(record_type: rr::RecordType) -> RecordType {
    match record_type {
        rr::RecordType::A => RecordType::A,
        rr::RecordType::AAAA => RecordType::Aaaa,
        rr::RecordType::CNAME => RecordType::Cname,
        rr::RecordType::MX => RecordType::Mx,
        rr::RecordType::PTR => RecordType::Ptr,
        rr::RecordType::TXT => RecordType::Txt,
        other => panic!("{other}"),
    }
}

impl ZoneServer {
    /// The records of a response: the aliases on the way, then the records of the type.
    fn response_records(&self, question: &Question, records: &[Record]) -> Vec<rr::Record> {
        let mut at = question.name().to_owned();
        let mut response = Vec::new();
        let alias =
            |at: &str| match self.zone.0.answer(&Question::new(at, RecordType::Cname).unwrap()) {
                Answer::Records(records) => records.into_iter().next(),
                _ => None,
            };
        while question.record_type() != RecordType::Cname
            && let Some(Record::Cname(target)) = alias(&at)
        {
            let data = rdata(&Record::Cname(target.clone()));
            response.push(rr::Record::from_rdata(name(&at), 60, data));
            at = target;
        }
        response.extend(
            records.iter().map(|record| rr::Record::from_rdata(name(&at), 60, rdata(record))),
        );
        response
    }
}

#[async_trait::async_trait]
impl RequestHandler for ZoneServer {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &hickory_server::server::Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        if request.protocol() == Protocol::Tcp {
            self.tcp_requests.fetch_add(1, Ordering::Relaxed);
        }
        let query = request.request_info().unwrap().query;
        let labels: Vec<_> = query.name().iter().map(String::from_utf8_lossy).collect();
        let question = Question::new(&labels.join("."), record_type(query.query_type())).unwrap();
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let mut records = Vec::new();
        metadata.response_code = match self.zone.answer(&question) {
            Answer::Records(found) => {
                records = self.response_records(&question, &found);
                ResponseCode::NoError
            }
            Answer::NoData => ResponseCode::NoError,
            Answer::NxDomain => ResponseCode::NXDomain,
            Answer::ServFail => ResponseCode::ServFail,
            Answer::Refused => ResponseCode::Refused,
            Answer::Timeout => {
                return Header { metadata, counts: HeaderCounts::default() }.into();
            }
            Answer::Error(_) | Answer::NotAsked => ResponseCode::NotImp,
        };
        let builder = MessageResponseBuilder::from_message_request(request);
        let response = builder.build(metadata, &records, [], [], []);
        response_handle.send_response(response).await.unwrap()
    }
}

struct Running {
    _server: Server<ZoneServer>,
    address: SocketAddr,
    tcp_requests: Arc<AtomicUsize>,
}

impl Running {
    /// Starts a server on a free port, for UDP and TCP.
    async fn start(zone: Zone) -> Self {
        let tcp_requests = Arc::default();
        let handler = ZoneServer { zone, tcp_requests: Arc::clone(&tcp_requests) };
        let mut server = Server::new(handler);
        // a port that is free for TCP may be in use for UDP
        let (listener, socket) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        let address = listener.local_addr().unwrap();
        server.register_listener(listener, Duration::from_mins(1), 16);
        server.register_socket(socket);
        Self { _server: server, address, tcp_requests }
    }

    fn resolver(&self, timeout: Duration) -> Resolver {
        let settings = settings(self.address, timeout);
        Resolver::new(&settings).unwrap()
    }
}

fn settings(server: SocketAddr, timeout: Duration) -> ResolverSettings {
    ResolverSettings { servers: vec![server], timeout, attempts: 1, run_timeout: PATIENT }
}

fn zone(json: &str) -> Zone {
    Zone(serde_json::from_str(json).unwrap())
}

/// Long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn answers_of_a_server_are_those_of_its_zone() {
    let zone = zone(&crate::fixture_text("server/zone.json"));
    let running = Running::start(zone.clone()).await;
    let resolver = running.resolver(PATIENT);
    let extra = [
        ("empty.example.com", RecordType::Txt),
        ("nothing.example.com", RecordType::A),
        ("alias.example.com", RecordType::A),
        ("alias.example.com", RecordType::Txt),
        ("dangling.example.com", RecordType::A),
        ("host.example.com", RecordType::Mx),
    ];
    let extra = extra.map(|(name, record_type)| Question::new(name, record_type).unwrap());
    let questions: Vec<&Question> =
        zone.0.iter().map(|(question, _)| question).chain(&extra).collect();
    let mut kinds = Vec::new();
    for question in questions {
        let answer = resolver.ask(question).await;
        assert_eq!(answer, zone.answer(question), "{question}");
        kinds.push(std::mem::discriminant(&answer));
    }
    for kind in [Answer::NxDomain, Answer::NoData, Answer::ServFail, Answer::Refused] {
        assert!(kinds.contains(&std::mem::discriminant(&kind)), "no {kind:?} in the zone");
    }
    assert_eq!(running.tcp_requests.load(Ordering::Relaxed), 1, "the long record needs TCP");
}

#[tokio::test]
async fn silent_server_is_a_timeout() {
    let running = Running::start(zone(r#"{"example.com": {"A": "timeout"}}"#)).await;
    let resolver = running.resolver(Duration::from_millis(50));
    let question = Question::new("example.com", RecordType::A).unwrap();
    assert_eq!(resolver.ask(&question).await, Answer::Timeout);
}

#[tokio::test]
async fn only_a_definite_answer_makes_a_domain_one_that_accepts_no_mail() {
    let zone = zone(
        r#"{
            "good.example": {"MX": ["10 mx.good.example"]}, "implicit.example": {"A": ["192.0.2.1"]},
            "null.example": {"MX": ["0 ."]}, "empty.example": {"TXT": ["x"]},
            "failed.example": {"MX": "servfail"}, "silent.example": {"MX": "timeout"},
            "refused.example": {"MX": "refused"},
            "half.example": {"A": "timeout", "TXT": ["x"]}
        }"#,
    );
    let running = Running::start(zone).await;
    let resolver = running.resolver(Duration::from_millis(500));
    let names = "good implicit null empty failed silent refused half gone";
    let domains = names.split(' ').map(|name| format!("{name}.example")).collect();
    let found = no_mail_domains(&resolver, domains, 1_000).await;
    let expected = [
        ("empty.example", NoMailReason::NoHost),
        ("gone.example", NoMailReason::NoDomain),
        ("null.example", NoMailReason::NullMx),
    ];
    let domains: Vec<_> =
        found.domains.iter().map(|(domain, reason)| (domain.as_str(), *reason)).collect();
    assert_eq!(domains, expected);
    assert_eq!(found.unanswered, 4);
}

#[tokio::test]
async fn run_ends_at_its_timeout_with_unknown_findings() {
    let zone = zone(r#"{"example.com": {"A": "timeout", "AAAA": "timeout", "MX": "timeout"}}"#);
    let running = Running::start(zone).await;
    let run_timeout = Duration::from_millis(50);
    let settings = ResolverSettings { run_timeout, ..settings(running.address, PATIENT) };
    let resolver = Resolver::new(&settings).unwrap();
    let request = Request { recipients: vec!["example.com".to_owned()], ..Request::default() };
    let answers = gather(&resolver, &request).await;
    assert!(answers.iter().all(|(_, answer)| *answer == Answer::Timeout), "{answers:?}");
    let findings = judge(&answers, &request);
    let levels: Vec<FindingLevel> = findings.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [FindingLevel::Unknown]);
}

#[tokio::test]
async fn port_without_a_server_is_a_failure_and_no_missing_record() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let resolver = Resolver::new(&settings(address, Duration::from_millis(200))).unwrap();
    let question = Question::new("example.com", RecordType::A).unwrap();
    assert!(resolver.ask(&question).await.failure().is_some());
}

#[tokio::test]
async fn gathered_answers_of_a_server_give_the_findings_of_its_zone() {
    for name in ["sender", "work_mail", "exchange", "recipient", "relay"] {
        let base = Base::read(name);
        let request: Request = serde_json::from_value(base.request).unwrap();
        let zone = Zone(serde_json::from_value(base.zone).unwrap());
        let running = Running::start(zone.clone()).await;
        let answers: Answers = gather(&running.resolver(PATIENT), &request).await;
        let wanted = gather_with(&request, async |question| zone.answer(question)).await;
        assert_eq!(answers, wanted, "{name}");
        assert_eq!(judge(&answers, &request), judge(&zone, &request), "{name}");
    }
}
