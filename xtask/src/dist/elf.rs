//! Whether a program for Linux needs nothing of the machine that it is copied to.

use anyhow::{Context, bail};

/// Program headers that name another program, which loads this one, and the table of what is to be loaded with it.
const INTERP: u32 = 3;
const DYNAMIC: u32 = 2;

/// An entry of that table: a library.
const NEEDED: u64 = 1;

/// # Errors
/// Says what the program needs, or that it is none that this can read: 64 bits, lower byte first.
pub(super) fn check_static(program: &[u8]) -> anyhow::Result<()> {
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("it is no ELF program of 64 bits");
    }
    let (table, size, count) = (number(program, 32, 8)?, number(program, 54, 2)?, number(program, 56, 2)?);
    for header in 0..count {
        let at = table + header * size;
        let (offset, length) = (number(program, at + 8, 8)?, number(program, at + 32, 8)?);
        match u32::try_from(number(program, at, 4)?)? {
            INTERP => bail!("it is loaded by another program"),
            DYNAMIC => {
                for entry in (offset..offset + length).step_by(16) {
                    if number(program, entry, 8)? == NEEDED {
                        bail!("it needs a shared library");
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: u64, size: usize) -> anyhow::Result<u64> {
    let at = usize::try_from(at)?;
    let field = bytes.get(at..at + size).context("the program is cut short")?;
    let mut number = [0; 8];
    number[..size].copy_from_slice(field);
    Ok(u64::from_le_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with one header, of this type, and a table of one entry.
    fn program(header: u32, tag: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes.extend(header.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(120_u64.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(16_u64.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(tag.to_le_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    #[test]
    fn a_program_is_static_when_it_names_neither_loader_nor_library() {
        check_static(&program(1, 0)).unwrap();
        check_static(&program(DYNAMIC, 5)).unwrap();
        assert!(check_static(&program(DYNAMIC, NEEDED)).unwrap_err().to_string().contains("shared library"));
        assert!(check_static(&program(INTERP, 0)).unwrap_err().to_string().contains("another program"));
        assert!(check_static(b"MZ").is_err());
        assert!(check_static(&program(DYNAMIC, 5)[..125]).is_err());
    }
}
