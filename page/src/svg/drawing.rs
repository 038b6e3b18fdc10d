//! Elements of a chart: colors, lines, escaped text.

use std::fmt::{self, Display, Write};

/// Colors of light mode, with the classes that replace them.
pub(crate) const LINE: Color = Color { class: "l", hex: "#1f5fa8" };
pub(crate) const BAND: Color = Color { class: "b", hex: "#c5d9ef" };
pub(crate) const AXIS: Color = Color { class: "x", hex: "#57606a" };
pub(crate) const TEXT: Color = Color { class: "t", hex: "#1b1f24" };
pub(crate) const WARNING: Color = Color { class: "w", hex: "#8a5a00" };
pub(crate) const CRITICAL: Color = Color { class: "c", hex: "#b3261e" };

/// A color of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Color {
    /// Class of fills (`f` before it) and of lines (`s` before it).
    pub(crate) class: &'static str,
    pub(crate) hex: &'static str,
}

impl Color {
    /// Returns the attributes of a fill.
    pub(super) fn fill(self) -> String {
        format!("class=\"f{}\" fill=\"{}\"", self.class, self.hex)
    }

    /// Returns the attributes of a line; the element around it has `fill="none"`.
    pub(super) fn stroke(self) -> String {
        format!("class=\"s{}\" stroke=\"{}\"", self.class, self.hex)
    }
}

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
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" fill=\"none\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(title),
            escape(description)
        );
        Self { out }
    }

    /// Starts a chart next to its numbers, which screen readers skip.
    pub(super) fn hidden(width: f64, height: f64) -> Self {
        let (width, height) = (coordinate(width), coordinate(height));
        Self {
            out: format!(
                "<svg width=\"{width}\" height=\"{height}\" fill=\"none\" aria-hidden=\"true\">"
            ),
        }
    }

    /// Starts elements that are drawn where a chart refers to them.
    pub(super) fn definition(id: &str) -> Self {
        Self {
            out: format!(
                "<svg width=\"0\" height=\"0\" fill=\"none\" aria-hidden=\"true\"><g id=\"{id}\">"
            ),
        }
    }

    pub(super) fn finish_definition(mut self) -> Svg {
        self.out.push_str("</g></svg>");
        Svg(self.out)
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

    /// Draws the elements of a [`small::bullet_scale`].
    pub(super) fn reference(&mut self, id: &str) {
        _ = write!(self.out, "<use href=\"#{id}\"/>");
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), color: Color) {
        let [x, y, width, height] = [at.0, at.1, size.0.max(0.0), size.1.max(0.0)].map(coordinate);
        _ = write!(
            self.out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {}/>",
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
            "<text x=\"{x}\" y=\"{y}\" font-size=\"12\" font-family=\"sans-serif\" text-anchor=\"{anchor}\" {}>{}</text>",
            color.fill(),
            escape(text)
        );
    }

    pub(super) fn finish(mut self) -> Svg {
        self.out.push_str("</svg>");
        Svg(self.out)
    }
}

fn path_data(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 10);
    for (at, (x, y)) in points.iter().enumerate() {
        out.push(if at == 0 { 'M' } else { 'L' });
        _ = write!(out, "{} {}", coordinate(*x), coordinate(*y));
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
