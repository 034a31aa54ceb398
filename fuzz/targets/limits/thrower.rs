//! Modules that throw and catch wherever they can: random ones hardly ever come to it.

use arbitrary::{Arbitrary, Unstructured};

/// What its exceptions carry. The last one carries another exception.
const TAGS: [&[&str]; 5] =
    [&[], &["i32"], &["i64", "f64"], &["i32", "i32", "i32", "i32", "i64", "i64", "f32", "v128"], &["exnref"]];

/// Statements in statements in statements.
const DEPTH_MAX: u32 = 4;

/// Functions, which call each other.
const FUNCTIONS: u32 = 5;

/// A command in text form.
#[derive(Debug)]
pub(crate) struct Thrower(pub(crate) String);

impl<'a> Arbitrary<'a> for Thrower {
    fn arbitrary(random: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut text = Text { random, code: String::new(), blocks: 0 };
        let memory = *text.random.choose(&["1", "1 1", "2 40", "15"])?;
        let kept = *text.random.choose(&["1", "8", "20000"])?;
        text.add("(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))\n");
        text.add("(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n");
        text.add(&format!("(memory (export \"memory\") {memory}) (table $kept {kept} exnref)\n"));
        for (tag, values) in TAGS.iter().enumerate() {
            text.add(&format!("(tag $t{tag} (param {}))\n", values.join(" ")));
        }
        for function in 0..FUNCTIONS {
            text.add(&format!("(func $f{function} (param $n i32) (local $e exnref)\n"));
            text.statements(0)?;
            text.add(")\n");
        }
        // Text for `$write`: eight bytes from 16 on.
        text.add("(data (i32.const 0) \"\\10\\00\\00\\00\\08\\00\\00\\00\")\n");
        text.add("(func (export \"_start\") (local $n i32) (local $e exnref)\n");
        text.statements(0)?;
        text.add("))\n");
        Ok(Self(text.code))
    }
}

struct Text<'r, 'a> {
    random: &'r mut Unstructured<'a>,
    code: String,
    /// So many labels were given.
    blocks: u32,
}

impl Text<'_, '_> {
    fn add(&mut self, code: &str) {
        self.code.push_str(code);
    }

    fn label(&mut self) -> u32 {
        self.blocks += 1;
        self.blocks
    }

    fn statements(&mut self, depth: u32) -> arbitrary::Result<()> {
        for _ in 0..self.random.int_in_range(0..=3)? {
            self.statement(depth)?;
        }
        Ok(())
    }

    fn statement(&mut self, depth: u32) -> arbitrary::Result<()> {
        match self.random.int_in_range(0..=if depth < DEPTH_MAX { 15 } else { 11 })? {
            0..=2 => self.throw()?,
            3 | 4 => {
                let function = self.random.int_in_range(0..=FUNCTIONS - 1)?;
                // Deeper while there is something left of what the first was given.
                self.add(&format!(
                    "(if (local.get $n) (then (call $f{function} (i32.sub (local.get $n) (i32.const 1)))))\n"
                ));
            }
            5 => {
                let function = self.random.int_in_range(0..=FUNCTIONS - 1)?;
                let budget = *self.random.choose(&[0, 3, 50, 10_000])?;
                self.add(&format!("(call $f{function} (i32.const {budget}))\n"));
            }
            6 => self.add("(throw_ref (local.get $e))\n"),
            7 => {
                let at = self.random.int_in_range(0..=9)?;
                self.add(&format!("(table.set $kept (i32.const {at}) (local.get $e))\n"));
            }
            8 => {
                let at = self.random.int_in_range(0..=9)?;
                self.add(&format!("(local.set $e (table.get $kept (i32.const {at})))\n"));
            }
            9 => {
                self.add("(drop (memory.grow (i32.const 1))) (drop (table.grow $kept (local.get $e) (i32.const 7)))\n")
            }
            10 => self.add("(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))\n"),
            11 => match self.random.int_in_range(0..=4)? {
                0 => self.add("(unreachable)\n"),
                1 => self.add("(call $exit (i32.const 3))\n"),
                2 => self.add("(return)\n"),
                _ => self.add("(drop (i32.load (i32.const 0x7fffffff)))\n"),
            },
            12 => {
                let label = self.label();
                self.add(&format!("(loop $l{label}\n"));
                self.statements(depth + 1)?;
                self.add(&format!("(br $l{label}))\n"));
            }
            _ => self.catch(depth)?,
        }
        Ok(())
    }

    fn throw(&mut self) -> arbitrary::Result<()> {
        let tag = self.random.choose_index(TAGS.len())?;
        let values: String = TAGS[tag].iter().map(|value| constant(value)).collect();
        self.add(&format!("(throw $t{tag} {values})\n"));
        Ok(())
    }

    /// Statements, and one to three clauses around them, each with statements of its own.
    fn catch(&mut self, depth: u32) -> arbitrary::Result<()> {
        let out = self.label();
        let mut clauses = Vec::new();
        for _ in 0..self.random.int_in_range(1..=3)? {
            clauses.push((self.label(), *self.random.choose(&KINDS)?, self.random.choose_index(TAGS.len())?));
        }
        self.add(&format!("block $l{out}\n"));
        for &(label, kind, tag) in clauses.iter().rev() {
            self.add(&format!("block $l{label} (result {})\n", kind.results(tag).join(" ")));
        }
        self.add("try_table");
        for &(label, kind, tag) in &clauses {
            let clause = match kind {
                Kind::All | Kind::AllRef => format!(" ({} $l{label})", kind.name()),
                Kind::Tag | Kind::TagRef => format!(" ({} $t{tag} $l{label})", kind.name()),
            };
            self.add(&clause);
        }
        self.add("\n");
        self.statements(depth + 1)?;
        self.add(&format!("end\nbr $l{out}\n"));
        for (_, kind, tag) in clauses {
            self.add("end\n");
            let results = kind.results(tag);
            for value in results.iter().rev() {
                self.add(if *value == "exnref" { "local.set $e\n" } else { "drop\n" });
            }
            self.statements(depth + 1)?;
            self.add(&format!("br $l{out}\n"));
        }
        self.add("end\n");
        Ok(())
    }
}

const KINDS: [Kind; 4] = [Kind::Tag, Kind::TagRef, Kind::All, Kind::AllRef];

/// Of a clause.
#[derive(Clone, Copy)]
enum Kind {
    Tag,
    TagRef,
    All,
    AllRef,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tag => "catch",
            Self::TagRef => "catch_ref",
            Self::All => "catch_all",
            Self::AllRef => "catch_all_ref",
        }
    }

    /// What is on the stack where it goes on.
    fn results(self, tag: usize) -> Vec<&'static str> {
        let mut results = match self {
            Self::Tag | Self::TagRef => TAGS[tag].to_vec(),
            Self::All | Self::AllRef => Vec::new(),
        };
        if matches!(self, Self::TagRef | Self::AllRef) {
            results.push("exnref");
        }
        results
    }
}

fn constant(value: &str) -> String {
    match value {
        "exnref" => "(local.get $e)".to_owned(),
        "v128" => "(v128.const i64x2 1 2)".to_owned(),
        number => format!("({number}.const 1)"),
    }
}
