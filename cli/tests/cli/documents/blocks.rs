//! Blocks of code of a page.

/// One of them.
pub(super) struct Block<'a> {
    pub(super) language: &'a str,
    /// The file that it is, when it begins with a comment that is a file's name.
    pub(super) file: Option<&'a str>,
    pub(super) text: &'a str,
}

impl Block<'_> {
    /// Whether it tells somebody what to type.
    pub(super) fn is_typed(&self) -> bool {
        let is_command = |line: &str| {
            let line = line.split_once("$ ").map_or(line, |(_, command)| command).trim_start();
            ["haggle ", "cargo ", "curl ", "man ", "echo ", "pip ", "npm "].iter().any(|begin| line.starts_with(begin))
        };
        ["", "sh", "bash", "console"].contains(&self.language) && self.text.lines().any(is_command)
    }
}

/// Those of a page, in their order.
pub(super) fn blocks(page: &str) -> impl Iterator<Item = Block<'_>> {
    page.split("```").skip(1).step_by(2).map(|block| {
        let (language, text) = block.split_once('\n').unwrap_or((block, ""));
        let first = text.lines().next().unwrap_or_default();
        let name = first.strip_prefix("# ").or_else(|| first.strip_prefix("// "));
        let file = name.filter(|name| name.contains('.') && !name.contains(' '));
        Block { language, file, text }
    })
}
