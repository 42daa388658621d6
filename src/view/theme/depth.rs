//! Detects how many colours a terminal has. Does not contain colours.

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No colours, only bold and reverse.
    Monochrome,
    Sixteen,
    /// xterm's 256 colours.
    Indexed,
    /// 24-bit colours.
    True,
}

/// Terminals with true colour, identified by TERM because ssh does not pass COLORTERM on.
const TRUE_COLOR_TERMS: [&str; 5] = ["kitty", "alacritty", "foot", "ghostty", "wezterm"];

impl Depth {
    /// Returns the depth from the first of these that determines it: `--color`, `NO_COLOR` (if not
    /// empty; see no-color.org), an empty or `dumb` TERM, COLORTERM, other values of TERM.
    pub fn from_env(
        asked: Option<Self>,
        no_color: Option<&str>,
        colorterm: Option<&str>,
        term: Option<&str>,
    ) -> Self {
        let term = term.unwrap_or_default();
        if let Some(depth) = asked {
            depth
        } else if no_color.is_some_and(|value| !value.is_empty()) || matches!(term, "" | "dumb") {
            Self::Monochrome
        } else if matches!(colorterm, Some("truecolor" | "24bit"))
            || term.ends_with("-direct")
            || TRUE_COLOR_TERMS.iter().any(|name| term.contains(name))
        {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_color_option_beats_no_color_beats_colorterm_beats_term() {
        let depth = Depth::from_env;
        assert_eq!(depth(Some(Depth::True), Some("1"), None, None), Depth::True);
        assert_eq!(depth(None, Some("1"), Some("truecolor"), Some("xterm")), Depth::Monochrome);
        assert_eq!(depth(None, Some(""), Some("truecolor"), Some("xterm")), Depth::True);
        assert_eq!(depth(None, None, None, Some("xterm-256color")), Depth::Indexed);
        assert_eq!(depth(None, None, None, Some("xterm-kitty")), Depth::True);
        assert_eq!(depth(None, None, None, Some("linux")), Depth::Sixteen);
        assert_eq!(depth(None, None, None, Some("dumb")), Depth::Monochrome);
        assert_eq!(depth(None, None, None, None), Depth::Monochrome);
    }
}
