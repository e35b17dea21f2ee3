//! Passes the lines of the log on to the exporter of telemetry, while there is one.

use std::fmt::Write as _;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::env::{Clock, Env, LogLine, Traces};

/// A layer of the log.
pub(super) struct OtlpLog {
    clock: Arc<dyn Clock>,
    traces: Arc<Traces>,
}

impl OtlpLog {
    pub fn new(env: &Env) -> OtlpLog {
        OtlpLog { clock: env.clock.clone(), traces: env.traces.clone() }
    }
}

impl<S: Subscriber> Layer<S> for OtlpLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !self.traces.is_on() {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let severity = match *event.metadata().level() {
            Level::TRACE => 1,
            Level::DEBUG => 5,
            Level::INFO => 9,
            Level::WARN => 13,
            Level::ERROR => 17,
        };
        self.traces.line(LogLine {
            wall_ms: self.clock.wall_ms(),
            severity,
            target: event.metadata().target().to_owned(),
            text: format!("{}{}", text.message, text.fields),
        });
    }
}

/// An event's message, and its fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_its_message_and_its_fields() {
        let env = Env::real();
        let subscriber = tracing_subscriber::registry().with(OtlpLog::new(&env));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("nobody listens");
            env.traces.switch_on(0);
            tracing::warn!(offset = 5, name = %"x", "it happened");
        });
        let (_, lines) = env.traces.take();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].severity, lines[0].text.as_str()), (13, "it happened offset=5 name=x"));
    }
}
