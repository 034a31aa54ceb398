//! What a unit of fuel is: the cost of each WebAssembly operator, pinned together with the version of wasmtime.

use wasmtime::{OperatorCost, VariableOperatorCost};

/// The version of wasmtime whose operators this table prices: a newer one may count other things.
pub const WASMTIME: &str = "48.0.8";

/// What the host does to throw an exception that the same function catches takes as much time as so many operators.
const THROW: u8 = 250;

/// One unit for each operator that the guest executes, none for those that make no code, and one for each byte or element
/// that a bulk operator touches.
///
/// `memory.grow` and `table.grow` are calls of the system, and cost as much time as some fifty operators. They are
/// priced like that, so that a loop of them comes back to its worker about as soon as any other. So is `throw`, by which the
/// host makes an object and looks through the frames of the stack for whoever catches it.
pub(crate) const fn costs() -> OperatorCost {
    OperatorCost {
        Nop: 0,
        Drop: 0,
        Block: 0,
        Loop: 0,
        Unreachable: 0,
        Return: 0,
        Else: 0,
        End: 0,
        MemoryGrow: 50,
        TableGrow: 50,
        TryTable: 0,
        Throw: THROW,
        ThrowRef: THROW,
        variable: VariableOperatorCost {
            memory_copy_per_byte: 1,
            memory_fill_per_byte: 1,
            memory_init_per_byte: 1,
            memory_grow_per_page: 0,
            table_copy_per_element: 1,
            table_fill_per_element: 1,
            table_init_per_element: 1,
            table_grow_per_element: 1,
            ..VariableOperatorCost::new()
        },
        ..OperatorCost::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of the table as `Name: cost`.
    fn fields() -> Vec<String> {
        let text = format!("{:?}", costs());
        let (flat, _) = text.split_once(", variable: ").expect("the variable costs come last");
        flat.trim_start_matches("OperatorCost { ").split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn the_table_prices_the_operators_of_this_wasmtime_and_no_other() {
        let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

        let package = format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"\n");
        assert!(lock.contains(&package), "another wasmtime: look through this table and the numbers of tests/fuel.rs");
        assert_eq!(fields().len(), 627);
    }

    #[test]
    fn every_operator_costs_one_but_for_a_few() {
        let mut others: Vec<String> = fields().into_iter().filter(|field| !field.ends_with(": 1")).collect();

        others.sort_unstable();
        assert_eq!(
            others,
            [
                "Block: 0",
                "Drop: 0",
                "Else: 0",
                "End: 0",
                "Loop: 0",
                "MemoryGrow: 50",
                "Nop: 0",
                "Return: 0",
                "TableGrow: 50",
                "Throw: 250",
                "ThrowRef: 250",
                "TryTable: 0",
                "Unreachable: 0"
            ]
        );
    }
}
