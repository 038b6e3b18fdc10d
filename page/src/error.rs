//! Errors of a page.

/// Error of a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The text is not the JSON of a page.
    #[error(
        "could not read the JSON of a page: {0}\n  hint: `bouncewatch page --data FILE` writes it"
    )]
    Json(#[from] serde_json::Error),
    /// A template could not be rendered.
    #[error("could not render the page: {0}")]
    Template(#[from] askama::Error),
}
