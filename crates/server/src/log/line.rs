//! One line of the log: bounded in length, and free of characters with an effect on terminals.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

/// Maximum length of a line with its newline. A pipe takes this much atomically (POSIX: `PIPE_BUF` on Linux).
pub(super) const MAX_LINE_BYTES: usize = 4096;
/// Maximum length of a field's value as written: values may come from a client or a peer.
const MAX_VALUE_BYTES: usize = 256;
/// Maximum length of a message; messages come from this program.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Maximum length of all fields of a span.
const MAX_SPAN_BYTES: usize = 1024;
/// Maximum length of an event's fields without the message: with head, message and a span they fit into a
/// line.
const MAX_EVENT_BYTES: usize = 1536;
/// Marks the end of a truncated text.
const CUT: &str = "…";
/// Room for the end of a line.
const RESERVE: usize = 32;

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// For people, with or without colours.
    Text {
        /// With colours.
        colours: bool,
    },
    /// One JSON object per line.
    Json,
}

/// Context of a value in a line, which determines the escaping.
#[derive(Debug, Clone, Copy)]
enum Escape {
    /// Without quotes.
    Bare,
    /// Between quotes in a text.
    Quoted,
    /// Between quotes in JSON.
    Json,
}

/// Text bounded in length, with escaping.
struct Bounded {
    text: String,
    limit: usize,
    escape: Escape,
    cut: bool,
}

impl Bounded {
    fn new(limit: usize, escape: Escape) -> Self {
        Self { text: String::new(), limit, escape, cut: false }
    }

    fn of(limit: usize, escape: Escape, value: fmt::Arguments<'_>) -> String {
        let mut bounded = Self::new(limit, escape);
        // Fails at the limit, which ends the formatting.
        let _ = bounded.write_fmt(value);
        if bounded.cut {
            bounded.text.push_str(CUT);
        }
        bounded.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let before = self.text.len();
            push_escaped(&mut self.text, c, self.escape);
            if self.text.len() > self.limit - CUT.len() {
                self.text.truncate(before);
                self.cut = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

fn push_escaped(text: &mut String, c: char, escape: Escape) {
    match (c, escape) {
        ('"' | '\\', Escape::Quoted | Escape::Json) => text.extend(['\\', c]),
        ('\n', _) => text.push_str("\\n"),
        // Every such character has at most four hexadecimal digits. Writing to a string does not fail.
        (c, Escape::Json) if is_unsafe(c) => drop(write!(text, "\\u{:04x}", u32::from(c))),
        (c, _) if is_unsafe(c) => drop(write!(text, "\\u{{{:x}}}", u32::from(c))),
        (c, _) => text.push(c),
    }
}

/// True for control characters, and for characters that end a line or change the order of the text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The formatted fields of an event or a span.
#[derive(Debug)]
pub(super) struct Fields {
    style: Style,
    message: String,
    /// Fields, each with a leading separator.
    text: String,
    room: usize,
    cut: bool,
}

impl Fields {
    /// Fields of an event.
    pub(super) fn of_event(style: Style) -> Self {
        Self::new(style, MAX_EVENT_BYTES)
    }

    /// Fields of a span.
    pub(super) fn of_span(style: Style) -> Self {
        Self::new(style, MAX_SPAN_BYTES)
    }

    fn new(style: Style, room: usize) -> Self {
        Self { style, message: String::new(), text: String::new(), room, cut: false }
    }

    /// Adds a text field.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        if name == "message" {
            return self.shown(name, format_args!("{value}"));
        }
        match self.style {
            Style::Text { .. } => {
                let value = Bounded::of(MAX_VALUE_BYTES - 2, Escape::Quoted, format_args!("{value}"));
                self.push(name, &format!("\"{value}\""));
            }
            Style::Json => self.shown(name, format_args!("{value}")),
        }
    }

    /// Adds a number or a boolean.
    pub(super) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.push(name, &Bounded::of(MAX_VALUE_BYTES, Escape::Bare, format_args!("{value}")));
    }

    /// Adds a field in its `Display` or `Debug` form.
    pub(super) fn shown(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let escape = if self.style == Style::Json { Escape::Json } else { Escape::Bare };
        if name == "message" {
            self.message = Bounded::of(MAX_MESSAGE_BYTES, escape, value);
            return;
        }
        match self.style {
            Style::Text { .. } => self.push(name, &Bounded::of(MAX_VALUE_BYTES, escape, value)),
            Style::Json => {
                let value = Bounded::of(MAX_VALUE_BYTES - 2, escape, value);
                self.push(name, &format!("\"{value}\""));
            }
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        let piece = match self.style {
            Style::Text { .. } => format!(" {name}={value}"),
            Style::Json => format!(",\"{name}\":{value}"),
        };
        if self.text.len() + piece.len() > self.room {
            self.cut = true;
            return;
        }
        self.text.push_str(&piece);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.shown(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities and no NaN.
        if value.is_finite() {
            self.plain(field.name(), value);
        } else {
            self.shown(field.name(), format_args!("{value}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.shown(field.name(), format_args!("{}", WithSources(value)));
    }
}

/// Display of an error with all its sources.
struct WithSources<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// Level and origin of a line.
pub(super) struct Head<'a> {
    pub(super) level: tracing::Level,
    pub(super) target: &'a str,
}

/// A span's name and fields.
pub(super) struct Span<'a> {
    pub(super) name: &'a str,
    pub(super) fields: &'a Fields,
}

/// Formats the line of an event inside of `spans`, the outermost first. At most [`MAX_LINE_BYTES`] long,
/// newline included.
pub(super) fn line(style: Style, head: &Head<'_>, fields: &Fields, spans: &[Span<'_>]) -> String {
    let mut line = match style {
        Style::Text { colours } => text_line(colours, head, fields, spans),
        Style::Json => json_line(head, fields, spans),
    };
    line.push('\n');
    debug_assert!(line.len() <= MAX_LINE_BYTES, "{} bytes", line.len());
    line
}

/// Adds pieces while there is room.
struct Assembly {
    text: String,
    cut: bool,
}

impl Assembly {
    fn add(&mut self, piece: &str) -> bool {
        let fits = self.text.len() + piece.len() <= MAX_LINE_BYTES - RESERVE;
        if fits {
            self.text.push_str(piece);
        } else {
            self.cut = true;
        }
        fits
    }
}

fn text_line(colours: bool, head: &Head<'_>, fields: &Fields, spans: &[Span<'_>]) -> String {
    let (dim, plain) = if colours { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    let colour = match head.level {
        _ if !colours => "",
        tracing::Level::ERROR => "\x1b[31m",
        tracing::Level::WARN => "\x1b[33m",
        tracing::Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    };
    let target = Bounded::of(MAX_VALUE_BYTES, Escape::Bare, format_args!("{}", head.target));
    let mut line = Assembly { text: String::with_capacity(256), cut: fields.cut };
    line.add(&format!("{dim}{}{plain} {colour}{:>5}{plain} ", now(), head.level.as_str()));
    for span in spans {
        let fields = span.fields.text.trim_start();
        line.add(&if fields.is_empty() {
            format!("{}: ", span.name)
        } else {
            format!("{}{{{fields}{}}}: ", span.name, if span.fields.cut { CUT } else { "" })
        });
    }
    line.add(&format!("{dim}{target}:{plain} "));
    line.add(&fields.message);
    line.add(&fields.text);
    if line.cut {
        line.text.push_str(CUT);
    }
    line.text
}

fn json_line(head: &Head<'_>, fields: &Fields, spans: &[Span<'_>]) -> String {
    let target = Bounded::of(MAX_VALUE_BYTES, Escape::Json, format_args!("{}", head.target));
    let mut line = Assembly { text: String::with_capacity(256), cut: fields.cut };
    line.add(&format!("{{\"timestamp\":\"{}\",\"level\":\"{}\"", now(), head.level.as_str()));
    line.add(&format!(",\"target\":\"{target}\""));
    let message = format!(",\"fields\":{{\"message\":\"{}\"", fields.message);
    // Without room for all fields there is room for the message.
    if !line.add(&format!("{message}{}}}", fields.text)) {
        line.add(&format!("{message}}}"));
    }
    let object = |span: &Span<'_>| format!("{{\"name\":\"{}\"{}}}", span.name, span.fields.text);
    if let Some(innermost) = spans.last() {
        line.add(&format!(",\"span\":{}", object(innermost)));
    }
    if spans.len() > 1 {
        let all: Vec<_> = spans.iter().map(object).collect();
        line.add(&format!(",\"spans\":[{}]", all.join(",")));
    }
    line.cut |= spans.iter().any(|span| span.fields.cut);
    line.text.push_str(if line.cut { ",\"cut\":true}" } else { "}" });
    line.text
}

/// The current time in RFC 3339 with microseconds, so that lines can be sorted as text.
fn now() -> impl fmt::Display {
    format!("{:.6}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Style = Style::Text { colours: false };
    const HEAD: Head<'_> = Head { level: tracing::Level::INFO, target: "server::http" };

    fn refused(style: Style, path: &str) -> String {
        let mut span = Fields::of_span(style);
        span.shown("id", format_args!("7"));
        span.text("path", path);
        let mut event = Fields::of_event(style);
        event.shown("message", format_args!("refused"));
        event.text("code", "not_found");
        event.plain("status", 404);
        line(style, &HEAD, &event, &[Span { name: "request", fields: &span }])
    }

    #[test]
    fn text_is_for_people() {
        let line = refused(TEXT, "/a");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 27, "{time}");
        let expected = "request{id=7 path=\"/a\"}: server::http: refused code=\"not_found\" status=404\n";
        assert_eq!(rest, format!(" INFO {expected}"));
    }

    #[test]
    fn json_is_for_machines() {
        let line: serde_json::Value =
            serde_json::from_str(&refused(Style::Json, "/a\"\u{1b}\u{9b}")).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "server::http");
        let fields = serde_json::json!({"message": "refused", "code": "not_found", "status": 404});
        assert_eq!(line["fields"], fields);
        let span = serde_json::json!({"name": "request", "id": "7", "path": "/a\"\u{1b}\u{9b}"});
        assert_eq!(line["span"], span);
        assert!(line.get("cut").is_none());
    }

    #[test]
    fn values_are_cut_and_the_cut_shows() {
        let check = |path: &str| {
            let text = refused(TEXT, path);
            let value = text.split_once("path=").unwrap().1.split_once("}: ").unwrap().0;
            assert!(value.len() <= MAX_VALUE_BYTES && value.ends_with("…\""), "{value}");
            assert!(text.ends_with("status=404\n"), "the rest of the line is there: {text}");
            let json = refused(Style::Json, path);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let value = json["span"]["path"].as_str().unwrap();
            assert!(value.len() <= MAX_VALUE_BYTES && value.ends_with('…'), "{value}");
        };
        check(&"a".repeat(60_000));
        check(&"\u{1b}".repeat(60_000));
        check(&"\"".repeat(300));
        check(&"ü".repeat(300));
        check(&"\u{1f4a5}".repeat(300));
    }

    #[test]
    fn no_character_does_anything() {
        let check = |sent: &str, text: &str| {
            let line = refused(TEXT, sent);
            assert!(line.contains(&format!("path=\"{text}\"")), "{line}");
            for line in [line, refused(Style::Json, sent)] {
                assert!(!line.trim_end_matches('\n').chars().any(is_unsafe), "{line:?}");
            }
        };
        check("a\nb", r"a\nb");
        check("\r\t\0", r"\u{d}\u{9}\u{0}");
        check("\x1b[31mred", r"\u{1b}[31mred");
        check("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}");
        check("\u{202e}gnp.exe\u{2028}", r"\u{202e}gnp.exe\u{2028}");
        check("say \"\\\"", r#"say \"\\\""#);
        check("übel", "übel");
    }

    #[test]
    fn lines_are_bounded_whatever_they_carry() {
        for style in [TEXT, Style::Text { colours: true }, Style::Json] {
            for count in [0, 1, 5, 10, 15, 20, 100] {
                for length in [0, 1, 100, 240, 10_000] {
                    let value = "ü\"\u{1b}".repeat(length);
                    let mut span = Fields::of_span(style);
                    let mut event = Fields::of_event(style);
                    event.shown("message", format_args!("{value}"));
                    for i in 0..count {
                        span.text(&format!("s{i}"), &value);
                        event.shown(&format!("e{i}"), format_args!("{value}"));
                    }
                    let spans = [0, 1, 2].map(|_| Span { name: "span", fields: &span });
                    let line = line(style, &HEAD, &event, &spans);
                    assert!(line.len() <= MAX_LINE_BYTES, "{} bytes", line.len());
                    assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
                    if style == Style::Json {
                        serde_json::from_str::<serde_json::Value>(&line).unwrap();
                    }
                    let all = count * length * 7 > 2 * MAX_LINE_BYTES;
                    assert!(!all || line.contains(CUT) || line.contains("\"cut\":true"));
                }
            }
        }
    }

    #[test]
    fn errors_tell_what_led_to_them() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no space"));
        assert_eq!(WithSources(&error).to_string(), "cannot write: no space");
    }
}
