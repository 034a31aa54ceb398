//! The example tasks in other languages, each as its users would run it: under the quotas that everybody has by default.
//!
//! Rust and a Rust component are always tested. The toolchains of the others are large, so their tests are ignored
//! unless asked for; `cargo xtask test` asks for those whose module `cargo xtask wasm LANGUAGE` has built, and says
//! which it did not run. It builds MicroPython's itself.

use std::process::Stdio;

use haggle_kit::wasm;
use tempfile::TempDir;

use crate::run::{assert_success, embedded, text};

/// What an example prints about this standard input.
fn fed(module: &str, stdin: &str, flags: &[&str]) -> std::process::Output {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("stdin");
    std::fs::write(&file, stdin).unwrap();
    let module = wasm(module).display().to_string();
    let file = file.display().to_string();
    embedded(&[&[module.as_str(), "--stdin", &file], flags].concat()).stdin(Stdio::null()).output().unwrap()
}

mod rust {
    use super::*;

    #[test]
    fn a_component_does_what_the_core_module_does() {
        let dir = TempDir::new().unwrap();
        let component = dir.path().join("wordcount.wasm");
        let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
        let encoder = wit_component::ComponentEncoder::default().module(&std::fs::read(wasm("wordcount")).unwrap());
        let encoder = encoder.unwrap().adapter("wasi_snapshot_preview1", adapter).unwrap();
        std::fs::write(&component, { encoder }.encode().unwrap()).unwrap();
        let words = dir.path().join("words.txt");
        std::fs::write(&words, "the quick the lazy the dog\n").unwrap();
        let (component, input) = (component.display().to_string(), format!("/in/words.txt={}", words.display()));

        let output = embedded(&[&component, "--input", &input, "--", "map", "/in/words.txt"]).output().unwrap();

        assert_success(&output);
        assert_eq!(text(&output.stdout), "dog\t1\nlazy\t1\nquick\t1\nthe\t3\n");
    }
}

mod c {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm c"]
    fn a_c_program_reads_standard_input_and_files() {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("digits"), "123456789").unwrap();
        let (module, folder) = (wasm("checksum").display().to_string(), format!("{}::/data", dir.path().display()));

        let of_stdin = fed("checksum", "123456789", &[]);
        let of_files = embedded(&[&module, "--dir", &folder, "--", "/data/digits", "/data/nosuch"]).output().unwrap();

        assert_success(&of_stdin);
        assert_eq!(text(&of_stdin.stdout), "cbf43926 9 -\n");
        assert_eq!(of_files.status.code(), Some(1));
        assert_eq!(text(&of_files.stdout), "cbf43926 9 /data/digits\n");
        assert!(text(&of_files.stderr).starts_with("/data/nosuch: No such file"), "{}", text(&of_files.stderr));
    }
}

mod cpp {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm cpp"]
    fn a_cpp_program_catches_what_it_throws_and_is_over_with_what_it_does_not_catch() {
        let module = wasm("sum").display().to_string();
        let of = |words: &[&str]| embedded(&[&[module.as_str(), "--"], words].concat()).output().unwrap();

        let caught = of(&["1", "two", "-3", "99999999999", "4"]);
        let thrown = of(&["99", "2"]);

        assert_success(&caught);
        let printed = "looked at 1\n\
            looked at two\ntwo is no number: stoi: no conversion\n\
            looked at -3\n-3 is no number: negative\n\
            looked at 99999999999\n99999999999 is too large\n\
            looked at 4\nsum 5\n";
        assert_eq!(text(&caught.stdout), printed);
        assert_eq!(thrown.status.code(), Some(134));
        assert!(
            text(&thrown.stderr).contains("TRAP: threw an exception that nothing catches"),
            "{}",
            text(&thrown.stderr)
        );
    }
}

mod zig {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm zig"]
    fn a_zig_program_reads_standard_input() {
        let lines = fed("unique", "pears\napples\npears\n", &[]);

        assert_success(&lines);
        assert_eq!(text(&lines.stdout), "      1 apples\n      2 pears\n");
    }
}

mod ocaml {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm ocaml"]
    fn an_ocaml_program_reads_standard_input_and_catches_what_the_system_refuses() {
        let module = wasm("words").display().to_string();

        let words = fed("words", "the quick the\nlazy  dog\n", &[]);
        let folder = embedded(&[module.as_str(), "--", "/nosuch"]).output().unwrap();

        assert_success(&words);
        assert_eq!(text(&words.stdout), "1 dog\n1 lazy\n1 quick\n2 the\n");
        assert_eq!(folder.status.code(), Some(1));
        assert_eq!(text(&folder.stderr), "words: /nosuch: No such file or directory\n");
    }
}

mod micropython {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm micropython"]
    fn a_script_of_micropython_runs_and_fails_as_it_likes() {
        let dir = TempDir::new().unwrap();
        let script = "import json, sys\nprint(json.dumps({'sum': sum(range(1000))}))\n[].pop()\n";
        std::fs::write(dir.path().join("job.py"), script).unwrap();
        let (module, input) = (wasm("micropython").display().to_string(), dir.path().join("job.py"));
        let input = format!("/job.py={}", input.display());

        let output = embedded(&[&module, "--input", &input, "--", "/job.py"]).output().unwrap();

        assert_eq!(text(&output.stdout), "{\"sum\": 499500}\n");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("IndexError: pop from empty list"), "{}", text(&output.stderr));
    }
}

mod go {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm go"]
    fn a_go_program_runs_and_fails_as_it_likes() {
        let sums = fed("groupby", "pears,1\napples,2\npears,3.5\n", &[]);
        let wrong = fed("groupby", "pears,many\n", &[]);

        assert_success(&sums);
        assert_eq!(text(&sums.stdout), "{\"apples\":2,\"pears\":4.5}\n");
        assert_eq!(wrong.status.code(), Some(1));
        assert_eq!(text(&wrong.stderr), "groupby: line 1: \"many\" is not a number\n");
    }
}

mod python {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm python"]
    fn a_python_component_runs_and_fails_as_it_likes() {
        let stats = fed("stats", "1\n2\n3\n4\n10\n", &[]);
        let wrong = fed("stats", "many\n", &[]);

        assert_success(&stats);
        assert_eq!(text(&stats.stdout), "n 5  mean 4  median 3  stdev 3.53553\n");
        assert_eq!(wrong.status.code(), Some(1));
        assert!(text(&wrong.stderr).starts_with("stats: could not convert"), "{}", text(&wrong.stderr));
    }
}

mod javascript {
    use super::*;

    #[test]
    #[ignore = "wants its module: cargo xtask wasm javascript"]
    fn a_javascript_component_runs_and_fails_as_it_likes() {
        let module = wasm("pretty").display().to_string();
        let of = |argument| embedded(&[&module, "--", argument]).output().unwrap();

        let pretty = of(r#"{"b":1,"a":["ü"]}"#);
        let wrong = of("{");

        assert_success(&pretty);
        assert_eq!(text(&pretty.stdout), "{\n  \"a\": [\n    \"ü\"\n  ],\n  \"b\": 1\n}\n");
        assert_eq!(wrong.status.code(), Some(134), "an exception that nobody catches is a trap");
    }
}

mod yosys {
    use super::*;

    /// Counts up by its step, or from zero.
    const CIRCUIT: &str = "\
        module counter(input clk, input reset, input [1:0] step, output reg [3:0] count);\n\
        always @(posedge clk) count <= reset ? 0 : count + step;\n\
        endmodule\n";

    #[test]
    #[ignore = "wants its module: cargo xtask wasm yosys"]
    fn a_circuit_becomes_gates_that_do_the_same() {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("counter.v"), CIRCUIT).unwrap();
        let module = wasm("yosys");
        let folders = [(module.with_file_name("yosys-share"), "/share"), (dir.path().to_owned(), "/work")];
        let [share, work] = folders.map(|(host, guest)| format!("{}::{guest}", host.display()));
        let commands = "read_verilog /work/counter.v; hierarchy -top counter; proc; \
            equiv_opt -assert synth -noabc; design -load postopt; write_json";
        let module = module.display().to_string();

        let words = [&module, "--dir", &share, "--dir", &work, "--", "-Q", "-T", "-p", commands];
        let output = embedded(&words).output().unwrap();

        assert_success(&output);
        let told = text(&output.stdout);
        assert!(told.contains("Equivalence successfully proven!"), "{told}");
        let gates = told.find("\n{").map(|at| &told[at..]).unwrap_or_default();
        let gates: serde_json::Value = serde_json::from_str(gates).unwrap_or_else(|error| panic!("{error}: {told}"));
        let cells = gates["modules"]["counter"]["cells"].as_object().unwrap();
        let of_type = |of: &str| cells.values().filter(|cell| cell["type"] == of).count();
        assert_eq!(of_type("$_SDFF_PP0_"), 4, "a bit of the count each: {told}");
        assert!(of_type("$_XOR_") > 0, "a sum needs them: {told}");
    }
}
