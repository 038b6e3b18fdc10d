//! Renders the page as one HTML document without other files.

use askama::Template;

use crate::error::PageError;
use crate::layout::{Block, Inline, Page};

/// Largest JSON document that is embedded, in bytes.
pub const JSON_BYTES_MAX: usize = 48 * 1024;

/// Style sheet of the page.
const CSS: &str = include_str!("../templates/page.css");
const JS: &str = include_str!("../templates/page.js");
/// SHA-256 of [`CSS`] in base64, for the content security policy; a test checks it.
pub(crate) const CSS_HASH: &str = "xtTHmZiTTkgl49Ys2m7vQh9a+Cr4/eCsUAnth7pW85I=";
pub(crate) const JS_HASH: &str = "Y+/W6Fkspsn8psmVvXgwhA3OO2JULPTOdslpZEe0nzw=";

/// JSON text with `<` escaped, so that it cannot close the script element.
struct EmbeddedJson<'a>(&'a str);

impl std::fmt::Display for EmbeddedJson<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.replace('<', "\\u003c"))
    }
}

impl askama::filters::HtmlSafe for EmbeddedJson<'_> {}

impl askama::FastWritable for EmbeddedJson<'_> {
    fn write_into(
        &self,
        dest: &mut dyn std::fmt::Write,
        _: &dyn askama::Values,
    ) -> Result<(), askama::Error> {
        Ok(dest.write_str(&self.0.replace('<', "\\u003c"))?)
    }
}

/// Style sheet or script, inserted into the template without escaping.
struct OwnText(&'static str);

impl std::fmt::Display for OwnText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl askama::filters::HtmlSafe for OwnText {}

impl askama::FastWritable for OwnText {
    fn write_into(
        &self,
        dest: &mut dyn std::fmt::Write,
        _: &dyn askama::Values,
    ) -> Result<(), askama::Error> {
        Ok(dest.write_str(self.0)?)
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct PageTemplate<'a> {
    page: &'a Page,
    css: OwnText,
    js: OwnText,
    css_hash: &'static str,
    js_hash: &'static str,
    json: Option<EmbeddedJson<'a>>,
    /// Whether the JSON document is left out because it exceeds [`JSON_BYTES_MAX`].
    is_omitted: bool,
    icon: &'static str,
}

/// Returns the icon: a shape in the color of the level, as a `data:` URL.
fn icon(page: &Page) -> &'static str {
    use crate::data::Level;
    match page.level {
        Level::Ok => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%231a7f37'/%3E%3C/svg%3E"
        }
        Level::Warning => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1l7 14H1z' fill='%238a5a00'/%3E%3C/svg%3E"
        }
        Level::Critical => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 1h14v14H1z' fill='%23b3261e'/%3E%3C/svg%3E"
        }
        Level::Unknown => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1l7 7-7 7-7-7z' fill='%236e4aa5'/%3E%3C/svg%3E"
        }
    }
}

/// Returns the HTML of a page; `document` is embedded if it is small enough.
pub(crate) fn render(page: &Page, document: Option<&str>) -> Result<String, PageError> {
    let template = PageTemplate {
        page,
        css: OwnText(CSS),
        js: OwnText(JS),
        css_hash: CSS_HASH,
        js_hash: JS_HASH,
        json: document.filter(|text| text.len() <= JSON_BYTES_MAX).map(EmbeddedJson),
        is_omitted: document.is_some_and(|text| text.len() > JSON_BYTES_MAX),
        icon: icon(page),
    };
    Ok(template.render()?)
}
