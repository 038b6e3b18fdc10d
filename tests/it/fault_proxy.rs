//! A proxy before the S3 server that injects failures. It forwards one request at a time, so that conditional writes are
//! atomic, as those of S3 are.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::http_message::{Request, respond};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is forwarded.
    None,
    /// It is refused.
    Refuse,
    /// It is forwarded, and then refused.
    RefuseDone,
    /// The client must repeat it.
    Busy,
}

/// Decides on a request by method and path.
pub(crate) type Plan = dyn FnMut(&str, &str) -> Fault + Send;

/// A running proxy, until the process ends.
#[derive(Clone)]
pub(crate) struct FaultProxy {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<(String, String, Fault)>>>,
}

impl FaultProxy {
    /// Starts a proxy before the server at `url`.
    pub(crate) fn start(url: &str, plan: impl FnMut(&str, &str) -> Fault + Send + 'static) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Self { url, requests: Arc::default() };
        let plan: Arc<Mutex<Box<Plan>>> = Arc::new(Mutex::new(Box::new(plan)));
        let requests = Arc::clone(&proxy.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (plan, requests, server) =
                    (Arc::clone(&plan), Arc::clone(&requests), server.clone());
                // a client that was killed closes its connection
                std::thread::spawn(move || {
                    _ = answer(stream.unwrap(), &server, &plan, &requests);
                });
            }
        });
        proxy
    }

    /// Takes the requests since the last call: method, path and fault.
    pub(crate) fn take_requests(&self) -> Vec<(String, String, Fault)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    server: &str,
    plan: &Mutex<Box<Plan>>,
    requests: &Mutex<Vec<(String, String, Fault)>>,
) -> std::io::Result<()> {
    use std::io::Write;

    let Some(request) = Request::read(&stream)? else { return Ok(()) };
    let mut plan = plan.lock().unwrap();
    let fault = plan(&request.method, &request.path);
    requests.lock().unwrap().push((request.method.clone(), request.path.clone(), fault));
    let error =
        |code: &str| format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
    match fault {
        Fault::Busy => return respond(&mut stream, "503 Slow Down", "", &error("SlowDown")),
        Fault::Refuse => return respond(&mut stream, "403 Forbidden", "", &error("AccessDenied")),
        Fault::None | Fault::RefuseDone => {}
    }
    let response = request.forward(server)?;
    if fault == Fault::RefuseDone {
        return respond(&mut stream, "403 Forbidden", "", &error("AccessDenied"));
    }
    stream.write_all(&response)
}
