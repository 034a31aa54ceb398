//! Command lines as a shell would split them, without a shell.

/// Why a text is more than a program and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWords {
    #[error("{0:?} is for a shell")]
    Special(char),
    #[error("a quotation does not end")]
    Open,
}

/// The words of a command line.
///
/// # Errors
/// When a shell would do more than split it.
pub(crate) fn split(line: &str) -> Result<Vec<String>, NoWords> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or(NoWords::Open)? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or(NoWords::Open)? {
                        '"' => break,
                        '\\' => match letters.next().ok_or(NoWords::Open)? {
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            letter => word.extend(['\\', letter]),
                        },
                        special @ ('$' | '`') => return Err(NoWords::Special(special)),
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().ok_or(NoWords::Open)?),
            '|' | '&' | ';' | '<' | '>' | '$' | '`' | '(' | ')' | '*' | '?' | '~' | '[' | '{' | '#' | '\n' => {
                return Err(NoWords::Special(letter));
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_quotations_kept_together() {
        let words = split(r#"./x.wasm  a 'b c' "d \"e\"" f\ g ''"#);

        assert_eq!(words.unwrap(), ["./x.wasm", "a", "b c", "d \"e\"", "f g", ""]);
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for line in ["a | b", "a && b", "a > f", "echo $HOME", "a \"$x\"", "ls *.txt", "a; b", "`a`", "(a)", "~/a"] {
            assert!(matches!(split(line), Err(NoWords::Special(_))), "{line}");
        }
        assert_eq!(split("a 'b"), Err(NoWords::Open));
    }
}
