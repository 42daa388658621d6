//! What the filter line means: a filter, or a search. Does not edit the line.

use crate::domain::{Filter, ServiceNames, filter::FilterError};

/// What a line means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AppliedLine {
    pub filter: Filter,
    /// A line that begins with `?` is only a search: it filters nothing.
    pub search: Option<Filter>,
}

impl AppliedLine {
    /// Parses a line. Errors: a part is not understood.
    pub fn parse(text: &str, services: &ServiceNames) -> Result<Self, FilterError> {
        let Some((blanks, searched)) =
            text.split_once('?').filter(|(blanks, _)| blanks.chars().all(char::is_whitespace))
        else {
            return Ok(Self { filter: Filter::parse(text, services)?, search: None });
        };
        let start = blanks.len() + 1;
        let search = Filter::parse(searched, services).map_err(|mut error| {
            error.span = error.span.start + start..error.span.end + start;
            error
        })?;
        Ok(Self { filter: Filter::default(), search: Some(search).filter(|s| !s.is_empty()) })
    }

    /// Returns the line that means this.
    pub fn text(&self) -> String {
        match &self.search {
            Some(search) => format!("?{search}"),
            None => self.filter.to_string(),
        }
    }
}
