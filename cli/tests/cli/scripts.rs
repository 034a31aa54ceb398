//! Scripts in real interpreters, which are fetched once and kept in the target folder.
//!
//! Where the registry is out of reach these tests say loudly that they did not run; in CI that is a failure.

use std::fs;
use std::process::Stdio;

use crate::haggle::{Place, Ran};

/// Whether a runtime is here by now.
pub(crate) fn has(runtime: &str) -> bool {
    let place = Place::with(&[]);
    let added = place.haggle(&format!("runtime add {runtime} --quiet"));
    if added.code == 0 {
        return true;
    }
    let is_out_of_reach = added.stderr.contains("cannot reach the registry") || added.stderr.contains("no pip here");
    let may_be_missing = cfg!(windows) || std::env::var_os("CI").is_none();
    assert!(is_out_of_reach && may_be_missing, "{added:?}");
    eprintln!("\nNOT RUN: there is no runtime {runtime}: {}", added.stderr);
    false
}

#[test]
fn a_python_script_is_a_task() {
    if !has("python") {
        return;
    }
    let job = "import sys, os\nprint(sys.argv, os.environ.get('COLOUR'), sys.stdin.read())\nsys.exit(len(sys.argv))";
    let place = Place::with(&[
        ("job.py", job),
        ("tool", "#!/usr/bin/env python3\nraise ValueError('no')"),
        ("text", "some text"),
    ]);

    let job = place.haggle("run job.py --stdin text --env COLOUR=green -- a b");
    let tool = place.haggle("run tool");
    let wrong = place.haggle("run -c print( --runtime python");

    assert_eq!((job.code, job.stdout.as_str()), (3, "['/script/job.py', 'a', 'b'] green some text\n"), "{job:?}");
    assert_eq!(tool.code, 1);
    assert!(tool.stderr.contains("File \"/script/tool\", line 2, in <module>"), "{tool:?}");
    assert!(tool.stderr.contains("ValueError: no"), "{tool:?}");
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("SyntaxError"), "{wrong:?}");
}

#[test]
fn a_script_is_held_to_its_quotas() {
    if !has("python") {
        return;
    }
    let place = Place::with(&[
        ("loop.py", "while True: pass"),
        ("hog.py", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"),
        ("chatty.py", "while True: print('x' * 1000)"),
        ("files.py", "open('/script/job', 'w')"),
    ]);
    let of = |words: &str| place.haggle(&format!("run {words}"));

    let fuel = [of("loop.py --fuel 200_000_000 --json"), of("loop.py --fuel 200_000_000 --json")];
    for (ran, code, line) in [
        (of("loop.py --timeout 300ms"), 124, "TIME_LIMIT"),
        (of("hog.py --mem 32MiB"), 137, "MEMORY_LIMIT"),
        (of("chatty.py --output-limit 10KiB"), 137, "OUTPUT_LIMIT"),
        (of("files.py"), 1, "PermissionError"),
    ] {
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(line), "{ran:?}");
    }
    assert!(fuel.iter().all(|ran| ran.code == 137 && ran.stdout.contains("FUEL_EXHAUSTED")), "{fuel:?}");
}

#[test]
fn two_tasks_of_a_script_draw_other_random_numbers_and_know_the_time() {
    if !has("python") {
        return;
    }
    let script = "import os, random, time, uuid\n\
                  print(hash('a'), random.random(), uuid.uuid4(), os.urandom(8).hex(), int(time.time()))";
    let place = Place::with(&[("job.py", script)]);
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();

    let before = now();
    let words = [place.haggle("run job.py"), place.haggle("run job.py")].map(|ran| {
        let words = ran.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words.len(), 5, "{ran:?}");
        words
    });

    for (one, two) in words[0].iter().zip(&words[1]).take(4) {
        assert_ne!(one, two);
    }
    assert!((before..=now()).contains(&words[0][4].parse().unwrap()), "{words:?}");
    let seeded = || place.haggle("run job.py --env PYTHONHASHSEED=1").stdout.split(' ').next().map(str::to_owned);
    assert_eq!(seeded(), seeded(), "a seed that was named counts");
}

#[test]
fn a_python_script_starts_from_a_snapshot_and_sees_the_same_as_without() {
    if !has("python") {
        return;
    }
    let script = "import os, sys\nos.environ.pop('PYTHONHASHSEED', None)\n\
                  print(sys.argv, sys.orig_argv, sys.path, sys.flags, dict(os.environ), sorted(sys.modules))\n\
                  print(os.listdir('/script'), __file__, sorted(globals()), sys.stdin.read(), table.ROW)\n";
    let script = script.replace("import os, sys", "import os, sys, table");
    let place = Place::with(&[("job.py", &script), ("table.py", "ROW = 1"), ("text", "some text")]);
    let of = |words: &str| {
        let ran = place.haggle(&format!(
            "run job.py --stdin text --input /script/table.py=table.py --env COLOUR=green {words} -- a b"
        ));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let fuel = |told: &str| told.split_once("\"fuel\":").unwrap().1.split(',').next().unwrap().parse::<u64>().unwrap();

    // With a variable that Python reads while it gets ready, there is no snapshot.
    assert_eq!(of("--quiet"), of("--quiet --env PYTHONHASHSEED=random"));
    let (from_snapshot, without) = (fuel(&of("--json")), fuel(&of("--json --env PYTHONHASHSEED=random")));

    assert!(from_snapshot * 5 < without, "{from_snapshot} and {without} of fuel");
}

#[test]
fn a_script_with_folders_and_packages_starts_from_a_snapshot_too() {
    if !has("python") {
        return;
    }
    let script = "import os, sys, beside\n\
                  os.environ.pop('PYTHONHASHSEED', None)\n\
                  with open('/scratch/kept', 'w') as file: file.write('kept')\n\
                  print(beside.NAME, beside.__file__, open('/data/words').read(), open('/scratch/kept').read())\n\
                  print(sorted(os.listdir('/data')), os.listdir('/scratch'), sys.path, dict(os.environ))\n\
                  for out in sys.stdout, sys.stderr, sys.__stdout__:\n\
                  \x20   print(out, type(out.buffer), out.buffer, out.write_through, out.line_buffering, out.newlines, out.mode)\n";
    let place = Place::with(&[("job.py", script), ("text", "some words")]);
    fs::create_dir(place.path("lib")).unwrap();
    fs::write(place.path("lib/beside.py"), "NAME = 'beside'").unwrap();
    let of = |words: &str| {
        let inputs = "--input /data/words=text --input /more/words=text --with lib --disk 1MiB";
        let ran = place.haggle(&format!("run job.py {inputs} {words}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let fuel = |told: &str| told.split_once("\"fuel\":").unwrap().1.split(',').next().unwrap().parse::<u64>().unwrap();

    for plain in ["", "--env PYTHONUNBUFFERED=1"] {
        let without = format!("{plain} --env PYTHONHASHSEED=random");
        assert_eq!(of(&format!("{plain} --quiet")), of(&format!("{without} --quiet")));
        let spent = [plain, &without].map(|words| fuel(&of(&format!("{words} --json"))));
        assert!(spent[0] * 5 < spent[1], "{spent:?} of fuel");
    }
}

#[test]
fn a_script_works_on_a_copy_of_a_folder() {
    if !has("python") {
        return;
    }
    let script = "import os\nwith open('/data/words', 'a') as file: file.write(' more')\n\
                  print(open('/data/words').read(), sorted(os.listdir('/data')))";
    let place = Place::with(&[("job.py", script)]);
    fs::create_dir(place.path("data")).unwrap();
    fs::write(place.path("data/words"), "some").unwrap();

    let ran = place.haggle("run job.py --dir data::/data");

    assert_eq!((ran.code, ran.stdout.as_str()), (0, "some more ['words']\n"), "{ran:?}");
    assert_eq!(fs::read_to_string(place.path("data/words")).unwrap(), "some");
}

#[test]
fn what_is_not_buffered_is_not_lost() {
    if !has("python") {
        return;
    }
    let place = Place::with(&[("job.py", "print('before', end='')\nwhile True: pass")]);

    let ran = place.haggle("run job.py --timeout 500ms --env PYTHONUNBUFFERED=1");

    assert_eq!((ran.code, ran.stdout.as_str()), (124, "before"), "{ran:?}");
}

#[test]
fn each_task_of_an_array_is_told_its_number() {
    if !has("python") {
        return;
    }
    let place = Place::with(&[("job.py", "import os\nprint('number', os.environ['HAGGLE_TASK_INDEX'])")]);

    let ran = place.haggle("run job.py --instances 3");

    assert_eq!(ran.code, 0, "{ran:?}");
    for number in 0..3 {
        assert!(ran.stdout.contains(&format!("[{number}] number {number}\n")), "{ran:?}");
    }
}

#[test]
fn packages_are_imported_from_folders_and_wheels() {
    if !has("python") {
        return;
    }
    let script = "import idna, one, pack.deep\nprint(idna.encode('ü.example').decode(), one.NAME, pack.deep.NAME)\n\
                  print(open('/packages/origins').read())";
    let place =
        Place::with(&[("job.py", script), ("requirements.txt", "idna\n"), ("native.txt", "idna\nmarkupsafe\n")]);
    for (path, content) in [("lib/one.py", "NAME = 'one'"), ("pack/__init__.py", ""), ("pack/deep.py", "NAME = 'deep'")]
    {
        let path = place.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    let found = place.haggle("run job.py --quiet --with lib --with pack --requirements requirements.txt");
    let missing = place.haggle("run job.py --with lib");
    let native = place.haggle("run job.py --quiet --requirements native.txt");

    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stdout.starts_with("xn--tda.example one deep\n/packages/0 --with lib\n"), "{found:?}");
    assert!(missing.stderr.contains("No module named 'idna'"), "{missing:?}");
    native.assert_refused(125, "native.txt: MarkupSafe has native code, which does not run in a sandbox");
}

#[test]
fn a_javascript_script_is_a_task() {
    if !has("javascript") {
        return;
    }
    let place = Place::with(&[
        ("job.js", "console.log(scriptArgs.join(' '), std.getenv('COLOUR')); std.exit(3);"),
        ("module.mjs", "import * as std from 'qjs:std';\nstd.out.printf('%d\\n', 6 * 7);"),
        ("fails.js", "function f() {\n  throw new Error('no');\n}\nf();"),
        ("loop.js", "for (;;);"),
    ]);

    let job = place.haggle("run job.js --env COLOUR=green -- a -b");
    let module = place.haggle("run module.mjs");
    let fails = place.haggle("run fails.js");
    let endless = place.haggle("run loop.js --timeout 300ms");

    assert_eq!((job.code, job.stdout.as_str()), (3, "/script/job.js a -b green\n"), "{job:?}");
    assert_eq!((module.code, module.stdout.as_str()), (0, "42\n"), "{module:?}");
    assert_eq!(fails.code, 1, "{fails:?}");
    assert!(fails.stderr.contains("Error: no") && fails.stderr.contains("/script/fails.js:2"), "{fails:?}");
    assert_eq!(endless.code, 124, "{endless:?}");
}

#[test]
fn a_script_comes_from_standard_input() {
    if !has("javascript") {
        return;
    }
    let place = Place::with(&[("text", "console.log(scriptArgs.length)")]);

    let script = fs::File::open(place.path("text")).unwrap();
    let output = place.command("run - --runtime js -- a b").stdin(Stdio::from(script)).output().unwrap();
    let ran = Ran::from(output);

    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3\n"), "{ran:?}");
}

#[test]
#[ignore = "fetches 30 MB and compiles for a minute: cargo nextest run --workspace --test cli --run-ignored only"]
fn a_ruby_script_is_a_task() {
    if !has("ruby") {
        return;
    }
    let job = "require 'json'\nat_exit { puts 'last' }\nputs JSON.generate([ARGV, $stdin.read, __FILE__ == $0, ENV['COLOUR']])\n\
               fiber = Fiber.new { Fiber.yield 1 }\nputs fiber.resume\nexit ARGV.size";
    let place = Place::with(&[
        ("job.rb", job),
        ("text", "some text"),
        ("fails.rb", "def f = raise('no')\nf"),
        ("wrong.rb", "def f(x"),
        ("loop.rb", "loop { }"),
    ]);

    let job = place.haggle("run job.rb --mem 128MiB --stdin text --env COLOUR=green -- a b");
    let fails = place.haggle("run fails.rb --mem 128MiB");
    let wrong = place.haggle("run wrong.rb --mem 128MiB");
    let endless = place.haggle("run loop.rb --mem 128MiB --timeout 2s");

    let printed = "[[\"a\",\"b\"],\"some text\",true,\"green\"]\n1\nlast\n";
    assert_eq!((job.code, job.stdout.as_str()), (2, printed), "{job:?}");
    assert_eq!(fails.code, 1, "{fails:?}");
    assert!(fails.stderr.contains("/script/fails.rb:1:in 'Object#f': no (RuntimeError)"), "{fails:?}");
    assert!(!fails.stderr.contains("eval"), "only the script's own frames are told: {fails:?}");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("SyntaxError"), "{wrong:?}");
    assert_eq!(endless.code, 124, "{endless:?}");
}
