//! Does one of ten small computations and prints what it comes to: `kernels NAME ROUNDS`.

mod work;

use std::process::ExitCode;

use work::KERNELS;

fn main() -> ExitCode {
    support::run(|args| {
        let names = || KERNELS.map(|kernel| kernel.name).join(", ");
        let [name, rounds] = args else {
            return Err(format!("usage: kernels NAME ROUNDS, with NAME one of {}", names()));
        };
        let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
        let kernel = kernel.ok_or_else(|| format!("there is no kernel {name:?}, but {}", names()))?;
        println!("{:016x}", (kernel.work)(support::number(rounds)?));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::KERNELS;

    #[test]
    fn every_kernel_comes_to_the_same_each_time_and_to_something_else_with_more_rounds() {
        for kernel in KERNELS {
            assert_eq!((kernel.work)(1), (kernel.work)(1), "{}", kernel.name);
            assert_ne!((kernel.work)(1), (kernel.work)(2), "{}", kernel.name);
        }
    }
}
