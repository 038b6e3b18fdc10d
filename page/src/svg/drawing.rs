//! Elements of a chart: colors, lines, escaped text.

use std::fmt::{self, Display, Write};

/// Colors of light mode; the style sheet replaces them in dark mode.
pub(crate) const LINE: Color = Color("#1f5fa8");
pub(crate) const BAND: Color = Color("#c5d9ef");
pub(crate) const AXIS: Color = Color("#57606a");
pub(crate) const TEXT: Color = Color("#1b1f24");
pub(crate) const WARNING: Color = Color("#8a5a00");
pub(crate) const CRITICAL: Color = Color("#b3261e");

/// A color of a chart, as in CSS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Color(pub(crate) &'static str);

impl Color {
    /// Returns the attribute of a fill.
    pub(super) fn fill(self) -> String {
        format!("fill=\"{}\"", self.0)
    }

    /// Returns the attribute of a line. If it is no straight line, it or an element around it needs [`UNFILLED`].
    pub(super) fn stroke(self) -> String {
        format!("stroke=\"{}\"", self.0)
    }
}

/// Attribute of a path in [`Drawing::hidden`]; [`Drawing::described`] has it for all elements.
pub(super) const UNFILLED: &str = " fill=\"none\"";

/// A complete SVG element. Only this module creates it, from numbers and escaped text.
#[derive(Debug, Clone)]
pub(crate) struct Svg(String);

impl Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Marks the type as HTML for templates; see the type.
impl askama::filters::HtmlSafe for Svg {}

impl askama::FastWritable for Svg {
    fn write_into(
        &self,
        dest: &mut dyn fmt::Write,
        _: &dyn askama::Values,
    ) -> Result<(), askama::Error> {
        Ok(dest.write_str(&self.0)?)
    }
}

/// Escapes text for content and quoted attributes of SVG.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Formats a coordinate with at most one decimal; a number that is not finite is 0.
fn coordinate(value: f64) -> String {
    let text = format!("{:.1}", if value.is_finite() { value } else { 0.0 });
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Returns an attribute with a coordinate; nothing for 0, which is the default.
fn attribute(name: &str, value: f64) -> String {
    match coordinate(value).as_str() {
        "0" | "-0" => String::new(),
        text => format!(" {name}=\"{text}\""),
    }
}

/// Builds an SVG element.
#[derive(Debug)]
pub(super) struct Drawing {
    out: String,
}

impl Drawing {
    /// Starts a chart with a title and a description. `id` is unique in the page.
    pub(super) fn described(
        width: f64,
        height: f64,
        id: &str,
        title: &str,
        description: &str,
    ) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        let mut out = String::new();
        // writing to a String cannot fail
        _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"{UNFILLED} font-size=\"12\" font-family=\"sans-serif\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(title),
            escape(description)
        );
        Self { out }
    }

    /// Starts a chart next to its numbers, which screen readers skip. A path that is no straight line needs [`UNFILLED`].
    pub(super) fn hidden(width: f64, height: f64) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        Self { out: format!("<svg width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">") }
    }

    /// Starts elements that are drawn where a chart refers to them.
    pub(super) fn definitions() -> Self {
        Self::hidden(0.0, 0.0)
    }

    /// Defines elements; [`Self::reference`] draws them by their ID, which is unique in the page.
    pub(super) fn define(&mut self, id: &str, draw: impl FnOnce(&mut Self)) {
        _ = write!(self.out, "<defs><g id=\"{id}\">");
        draw(self);
        self.out.push_str("</g></defs>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: Color, more: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(coordinate);
        // a path is shorter than a line
        let to = match (x1 == x2, y1 == y2) {
            (true, _) => format!("V{y2}"),
            (_, true) => format!("H{x2}"),
            _ => format!("L{x2} {y2}"),
        };
        _ = write!(self.out, "<path d=\"M{x1} {y1}{to}\" {}{more}/>", color.stroke());
    }

    /// Draws defined elements, moved by `offset`.
    pub(super) fn reference(&mut self, id: &str, offset: (f64, f64)) {
        let (x, y) = (attribute("x", offset.0), attribute("y", offset.1));
        _ = write!(self.out, "<use href=\"#{id}\"{x}{y}/>");
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), color: Color) {
        let [width, height] = [size.0.max(0.0), size.1.max(0.0)].map(coordinate);
        if width == "0" || height == "0" {
            return;
        }
        let (x, y) = (attribute("x", at.0), attribute("y", at.1));
        _ = write!(
            self.out,
            "<rect{x}{y} width=\"{width}\" height=\"{height}\" {}/>",
            color.fill()
        );
    }

    pub(super) fn dot(&mut self, at: (f64, f64), radius: f64, color: Color, is_filled: bool) {
        let [x, y, radius] = [at.0, at.1, radius].map(coordinate);
        let paint = if is_filled { color.fill() } else { color.stroke() };
        _ = write!(self.out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {paint}/>");
    }

    /// Draws a line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], color: Color, more: &str) {
        let d = path_data(points);
        _ = write!(self.out, "<path d=\"{d}\" {}{more}/>", color.stroke());
    }

    /// Fills the area inside points.
    pub(super) fn area(&mut self, points: &[(f64, f64)], color: Color) {
        let d = path_data(points);
        _ = write!(self.out, "<path d=\"{d}Z\" {}/>", color.fill());
    }

    /// Writes text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, at: (f64, f64), anchor: &str, text: &str, color: Color) {
        let [x, y] = [at.0, at.1].map(coordinate);
        _ = write!(
            self.out,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" {}>{}</text>",
            color.fill(),
            escape(text)
        );
    }

    pub(super) fn finish(mut self) -> Svg {
        self.out.push_str("</svg>");
        Svg(self.out)
    }
}

/// Returns a path through points. Points inside a horizontal line are left out.
fn path_data(points: &[(f64, f64)]) -> String {
    let points: Vec<[String; 2]> =
        points.iter().map(|(x, y)| [coordinate(*x), coordinate(*y)]).collect();
    let mut out = String::with_capacity(points.len() * 10);
    for (at, [x, y]) in points.iter().enumerate() {
        let has_height = |at: usize| points.get(at).is_some_and(|[_, other]| other == y);
        let is_level = at.checked_sub(1).is_some_and(has_height);
        _ = match (at, is_level) {
            (0, _) => write!(out, "M{x} {y}"),
            (_, true) if has_height(at + 1) => continue,
            (_, true) => write!(out, "H{x}"),
            (_, false) => write!(out, "L{x} {y}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_finite_with_one_decimal() {
        for (value, text) in
            [(1.0, "1"), (1.25, "1.2"), (f64::NAN, "0"), (f64::INFINITY, "0"), (-0.04, "-0")]
        {
            assert_eq!(coordinate(value), text);
        }
    }

    #[test]
    fn horizontal_lines_have_two_points() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.01), (3.0, 5.0), (4.0, 5.0), (5.0, 1.0)];
        assert_eq!(path_data(&points), "M0 1H2L3 5H4L5 1");
        assert_eq!(path_data(&[(1.0, 2.0)]), "M1 2");
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_has_no_markup_and_unescapes_to_itself(text in "[ -~\\PC]{0,60}") {
            let escaped = escape(&text);
            proptest::prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&#34;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            proptest::prop_assert_eq!(back, text);
        }
    }
}
