//! Writes the results of the analyses as one HTML file, as a mail, or as an index of pages. No I/O, no clock.
//!
//! - `data`: the JSON document with the results of all commands; the only input
//! - `sections`: document -> sections of text, tables and charts (`layout`)
//! - `svg`: charts; `format`: numbers and times; `untrusted_text`: text of senders and receivers
//! - `html`, `mail`, `index`: layout -> output, with askama templates

pub mod data;
mod error;
pub mod format;
mod html;
mod index;
mod layout;
mod mail;
mod sections;
mod svg;
#[cfg(test)]
mod tests;
mod untrusted_text;

use bouncewatch_schemas::printable::write_json;
use serde::Serialize;

pub use error::PageError;
pub use html::JSON_BYTES_MAX;
pub use index::{IndexEntry, index};
pub use untrusted_text::mask_addresses;

/// Version of the JSON document.
pub const VERSION: u32 = 1;
/// Start of the embedded document in a page.
const EMBEDDED: &str = "<script type=\"application/json\" id=\"bouncewatch\">";

/// Returns a document as JSON text that can be embedded in HTML. Equal documents have equal texts.
///
/// # Errors
/// If the document cannot be written as JSON.
pub fn document_text(document: &impl Serialize) -> Result<String, PageError> {
    let mut text = Vec::new();
    write_json(&mut text, document)?;
    // `<` occurs only inside strings, so the escape is valid JSON
    Ok(String::from_utf8_lossy(&text).replace('<', "\\u003c"))
}

/// Returns the JSON text of a page, or the text itself if it is no page.
pub fn embedded_document(text: &str) -> &str {
    let Some((_, rest)) = text.split_once(EMBEDDED) else { return text };
    rest.split_once("</script>").map_or(rest, |(document, _)| document)
}

/// Returns the page of a document, given as the text of [`document_text`].
///
/// # Errors
/// If the text is not the JSON of a page.
pub fn html(document: &str) -> Result<String, PageError> {
    let data = serde_json::from_str(document)?;
    html::render(&sections::page(&data), Some(document))
}

/// Returns the page of a document as a message for `sendmail -t`.
///
/// # Errors
/// If the text is not the JSON of a page.
pub fn mail(document: &str, to: &str) -> Result<String, PageError> {
    let data = serde_json::from_str(document)?;
    let page = sections::page(&data);
    mail::render(&page, &html::render(&page, Some(document))?, to)
}
