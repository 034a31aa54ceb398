//! What this machine lacks, and what to do about it. Looks, and changes nothing.

mod clock;
mod clusters;
mod machine;
mod port;
mod report;
mod wall;

use crate::args::DoctorArgs;
use crate::commands::Verdict as Ended;
use crate::output;
use crate::target::{Target, TargetError};
use report::{Finding, Verdict};

pub(crate) use wall::child;

/// Something fails.
const SICK: u8 = 1;

/// Looks at everything, a line for each as it is found out.
pub(crate) async fn run(target: Result<Target, TargetError>, args: DoctorArgs) -> Ended {
    let mut told = Told { is_json: args.list.json, worst: Verdict::Ok };
    told.tell(&[wall::look(), machine::open_files()])?;
    told.tell(&machine::disks())?;
    told.tell(&[machine::compiler(), clock::look()])?;
    told.tell(&[port::look().await])?;
    told.tell(&clusters::contexts())?;
    told.tell(&clusters::target(target).await)?;
    Ok(if told.worst == Verdict::Fail { SICK } else { 0 })
}

/// What was said so far.
struct Told {
    is_json: bool,
    worst: Verdict,
}

impl Told {
    fn tell(&mut self, findings: &[Finding]) -> Result<(), output::OutputError> {
        for finding in findings {
            self.worst = self.worst.max(finding.verdict);
            if self.is_json {
                output::json(finding)?;
            } else {
                output::line(&finding.to_string())?;
            }
        }
        Ok(())
    }
}
