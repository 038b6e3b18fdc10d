//! `bouncewatch serve`

mod results;
mod route;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bouncewatch_analyze::error::AnalyzeError;
use bouncewatch_ingest::telemetry::http_server::{
    Bytes, HttpAnswer, HttpRequest, HttpServer, listen_address,
};
use bouncewatch_schemas::text_layout::TextLayout;
use tokio::signal::unix::{SignalKind, signal};
use xxhash_rust::xxh3::xxh3_64;

use self::results::{Body, ResultError, Results};
use self::route::{ROUTES, Route, arguments, is_accepted_host, option_names};
use super::arguments::positive_duration_ms;
use super::command_result::CommandResult;
use super::store_access::{block_on, store_location};
use super::{check, page, report};
use crate::cli::{Cli, Command, ServeArgs};
use crate::config::Config;

/// Timeout for request and answer. The first result after an ingest reads many rows.
const CONNECTION_TIME_MAX: Duration = Duration::from_mins(5);

/// Answers requests until a signal arrives.
pub(super) fn run(args: &ServeArgs, config: Config) -> anyhow::Result<CommandResult> {
    let every = positive_duration_ms("--every", &args.every)?;
    let address = listen_address(&args.listen)?;
    let store = store_location(&args.store, &config)?;
    let mut common = vec![format!("--store={store}")];
    common.extend(args.aws.endpoint_url.iter().map(|url| format!("--endpoint-url={url}")));
    common.extend(args.cache.cache.iter().map(|cache| format!("--cache={}", cache.display())));
    let site = Site {
        hosts: args.host.clone(),
        common,
        config,
        results: Results::new(Duration::from_millis(every.unsigned_abs())),
    };
    block_on(serve(Arc::new(site), address))?;
    Ok(CommandResult::default())
}

async fn serve(site: Arc<Site>, address: std::net::SocketAddr) -> anyhow::Result<()> {
    let server = HttpServer::bind(address).await?;
    let address = server.address();
    let url = format!("http://{address}");
    tracing::info!(url, "serving results");
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "results can be read from other machines");
    }
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let answer = move |request| {
        let site = Arc::clone(&site);
        async move { site.answer(request).await }
    };
    tokio::select! {
        () = server.serve(CONNECTION_TIME_MAX, answer) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// What is served.
struct Site {
    hosts: Vec<String>,
    /// Arguments of every command: store and AWS.
    common: Vec<String>,
    config: Config,
    results: Results,
}

impl Site {
    async fn answer(self: Arc<Self>, request: HttpRequest) -> HttpAnswer {
        if !is_accepted_host(&request.host, &self.hosts) {
            return HttpAnswer::text(
                403,
                "unknown host name; start `bouncewatch serve` with --allowed-host NAME\n",
            );
        }
        if request.path == "/healthz" {
            return if self.results.is_healthy().await {
                HttpAnswer::text(200, "ok\n")
            } else {
                HttpAnswer::text(503, "the last result failed; see the log\n")
            };
        }
        let Some(route) = ROUTES.into_iter().find(|route| route.path == request.path) else {
            let paths = ROUTES.map(|route| route.path).join(", ");
            return HttpAnswer::text(404, &format!("not found; see {paths}, /healthz\n"));
        };
        let body = match arguments(route, &request.query) {
            Ok(arguments) => {
                let site = Arc::clone(&self);
                self.results.get(arguments, move |arguments| site.compute(route, arguments)).await
            }
            Err(_) => Err(ResultError::Request(format!(
                "unknown query parameter\n  hint: known are {}",
                option_names()
            ))),
        };
        match body {
            Ok(body) => with_etag(&request, route, body),
            Err(ResultError::Request(message)) => HttpAnswer::text(400, &format!("{message}\n")),
            Err(ResultError::Failed) => HttpAnswer::text(500, "the command failed; see the log\n"),
        }
    }

    /// Runs a command.
    fn compute(&self, route: Route, arguments: &[String]) -> Body {
        let program = ["bouncewatch".to_owned()];
        let all = program.iter().chain(arguments).chain(&self.common);
        let cli = Cli::parse_from_texts(all).map_err(ResultError::Request)?;
        let now = crate::now_ms();
        let (config, layout) = (&self.config, TextLayout::default());
        let result = match &cli.command {
            Command::Check(args) => check::run(args, config, now, layout),
            Command::Report(args) => report::run(args, config, now, layout),
            Command::Page(args) => page::run(args, config, now),
            _ => return Err(ResultError::Failed),
        };
        let mut body = Vec::new();
        let written = result.and_then(|result| Ok(result.write(&mut body)?));
        written.map_err(|error| {
            if is_of_request(&error) {
                return ResultError::Request(format!("error: {error:#}"));
            }
            tracing::error!(path = route.path, error = format!("{error:#}"), "no result");
            ResultError::Failed
        })?;
        Ok(body.into())
    }
}

/// Whether an error is about an option. Other errors can contain paths of this machine.
fn is_of_request(error: &anyhow::Error) -> bool {
    let is_option = error.downcast_ref().is_some_and(|error: &AnalyzeError| {
        matches!(error, AnalyzeError::Grouping(_) | AnalyzeError::Window(_) | AnalyzeError::Span(_))
    });
    is_option || error.to_string().starts_with("--")
}

/// The answer with a body, or without one if the client has it already.
fn with_etag(request: &HttpRequest, route: Route, body: Bytes) -> HttpAnswer {
    let etag = format!("\"{:016x}\"", xxh3_64(&body));
    let is_known = request.if_none_match.split(',').any(|known| known.trim() == etag);
    let answer = if is_known {
        HttpAnswer::new(304, route.content_type, "")
    } else {
        HttpAnswer::new(200, route.content_type, body)
    };
    let headers = [
        ("etag", etag.as_str()),
        ("cache-control", "no-cache"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    HttpAnswer { headers: headers.map(|(name, value)| (name, value.to_owned())).into(), ..answer }
}
