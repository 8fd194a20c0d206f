//! Data -> HTML: the page is part of the program.

use anyhow::{Context, Result};

use super::Report;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 6] = [
    include_str!("page/dom.js"),
    include_str!("page/chart.js"),
    include_str!("page/tables.js"),
    include_str!("page/options.js"),
    include_str!("page/texts.js"),
    include_str!("page/page.js"),
];

/// The whole page.
///
/// # Errors
/// The data hold a number that JSON has no word for.
pub fn html(report: &Report) -> Result<String> {
    // Nothing in the data can end the element that holds them.
    let data = serde_json::to_string(report)?.replace('<', "\\u003c");
    let scripts = SCRIPTS.concat();
    let mut parts = [
        ("TITLE", escaped(&report.title)),
        ("/*CSS*/", STYLE.to_string()),
        ("/*JS*/", scripts),
        ("/*DATA*/", data),
    ];
    // In the page's order, each part after the one before: what is filled in is no placeholder.
    parts.sort_by_key(|(placeholder, _)| PAGE.find(placeholder));
    let (mut html, mut rest) = (String::new(), PAGE);
    for (placeholder, part) in &parts {
        let (before, after) = rest.split_once(placeholder).context("the page lacks a placeholder")?;
        html.push_str(before);
        html.push_str(part);
        rest = after;
    }
    Ok(html + rest)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
