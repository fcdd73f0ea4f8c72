//! `GET /docs/errors`: meaning and remedy of each code. Browsers get a page with an anchor for each code,
//! other clients the source text.

use std::sync::LazyLock;

use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use pulldown_cmark::{Event, Options, Parser, Tag, TextMergeStream, html};

use crate::http::answer::negotiate::prefers;
use crate::http::middleware::principal::{Anonymous, Principal};

const PAGE: &str = include_str!("error_page.html");
const TEXT: &str = include_str!("../../../../../docs/errors.md");
/// The page loads nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

static RENDERED: LazyLock<String> = LazyLock::new(|| {
    let mut body = String::new();
    html::push_html(&mut body, anchored(TextMergeStream::new(Parser::new_ext(TEXT, Options::empty()))));
    PAGE.replace("{{body}}", &body)
});

/// Serves the page in the negotiated form.
pub(crate) async fn error_page(_: Principal<Anonymous>, headers: HeaderMap) -> Response {
    let form = if prefers(&headers, "text/html") {
        ([(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)], Html(RENDERED.as_str()))
            .into_response()
    } else {
        ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], TEXT).into_response()
    };
    ([(header::VARY, "accept")], form).into_response()
}

/// Gives each heading of a single word the word as its id.
fn anchored<'a>(events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut events = events.peekable();
    std::iter::from_fn(move || {
        let mut event = events.next()?;
        if let (Event::Start(Tag::Heading { id, .. }), Some(Event::Text(text))) = (&mut event, events.peek())
            && !text.contains(' ')
        {
            *id = Some(text.clone());
        }
        Some(event)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use api::Code;

    /// Maps each code to the line under its section's heading.
    fn sections() -> BTreeMap<&'static str, &'static str> {
        let sections = TEXT.split("\n### ").skip(1).map(|section| {
            let mut lines = section.lines().filter(|line| !line.is_empty());
            (lines.next().unwrap(), lines.next().unwrap())
        });
        let all: Vec<_> = sections.collect();
        let by_code: BTreeMap<_, _> = all.iter().copied().collect();
        assert_eq!(by_code.len(), all.len(), "a section is there twice");
        by_code
    }

    #[test]
    fn every_code_has_a_section_and_every_section_a_code() {
        let mut sections = sections();
        for code in Code::ALL {
            let (name, status) = (code.as_str(), format!("HTTP {}", code.status()));
            let line =
                sections.remove(name).unwrap_or_else(|| panic!("docs/errors.md has nothing on `{name}`"));
            assert!(line.starts_with(&status), "`{name}` is answered with {status}, not with {line}");
        }
        assert!(sections.is_empty(), "nothing is answered with {sections:?}");
    }

    #[test]
    fn every_code_has_an_anchor() {
        for code in Code::ALL {
            let anchor = format!("<h3 id=\"{0}\">{0}</h3>", code.as_str());
            assert!(RENDERED.contains(&anchor), "{anchor}");
        }
        assert!(!RENDERED.contains("{{"));
    }
}
