//! What a command line came to.

use std::process::Output;

use serde_json::Value;

/// A command line that has ended, and what it wrote.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("haggle writes UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Its standard output, without the newline at its end.
    ///
    /// # Panics
    /// When it did not end with 0.
    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.trim_end().to_owned()
    }

    /// What it wrote as JSON, one object a line.
    ///
    /// # Panics
    /// When it did not end with 0, or wrote something else.
    #[track_caller]
    pub fn json(self) -> Vec<Value> {
        self.well().lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    }

    /// Sees to it that it was refused in one line, with these words in it.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        assert_eq!((self.code, self.stderr.lines().count()), (Some(125), 1), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:?}");
        }
    }
}
