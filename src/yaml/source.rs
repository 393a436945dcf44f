//! The text behind a tree: where a place of the parser's, or a byte of a scalar, is in the file.

use std::collections::HashMap;

use crate::yaml::Place;

/// A text as the parser wants it.
///
/// Prometheus' parser takes lines that continue quoted text wherever they begin, ours wants them
/// indented. White space in front of such a line means nothing, so it is put there, and taken
/// off the columns again.
#[derive(Debug)]
pub(crate) struct Source {
    /// The text without a byte order mark, with what was put in front of its lines.
    pub text: String,
    /// How many spaces were put in front of a line.
    pads: HashMap<usize, usize>,
}

impl Source {
    /// Takes a text as it is in its file.
    pub(crate) fn new(text: &str) -> Self {
        Source {
            text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
            pads: HashMap::new(),
        }
    }

    /// Puts spaces in front of a line.
    pub(crate) fn pad(&mut self, place: Place) {
        const SPACES: &str = "                                                                ";
        let mut lines = self.text.match_indices('\n').map(|(at, _)| at + 1);
        let start = match place.line {
            0 | 1 => Some(0),
            line => lines.nth(line - 2),
        };
        self.text
            .insert_str(start.unwrap_or(self.text.len()), SPACES);
        *self.pads.entry(place.line).or_default() += SPACES.len();
    }

    /// Returns a place as it is in the text as written.
    pub(crate) fn written(&self, place: Place) -> Place {
        let pad = self.pads.get(&place.line).copied().unwrap_or(0);
        Place {
            line: place.line,
            column: place.column.saturating_sub(pad).max(1),
        }
    }
}

/// Returns the place of the `|` or `>` in front of a block scalar whose text begins at a byte
/// and line: that is where Prometheus says the scalar stands.
pub(crate) fn block_header(source: &str, begins: usize, line_of_text: usize) -> Option<Place> {
    let before = source.get(..begins)?;
    let above = before[..before.rfind('\n')?].trim_end();
    let n_lines_between = before[above.len()..].matches('\n').count();
    let line = &above[above.rfind('\n').map_or(0, |at| at + 1)..];
    let is_header = |at: usize| {
        let rest =
            line[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
        line[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
            && (rest.is_empty()
                || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
    };
    let mut candidates = line.match_indices(['|', '>']).map(|(at, _)| at);
    let at = candidates.find(|at| is_header(*at))?;
    Some(Place {
        line: line_of_text.saturating_sub(n_lines_between),
        column: line[..at].chars().count() + 1,
    })
}
