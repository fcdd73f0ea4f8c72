//! Text of an error with all its sources.

/// Returns an error and its sources, in one line for the log.
pub(crate) fn text_with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
