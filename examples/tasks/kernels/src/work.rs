//! The computations: each leans on another part of a processor, and one round of each takes about a millisecond.
//!
//! The benchmark compiles this file a second time, for the machine it runs on: the same work without a sandbox.

use std::hint::black_box;

/// One computation.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Does it so many times, and says what it came to.
    pub(crate) work: fn(u64) -> u64,
}

/// All of them.
pub(crate) const KERNELS: [Kernel; 10] = [
    Kernel { name: "hash", work: hash },
    Kernel { name: "sieve", work: sieve },
    Kernel { name: "matmul", work: matmul },
    Kernel { name: "roots", work: roots },
    Kernel { name: "copy", work: copy },
    Kernel { name: "chase", work: chase },
    Kernel { name: "sort", work: sort },
    Kernel { name: "mandelbrot", work: mandelbrot },
    Kernel { name: "calls", work: calls },
    Kernel { name: "dispatch", work: dispatch },
];

/// Joins one more number to a running sum, such that their order counts.
fn join(sum: u64, number: u64) -> u64 {
    sum.rotate_left(5) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Numbers that look random and are the same everywhere (xorshift64).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Integer arithmetic, byte by byte, each step waiting for the one before (FNV-1a).
fn hash(rounds: u64) -> u64 {
    let mut state = 1;
    let bytes: Vec<u8> = (0..64 * 1024).map(|_| random(&mut state) as u8).collect();
    let mut sum = 0xcbf2_9ce4_8422_2325;
    for _ in 0..rounds * 12 {
        for &byte in black_box(&bytes) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    sum
}

/// Short loops over bytes with growing strides.
fn sieve(rounds: u64) -> u64 {
    const BELOW: usize = 1 << 18;
    let mut composite = vec![false; BELOW];
    let mut sum = 0;
    for _ in 0..rounds {
        composite.fill(false);
        let mut found = 0;
        for number in 2..BELOW {
            if composite[number] {
                continue;
            }
            found += 1;
            for multiple in (number * number..BELOW).step_by(number) {
                composite[multiple] = true;
            }
        }
        sum = join(sum, found);
    }
    sum
}

/// Floating-point products and sums, one operand of which is far away.
fn matmul(rounds: u64) -> u64 {
    const SIDE: usize = 96;
    let mut state = 2;
    let mut matrix = || -> Vec<f64> { (0..SIDE * SIDE).map(|_| (random(&mut state) % 1000) as f64 / 500.0).collect() };
    let (left, right, mut product) = (matrix(), matrix(), vec![0.0; SIDE * SIDE]);
    let mut sum = 0;
    for _ in 0..rounds {
        let (left, right) = (black_box(&left), black_box(&right));
        for row in 0..SIDE {
            for column in 0..SIDE {
                let cells = (0..SIDE).map(|i| left[row * SIDE + i] * right[i * SIDE + column]);
                product[row * SIDE + column] = cells.sum::<f64>();
            }
        }
        sum = join(sum, product[SIDE + 1].to_bits());
    }
    sum
}

/// Divisions and square roots, which a processor takes its time for.
fn roots(rounds: u64) -> u64 {
    let (mut value, mut sum) = (1.5_f64, 0.0);
    for step in 0..rounds * 100_000 {
        value = (value + (step % 1000) as f64 / value).sqrt() + 0.5;
        sum += value;
    }
    sum.to_bits()
}

/// Copies of whole blocks, to where they overlap and where they do not.
fn copy(rounds: u64) -> u64 {
    const HALF: usize = 512 * 1024;
    let mut state = 3;
    let mut bytes: Vec<u8> = (0..2 * HALF).map(|_| random(&mut state) as u8).collect();
    let mut sum = 0;
    for round in 0..rounds * 30 {
        bytes.copy_within(..HALF, HALF - 64);
        bytes.copy_within(HALF.., 7);
        sum = join(sum, u64::from(black_box(&bytes)[round as usize % HALF]));
    }
    sum
}

/// Loads that miss the cache, each at the address that the one before it brought.
fn chase(rounds: u64) -> u64 {
    const PLACES: usize = 1 << 20;
    let mut state = 4;
    let mut next: Vec<u32> = (0..PLACES as u32).collect();
    // Sattolo's shuffle: one cycle through all places.
    for place in (1..PLACES).rev() {
        next.swap(place, random(&mut state) as usize % place);
    }
    let mut place = 0;
    for _ in 0..rounds * 20_000 {
        place = next[place as usize];
    }
    u64::from(place)
}

/// Comparisons that no branch predictor foresees.
fn sort(rounds: u64) -> u64 {
    let mut state = 5;
    let mut numbers = vec![0_u32; 48 * 1024];
    let mut sum = 0;
    for _ in 0..rounds {
        numbers.fill_with(|| random(&mut state) as u32);
        numbers.sort_unstable();
        sum = join(sum, u64::from(numbers[numbers.len() / 2]));
    }
    sum
}

/// Floating-point arithmetic in registers, with an end that is hard to foresee.
fn mandelbrot(rounds: u64) -> u64 {
    const SIDE: u32 = 96;
    let mut sum = 0;
    for _ in 0..rounds {
        let mut steps = 0;
        for pixel in 0..black_box(SIDE) * SIDE {
            let (re, im) = (f64::from(pixel % SIDE) / 36.0 - 2.0, f64::from(pixel / SIDE) / 36.0 - 1.3);
            let (mut x, mut y) = (0.0, 0.0);
            for _ in 0..100 {
                if x * x + y * y > 4.0 {
                    break;
                }
                (x, y) = (x * x - y * y + re, 2.0 * x * y + im);
                steps += 1;
            }
        }
        sum = join(sum, steps);
    }
    sum
}

/// Calls of a small function, as deep as a tree.
fn calls(rounds: u64) -> u64 {
    #[inline(never)]
    fn leaves(depth: u64) -> u64 {
        if depth < 2 { 1 } else { black_box(leaves(depth - 1)) + leaves(depth - 2) }
    }
    (0..rounds).fold(0, |sum, _| join(sum, leaves(black_box(27))))
}

/// Calls through a table of functions, as an interpreter makes them.
fn dispatch(rounds: u64) -> u64 {
    const OPERATIONS: [fn(u64) -> u64; 8] = [
        |sum| sum.wrapping_add(0x1234_5678_9abc_def1),
        |sum| sum.wrapping_mul(0x5851_f42d_4c95_7f2d),
        |sum| sum.rotate_left(17),
        |sum| sum ^ sum >> 29,
        |sum| !sum,
        |sum| sum.swap_bytes(),
        |sum| sum.wrapping_sub(0x0fed_cba9_8765_4321),
        |sum| sum ^ sum << 31,
    ];
    let operations = black_box(OPERATIONS);
    let mut sum = 1;
    for step in 0..rounds * 200_000 {
        sum = operations[((sum >> 40) + step) as usize % operations.len()](sum);
    }
    sum
}
