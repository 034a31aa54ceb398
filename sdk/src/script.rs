//! Scripts as tasks: which language a file is in, and how an interpreter is told to run it.

/// A language whose interpreter, compiled to WASI, runs scripts: what [`Task::script`](crate::Task::script) needs to know
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// CPython, or what takes its arguments.
    Python,
    /// QuickJS, as its command `qjs`.
    JavaScript,
    /// Ruby.
    Ruby,
    /// Any other: its interpreter takes the script's path as its first argument.
    Other,
}

impl Language {
    /// The folder in which a task finds its script. Files that are given to it there as inputs lie beside the script.
    pub const FOLDER: &'static str = "/script";

    /// By the end of a file's name: `job.py`, `job.js`, `job.mjs`, `job.rb`.
    pub fn of_file(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "py" => Some(Self::Python),
            "js" | "mjs" => Some(Self::JavaScript),
            "rb" => Some(Self::Ruby),
            _ => None,
        }
    }

    /// By the program that a `#!` line names, without its folder: `python3`, `python3.12`, `node`, `qjs`, `ruby`.
    pub fn of_interpreter(program: &str) -> Option<Self> {
        match program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.') {
            "python" | "pypy" => Some(Self::Python),
            "node" | "nodejs" | "qjs" | "quickjs" => Some(Self::JavaScript),
            "ruby" => Some(Self::Ruby),
            _ => None,
        }
    }

    /// How the names of its scripts end; nothing for [`Self::Other`].
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Python => ".py",
            Self::JavaScript => ".js",
            Self::Ruby => ".rb",
            Self::Other => "",
        }
    }

    /// Where a task finds the script of this name.
    pub fn script_path(file_name: &str) -> String {
        format!("{}/{file_name}", Self::FOLDER)
    }

    /// What comes before the script's path.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            // Else a script reaches neither files nor its environment, unless it is a module that imports them.
            Self::JavaScript => &["--std"],
            Self::Python | Self::Ruby | Self::Other => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_the_end_of_its_name() {
        let all = ["a.py", "a.b.js", "m.mjs", "a.rb", "a.wasm", "py", "a.py.txt"].map(Language::of_file);

        let (python, javascript, ruby) = (Language::Python, Language::JavaScript, Language::Ruby);
        assert_eq!(all, [Some(python), Some(javascript), Some(javascript), Some(ruby), None, None, None]);
    }

    #[test]
    fn an_interpreter_is_known_whatever_its_version() {
        let all = ["python", "python3", "python3.12", "node", "qjs", "ruby3.4", "bash", "perl5"];

        let (python, javascript) = (Some(Language::Python), Some(Language::JavaScript));
        assert_eq!(
            all.map(Language::of_interpreter),
            [python, python, python, javascript, javascript, Some(Language::Ruby), None, None]
        );
    }
}
