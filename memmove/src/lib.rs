//! `memmove` for programs on x86-64, instead of the C library's: a guest's `memory.copy` is nothing else. musl moves eight bytes
//! at a time where both places overlap; glibc has the processor do it (`rep movsb`), which on AMD takes eight times as long where
//! the places lie alike in their pages. Who names this crate in a program has it; on other processors it is empty.
//!
//! Not in programs that are compiled without optimisation: there it would be slower than either.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(unsafe_code, reason = "a function of the C library is called by address")]

use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256, _mm256_storeu_si256};

/// Words that are under way at once, where both places are longer than that.
const WORDS: usize = 4;

/// What the C library promises: copies `count` bytes, also where both places overlap, and returns `to`.
///
/// # Safety
/// `count` bytes may be read at `from`, and written at `to`.
#[cfg_attr(not(any(test, debug_assertions)), unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: each arm reads and writes below `count`, and reads whatever it has yet to write over before it does.
    unsafe {
        match count {
            0 => {}
            1..=3 => {
                let (first, middle, last) = (*from, *from.add(count / 2), *from.add(count - 1));
                *to = first;
                *to.add(count / 2) = middle;
                *to.add(count - 1) = last;
            }
            4..=7 => ends::<u32>(to, from, count),
            8..=15 => ends::<u64>(to, from, count),
            16..=31 => ends::<__m128i>(to, from, count),
            32..=63 => ends::<[__m128i; 2]>(to, from, count),
            64..=127 => ends::<[__m128i; WORDS]>(to, from, count),
            _ if std::is_x86_feature_detected!("avx") => by_32_bytes(to, from, count),
            _ => by_16_bytes(to, from, count),
        }
    }
    to
}

/// Copies from one word to two, which may overlap.
unsafe fn ends<Word>(to: *mut u8, from: *const u8, count: usize) {
    let last = count - size_of::<Word>();
    // SAFETY: `count` is a word at least, and two at most.
    unsafe {
        let (first, end) = (load::<Word>(from), load::<Word>(from.add(last)));
        store(to, first);
        store(to.add(last), end);
    }
}

macro_rules! by_words {
    ($name:ident, $feature:literal, $bytes:literal, $load:ident, $store:ident) => {
        /// Copies four words or more. What an end of the place may lose before the loop comes to it is read before the loop.
        #[target_feature(enable = $feature)]
        unsafe fn $name(to: *mut u8, from: *const u8, count: usize) {
            const BLOCK: usize = WORDS * $bytes;
            let last = count - BLOCK;
            // SAFETY: `count` is a block at least, and no block reaches beyond it.
            unsafe {
                // Written word by word: as one value, a block takes the way over the stack.
                let read = |at: usize| {
                    let word = |number: usize| $load(from.add(at + number * $bytes).cast());
                    [word(0), word(1), word(2), word(3)]
                };
                let write = |at: usize, block: [_; WORDS]| {
                    let word = |number: usize| $store(to.add(at + number * $bytes).cast(), block[number]);
                    (word(0), word(1), word(2), word(3));
                };
                if to.addr().wrapping_sub(from.addr()) >= count {
                    let end = read(last);
                    for at in (0..last).step_by(BLOCK) {
                        write(at, read(at));
                    }
                    write(last, end);
                } else {
                    let first = read(0);
                    let mut at = count;
                    while at > BLOCK {
                        at -= BLOCK;
                        write(at, read(at));
                    }
                    write(0, first);
                }
            }
        }
    };
}

by_words!(by_32_bytes, "avx", 32, _mm256_loadu_si256, _mm256_storeu_si256);
by_words!(by_16_bytes, "sse2", 16, _mm_loadu_si128, _mm_storeu_si128);

#[inline(always)]
unsafe fn load<Word>(from: *const u8) -> Word {
    // SAFETY: the caller may read a word there.
    unsafe { from.cast::<Word>().read_unaligned() }
}

#[inline(always)]
unsafe fn store<Word>(to: *mut u8, word: Word) {
    // SAFETY: the caller may write a word there.
    unsafe { to.cast::<Word>().write_unaligned(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Move = unsafe fn(*mut u8, *const u8, usize);

    unsafe fn whole(to: *mut u8, from: *const u8, count: usize) {
        // SAFETY: what is asked of the caller is the same.
        let returned = unsafe { memmove(to, from, count) };
        assert_eq!(returned, to);
    }

    #[test]
    fn bytes_arrive_as_they_were_however_many_there_are_and_wherever_they_overlap() {
        let bytes: Vec<u8> = (0..1024_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let ways: [(Move, usize); 2] = [(whole, 0), (by_16_bytes, 64)];
        for (way, least) in ways {
            for count in least..460 {
                for (from, to) in [
                    (0, 500),
                    (500, 0),
                    (300, 300),
                    (301, 300),
                    (300, 301),
                    (300, 317),
                    (428, 300),
                    (300, 427),
                    (300, 556),
                ] {
                    let (mut expected, mut moved) = (bytes.clone(), bytes.clone());
                    expected.copy_within(from..from + count, to);

                    let start = moved.as_mut_ptr();
                    // SAFETY: both places are in the vector.
                    unsafe { way(start.add(to), start.add(from), count) };

                    assert_eq!(moved, expected, "{count} bytes from {from} to {to}");
                }
            }
        }
    }
}
