//! Style sheet and script: hashes, sizes, and contrast of colors.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::data::Level;
use crate::html::{CSS_HASH, JS_HASH};
use crate::layout::LevelMark;
use crate::svg::{AXIS, BAND, CRITICAL, LINE, TEXT, WARNING};

const CSS: &str = include_str!("../templates/page.css");
const JS: &str = include_str!("../templates/page.js");

#[test]
fn hashes_of_the_content_security_policy_match_style_sheet_and_script() {
    for (text, hash) in [(CSS, CSS_HASH), (JS, JS_HASH)] {
        assert_eq!(STANDARD.encode(Sha256::digest(text)), hash);
    }
}

#[test]
fn style_sheet_and_script_are_small() {
    assert!(CSS.len() <= 6 * 1024, "{}", CSS.len());
    assert!(JS.len() <= 3 * 1024, "{}", JS.len());
}

#[test]
fn script_sorts_levels_by_their_shapes() {
    let levels = [Level::Ok, Level::Unknown, Level::Warning, Level::Critical];
    let marks = std::iter::once(LevelMark::LowVolume).chain(levels.map(LevelMark::Level));
    let shapes: String = marks.map(LevelMark::shape).collect();
    let escape =
        |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) };
    let escaped: String = shapes.chars().map(escape).collect();
    assert!(JS.contains(&format!("'{escaped}'")), "{escaped}");
}

/// Returns a color of the style sheet, red, green and blue from 0 to 1, in a scheme: 0 light, 1 dark.
fn color(scheme: usize, name: &str) -> [f64; 3] {
    let of_scheme = CSS.split(":root{").nth(scheme + 1).unwrap();
    let value = of_scheme.split(&format!("--{name}:#")).nth(1).unwrap();
    let hex: String = value.chars().take(6).collect();
    let [_, rgb @ ..] = u32::from_str_radix(&hex, 16).unwrap().to_be_bytes();
    rgb.map(|part| f64::from(part) / 255.0)
}

/// Contrast of two colors (WCAG 2.2, "contrast ratio").
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |color: [f64; 3]| {
        let linear =
            |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = color.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_has_a_contrast_of_at_least_4_5_and_graphics_of_3() {
    for scheme in [0, 1] {
        for name in ["fg", "mute", "line", "warn", "crit", "ok", "unk"] {
            for background in ["bg", "code"] {
                let ratio = contrast(color(scheme, name), color(scheme, background));
                assert!(ratio >= 4.5, "{name} on {background} in scheme {scheme}: {ratio:.2}");
            }
        }
        let ratio = contrast(color(scheme, "rule"), color(scheme, "bg"));
        assert!(ratio >= 3.0, "rule in scheme {scheme}: {ratio:.2}");
        let ratio = contrast(color(scheme, "line"), color(scheme, "band"));
        assert!(ratio >= 3.0, "line on band in scheme {scheme}: {ratio:.2}");
    }
}

#[test]
fn colors_of_charts_are_those_of_light_mode() {
    let light = CSS.split(":root{").nth(1).unwrap().split('}').next().unwrap();
    for (color, name) in [
        (LINE, "line"),
        (BAND, "band"),
        (AXIS, "mute"),
        (TEXT, "fg"),
        (WARNING, "warn"),
        (CRITICAL, "crit"),
    ] {
        assert!(light.contains(&format!("--{name}:{}", color.0)), "{name}");
        for paint in ["fill", "stroke"] {
            let rule = format!("[{paint}=\"{}\"]{{{paint}:var(--{name})}}", color.0);
            assert!(CSS.contains(&rule), "{rule}");
        }
    }
}
