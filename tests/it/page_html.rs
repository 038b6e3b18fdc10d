//! Reads pages: their text, and the numbers with a pointer into the document.

use serde_json::Value;

/// Elements that end a line of text.
const BLOCKS: [&str; 16] = [
    "p", "h1", "h2", "h3", "li", "caption", "dt", "dd", "summary", "title", "desc", "section",
    "header", "ol", "dl", "text",
];

fn unescaped(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

/// Returns the text of a page: tags removed, one line per block, cells separated by `|`.
pub(crate) fn text_of(html: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut is_in_cell) = (html, false);
    while let Some((text, tag_and_rest)) = rest.split_once('<') {
        out += &unescaped(&text.replace('\n', " "));
        let (tag, after) = tag_and_rest.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        rest = after;
        // end tags of cells and rows are optional
        let is_start = !tag.starts_with('/');
        let ends_row = matches!((name, is_start), ("tr", _) | ("tbody", false));
        let is_cell = ["td", "th"].contains(&name);
        if is_in_cell && (is_cell || ends_row) {
            out += " | ";
        }
        if ends_row {
            out.push('\n');
        }
        if is_cell || ends_row {
            is_in_cell = is_cell && is_start;
        }
        if ["script", "style"].contains(&name) && is_start {
            rest = after.split_once(&format!("</{name}>")).unwrap().1;
        } else if !is_start && BLOCKS.contains(&name) {
            out.push('\n');
        }
    }
    let lines = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}

/// Returns a value of the document as the page shows it.
pub(crate) fn value_text(value: &Value) -> String {
    let percent = |value: &Value| format!("{:.2} %", value.as_f64().unwrap() * 100.0);
    match value {
        Value::Number(number) => number.as_u64().map_or_else(|| percent(value), with_commas),
        Value::Array(bounds) => bounds.iter().map(percent).collect::<Vec<_>>().join(" to "),
        // times are shown to the minute
        Value::String(text) if text.ends_with('Z') => {
            format!("{} {} UTC", text.get(..10).unwrap(), text.get(11..16).unwrap())
        }
        Value::String(text) => text.clone(),
        other => panic!("{other}"),
    }
}

/// Compares a text with the value at a pointer. An absent value has words, never a number.
fn check(document: &Value, pointer: &str, text: &str) {
    match document.pointer(pointer) {
        None | Some(Value::Null) => {
            assert!(
                !text.contains(|c: char| c.is_ascii_digit()),
                "{pointer}: absent, but the page shows {text}"
            );
        }
        Some(_) if text == "does not report complaints to SES" => {}
        Some(value) => assert_eq!(text, value_text(value), "{pointer}"),
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// Compares every number of a page with the value of the document to which it points; returns how many were compared.
pub(crate) fn check_pointers(html: &str, document: &Value) -> usize {
    let mut checked = 0;
    for part in html.split('<').filter(|part| part.starts_with("span") || part.starts_with("time"))
    {
        let (tag, text) = part.split_once('>').unwrap();
        if let Some(pointer) = attribute(tag, "data-p") {
            check(document, pointer, &unescaped(text));
            checked += 1;
        }
    }
    for table in html.split("<table").skip(1) {
        let table = table.split("</table>").next().unwrap();
        let (head, body) = table.split_once("</thead>").unwrap();
        let keys: Vec<Option<&str>> =
            head.split("<th ").skip(1).map(|header| attribute(header, "data-k")).collect();
        for row in body.split("<tr").skip(1) {
            let Some(pointer) = attribute(row.split('>').next().unwrap(), "data-p") else {
                continue;
            };
            let cells: Vec<&str> =
                row.split("<td").flat_map(|part| part.split("<th")).skip(1).collect();
            assert_eq!(cells.len(), keys.len(), "{row}");
            for (key, cell) in keys.iter().zip(cells) {
                let Some(key) = key else { continue };
                let text = text_of(&format!("{}<p></p>", cell.split_once('>').unwrap().1));
                check(document, &format!("{pointer}/{key}"), text.trim_end_matches(" |"));
                checked += 1;
            }
        }
    }
    checked
}
