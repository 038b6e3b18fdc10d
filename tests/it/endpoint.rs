//! An HTTP server that gives prepared answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// A request: its head, and its body.
pub(crate) type Request = (String, String);

/// A server that answers one request with each of its answers, then ends.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    address: SocketAddr,
    requests: JoinHandle<Vec<Request>>,
}

impl Endpoint {
    /// Starts it with some answers, each a status and a body. `path` is that of its URL.
    pub(crate) fn start(path: &str, answers: Vec<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/{path}");
        let requests = std::thread::spawn(move || {
            let answer = |(status, answer): (&str, &str)| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap() == 0 {
                        assert_eq!(head, "");
                        return None;
                    }
                }
                let names = head.to_lowercase();
                let length =
                    names.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                let length = answer.len();
                write!(stream, "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}")
                    .unwrap();
                Some((head, String::from_utf8(body).unwrap()))
            };
            answers.into_iter().map_while(answer).collect()
        });
        Self { url, address, requests }
    }

    /// Ends it, also if it has answers left, and returns the requests.
    pub(crate) fn finish(self) -> Vec<Request> {
        // refused if all answers were given
        drop(TcpStream::connect(self.address));
        self.requests.join().unwrap()
    }

    /// Ends it, and returns method, path and body of each request in one line.
    pub(crate) fn finish_lines(self) -> Vec<String> {
        let line = |(head, body): &Request| {
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
            format!("{line} {body}").trim_end().to_owned()
        };
        self.finish().iter().map(line).collect()
    }
}
