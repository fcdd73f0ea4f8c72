//! A `tracing` layer that turns events into lines: throttled, bounded, and queued for the writer.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::line::{self, Fields, Head, Span, Style};
use super::writer::Log;

/// Fields that identify the subject of a line.
const SUBJECTS: [&str; 5] = ["peer", "address", "name", "leader", "to"];
/// Fields that distinguish kinds of lines from the same call site.
const KINDS: [&str; 1] = ["code"];
/// Number of bytes of such a field that count.
const MAX_SUBJECT_BYTES: usize = 128;

/// Formats events for a [`Log`].
pub(super) struct LogLayer {
    log: Log,
    style: Style,
}

impl LogLayer {
    pub(super) fn new(log: Log, style: Style) -> Self {
        Self { log, style }
    }

    /// Returns the number of suppressed lines of this kind and subject since the last one; `None` to suppress
    /// this line.
    fn admit<'a, S>(
        &self,
        event: &Event<'_>,
        spans: impl Iterator<Item = &'a Id>,
        ctx: &Context<'_, S>,
    ) -> Option<u64>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        // Finer levels are enabled only on purpose, and then wanted in full.
        if *event.metadata().level() > Level::INFO {
            return Some(0);
        }
        let mut about = About::of_kind(&event.metadata().callsite());
        event.record(&mut about);
        for span in spans.filter_map(|id| ctx.span(id)) {
            if let Some(Recorded { subject, .. }) = span.extensions().get() {
                subject.hash(&mut about.subject);
            }
        }
        self.log.admit(about.kind.finish(), about.subject.finish())
    }
}

/// Data kept with a span.
struct Recorded {
    fields: Fields,
    /// Hash of the subject fields.
    subject: u64,
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::of_span(self.style);
        attributes.record(&mut fields);
        let mut about = About::of_kind(&());
        attributes.record(&mut about);
        span.extensions_mut().insert(Recorded { fields, subject: about.subject.finish() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(recorded) = span.extensions_mut().get_mut::<Recorded>() {
            values.record(&mut recorded.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let scope: Vec<Id> = ctx
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| span.id())
            .collect();
        let Some(suppressed) = self.admit(event, scope.iter(), &ctx) else { return };
        let mut fields = Fields::of_event(self.style);
        event.record(&mut fields);
        if suppressed > 0 {
            fields.plain("suppressed", suppressed);
        }
        let spans: Vec<_> = scope.iter().filter_map(|id| ctx.span(id)).collect();
        let extensions: Vec<_> = spans.iter().map(|span| span.extensions()).collect();
        let recorded = spans.iter().zip(&extensions).filter_map(|(span, extensions)| {
            let recorded = extensions.get::<Recorded>()?;
            Some(Span { name: span.name(), fields: &recorded.fields })
        });
        let recorded: Vec<_> = recorded.collect();
        let head = Head { level: *event.metadata().level(), target: event.metadata().target() };
        self.log.send(line::line(self.style, &head, &fields, &recorded));
    }
}

/// Kind and subject of a line, as hashes.
struct About {
    kind: DefaultHasher,
    subject: DefaultHasher,
}

impl About {
    fn of_kind(kind: &impl Hash) -> Self {
        let mut about = Self { kind: DefaultHasher::new(), subject: DefaultHasher::new() };
        kind.hash(&mut about.kind);
        about
    }

    fn take(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let hasher = match name {
            name if SUBJECTS.contains(&name) => &mut self.subject,
            name if KINDS.contains(&name) => &mut self.kind,
            _ => return,
        };
        let mut front = Front(String::new());
        // Fails once the limit is reached.
        let _ = front.write_fmt(value);
        let text = front.0.trim_matches('"');
        name.hash(hasher);
        // Each connection has a port of its own.
        match text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse::<IpAddr>()) {
            Ok(ip) => ip.hash(hasher),
            Err(_) => text.hash(hasher),
        }
    }
}

impl Visit for About {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), format_args!("{value}"));
    }
}

/// The beginning of a text.
struct Front(String);

impl fmt::Write for Front {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_SUBJECT_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_address_and_not_its_port() {
        let subject = |value: &str| {
            let mut about = About::of_kind(&1);
            about.take("peer", format_args!("{value}"));
            about.subject.finish()
        };
        assert_eq!(subject("10.0.0.1:4000"), subject("10.0.0.1:4001"));
        assert_eq!(subject("10.0.0.1:4000"), subject("10.0.0.1"));
        assert_eq!(subject("[::1]:4000"), subject("[::1]:1"));
        assert_ne!(subject("10.0.0.1:4000"), subject("10.0.0.2:4000"));
        assert_eq!(subject("n1"), subject("\"n1\""));
        assert_ne!(subject("n1"), subject("n2"));
    }
}
