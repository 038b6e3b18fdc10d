//! Progress on stderr.

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::cli::Verbosity;

/// A spinner; hidden with `--quiet`.
pub(super) fn spinner(verbosity: Verbosity) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if verbosity == Verbosity::Quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
