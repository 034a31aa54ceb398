//! Greets: `hello [NAME…]`.

use std::process::ExitCode;

use support::Share;

fn main() -> ExitCode {
    support::run(|names| {
        println!("{}", greeting(names, Share::from_env()?));
        Ok(())
    })
}

fn greeting(names: &[String], share: Share) -> String {
    let whom = if names.is_empty() { "world".to_string() } else { names.join(" ") };
    if share == Share::WHOLE { format!("hello, {whom}") } else { format!("hello, {whom}, from task {share}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets_the_world_when_nobody_is_named() {
        assert_eq!(greeting(&[], Share::WHOLE), "hello, world");
    }

    #[test]
    fn it_says_which_task_of_an_array_it_is() {
        assert_eq!(greeting(&["Ada".to_string()], Share::new(1, 3).unwrap()), "hello, Ada, from task 2 of 3");
    }
}
