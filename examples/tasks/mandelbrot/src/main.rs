//! Draws one tile of the Mandelbrot set.
//!
//! ```text
//! mandelbrot [--size WIDTH HEIGHT] [--iterations N] [--tile I N] [--checksum]
//! ```
//!
//! A tile is a band of rows. Without `--tile` it is this task's share of the picture in an array of tasks, or the
//! whole of it. The first tile starts with the header of a plain PGM picture, so that all tiles, one after the other,
//! are the picture. `--checksum` prints one number instead, for those who only want to know that it is the same.

mod fractal;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use fractal::View;
use support::{Share, number};

const USAGE: &str = "usage: mandelbrot [--size WIDTH HEIGHT] [--iterations N] [--tile I N] [--checksum]";

/// The brightest grey of a PGM picture that fits three digits.
const WHITE: u32 = 255;

/// What was asked for.
#[derive(Debug, PartialEq)]
struct Options {
    view: View,
    tile: Share,
    checksum: bool,
}

fn main() -> ExitCode {
    support::run(|args| {
        let options = parse(args, Share::from_env()?)?;
        let mut out = BufWriter::new(io::stdout().lock());
        draw(&options, &mut out).and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
    })
}

fn parse(args: &[String], share: Share) -> Result<Options, String> {
    let mut options = Options { view: View::default(), tile: share, checksum: false };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match flag.as_str() {
            "--size" => {
                options.view.width = number(value()?)?;
                options.view.height = number(value()?)?;
            }
            "--iterations" => options.view.iterations = number(value()?)?,
            "--tile" => options.tile = Share::parse(value()?, value()?)?,
            "--checksum" => options.checksum = true,
            _ => return Err(USAGE.to_string()),
        }
    }
    if options.view.width == 0 || options.view.height == 0 || options.view.iterations == 0 {
        return Err("a picture needs a width, a height and iterations above 0".to_string());
    }
    Ok(options)
}

fn draw(options: &Options, out: &mut impl Write) -> io::Result<()> {
    let Options { view, tile, checksum } = options;
    let rows = tile.range(view.height);
    if *checksum {
        let sum = rows.flat_map(|row| view.row(row)).fold(FNV_OFFSET, fnv1a);
        return writeln!(out, "{sum:016x}");
    }
    if tile.index() == 0 {
        writeln!(out, "P2\n{} {}\n{WHITE}", view.width, view.height)?;
    }
    for row in rows {
        let greys: Vec<String> = view.row(row).map(|escaped| grey(escaped, view.iterations).to_string()).collect();
        writeln!(out, "{}", greys.join(" "))?;
    }
    Ok(())
}

/// Black inside the set; outside, the brighter the longer it took to escape.
fn grey(escaped: Option<u32>, iterations: u32) -> u32 {
    escaped.map_or(0, |after| {
        let share = u64::from(after) * u64::from(WHITE) / u64::from(iterations);
        u32::try_from(share).unwrap_or(WHITE)
    })
}

/// The first hash of the 64-bit FNV-1a function.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv1a(hash: u64, escaped: Option<u32>) -> u64 {
    let bytes = escaped.unwrap_or(u32::MAX).to_le_bytes();
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(args: &str, share: Share) -> String {
        let args: Vec<String> = args.split_whitespace().map(ToString::to_string).collect();
        let mut out = Vec::new();
        draw(&parse(&args, share).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_tiles_of_an_array_are_the_picture() {
        let args = "--size 12 7 --iterations 50";

        let tiles: String = (0..3).map(|index| picture(args, Share::new(index, 3).unwrap())).collect();

        assert_eq!(tiles, picture(args, Share::WHOLE));
        assert!(tiles.starts_with("P2\n12 7\n255\n"));
        assert_eq!(tiles.lines().count(), 3 + 7);
    }

    #[test]
    fn a_checksum_tells_one_picture_from_another() {
        let of = |args: &str| picture(args, Share::WHOLE);

        assert_eq!(of("--size 9 9 --checksum"), of("--checksum --size 9 9"));
        assert_ne!(of("--size 9 9 --checksum"), of("--size 9 9 --iterations 7 --checksum"));
    }

    #[test]
    fn wrong_flags_are_refused() {
        for args in
            [&["--size", "3"][..], &["--size", "a", "b"], &["--tile", "2", "2"], &["--what"], &["--iterations", "0"]]
        {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();

            assert!(parse(&args, Share::WHOLE).is_err(), "{args:?}");
        }
    }
}
