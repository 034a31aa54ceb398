//! `haggle build`.

use std::fs;
use std::io;
use std::path::Path;

use super::Verdict;
use crate::args::BuildArgs;
use crate::error::CommandError;
use crate::{output, toolchain};

pub(super) fn run(args: &BuildArgs) -> Verdict {
    let built = toolchain::build(&args.dir, args.bin.as_deref(), false)?;
    let module = match &args.output {
        Some(output) => {
            copy(&built, output).map_err(|source| CommandError::Unwritable { path: output.clone(), source })?;
            output
        }
        None => &built,
    };
    output::line(&module.display().to_string())?;
    Ok(0)
}

/// All of it or nothing: whoever looks meanwhile sees the old file or the new one. A link is followed, and a device is
/// written to: neither may be replaced by a file.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let to = fs::canonicalize(to).unwrap_or_else(|_| to.to_path_buf());
    if fs::metadata(&to).is_ok_and(|there| !there.is_file()) {
        return io::copy(&mut fs::File::open(from)?, &mut fs::OpenOptions::new().write(true).open(&to)?).map(drop);
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut partial = tempfile::Builder::new().prefix(".haggle-build-").tempfile_in(folder)?;
    io::copy(&mut fs::File::open(from)?, &mut partial)?;
    fs::set_permissions(partial.path(), fs::metadata(from)?.permissions())?;
    haggle_tls::replace_file(partial, &to)
}
