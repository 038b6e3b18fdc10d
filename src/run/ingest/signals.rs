//! SIGTERM and SIGINT: the first signal stops the run gracefully, the second one at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::Sender;

/// Requests a graceful stop at the first signal, exits at the second.
pub(super) async fn stop_on_signal(request_stop: Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("could not install signal handlers; a signal ends the process at once");
        return;
    };
    for is_second in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if is_second {
            exit_at_once();
        }
        tracing::info!("stopping; received events are being stored; a second signal exits at once");
        request_stop.send_replace(true);
    }
    std::future::pending::<()>().await;
}

#[expect(
    clippy::exit,
    reason = "the second signal waits for nothing; messages that are not durable were not deleted"
)]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
