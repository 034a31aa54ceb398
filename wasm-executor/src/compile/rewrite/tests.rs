use proptest::prelude::*;
use wasmtime::{Engine, Instance, Module, Store, Trap};

use super::*;

/// Small enough that every way through the functions is taken in a small memory.
const SMALL: u32 = 8;

/// Bytes of a page, and of the one segment.
const MEMORY: u32 = 65536;
const SEGMENT: u32 = 100;

/// Each operator by its name, with a function before and after, an import, and a short operator that stays.
fn module() -> Vec<u8> {
    let segment: String = (0..SEGMENT).map(|number| format!("\\{number:02x}")).collect();
    let text = format!(
        r#"(module
        (import "" "unused" (func (param i64)))
        (memory (export "memory") 1 1)
        (data $gone (i32.const 70) "active")
        (data $kept "{segment}")
        (func (export "fill") (param i32 i32 i32) (local i64 i64 f32)
            (memory.fill (local.get 0) (local.get 1) (local.get 2)) (memory.fill (i32.const 0) (i32.const 9) (i32.const 4)))
        (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i32 i32 i32) (memory.init $kept (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init gone") (param i32 i32 i32) (memory.init $gone (local.get 0) (local.get 1) (local.get 2)))
        (func (export "drop") (data.drop $kept)))"#
    );
    wat::parse_str(text).unwrap()
}

/// What a guest sees: whether it trapped, and all of its memory.
struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(binary: &[u8]) -> Self {
        let mut store = Store::new(&Engine::default(), ());
        let module = Module::from_binary(store.engine(), binary).unwrap();
        let unused = wasmtime::Func::wrap(&mut store, |_: i64| {});
        let instance = Instance::new(&mut store, &module, &[unused.into()]).unwrap();
        let mut guest = Self { store, instance };
        for (at, byte) in guest.memory().iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
        guest
    }

    fn memory(&mut self) -> &mut [u8] {
        self.instance.get_memory(&mut self.store, "memory").unwrap().data_mut(&mut self.store)
    }

    fn call(&mut self, name: &str, (to, from, length): (u32, u32, u32)) -> Result<(), Trap> {
        let function = self.instance.get_typed_func::<(u32, u32, u32), ()>(&mut self.store, name).unwrap();
        let called = function.call(&mut self.store, (to, from, length));
        called.map_err(|error| *error.downcast_ref::<Trap>().unwrap())
    }

    fn drop_segment(&mut self) {
        self.instance.get_typed_func::<(), ()>(&mut self.store, "drop").unwrap().call(&mut self.store, ()).unwrap();
    }
}

/// Addresses and lengths around every bound there is.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..3 * SMALL,
        SEGMENT - SMALL..SEGMENT + SMALL,
        1000..1100_u32,
        MEMORY - 3 * SMALL..MEMORY + 3 * SMALL,
        u32::MAX - 3 * SMALL..=u32::MAX,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_guest_cannot_tell_pieces_from_the_whole(
        calls in proptest::collection::vec((0..4_usize, (number(), number(), number())), 1..20),
        dropped_before in 0..40_usize,
    ) {
        let binary = module();
        let mut whole = Guest::new(&binary);
        let mut pieces = Guest::new(&rewrite_by(SMALL, &binary));

        for (number, (which, operands)) in calls.into_iter().enumerate() {
            if number == dropped_before {
                whole.drop_segment();
                pieces.drop_segment();
            }
            let name = ["fill", "copy", "init", "init gone"][which];
            prop_assert_eq!(whole.call(name, operands), pieces.call(name, operands), "{} {:?}", name, operands);
            prop_assert!(whole.memory() == pieces.memory(), "{} {:?}", name, operands);
        }
    }

    #[test]
    fn what_is_not_valid_is_left_to_the_compiler_and_what_is_stays_so(at in 0..1000_usize, byte in any::<u8>(), is_cut: bool) {
        let is_valid = |binary: &[u8]| Validator::new().validate_all(binary).is_ok();
        let mut given = module();
        let at = at % given.len();
        if is_cut {
            given.truncate(at);
        } else {
            given[at] = byte;
        }

        match rewrite_by(SMALL, &given) {
            Cow::Borrowed(same) => prop_assert_eq!(same, &given[..]),
            Cow::Owned(written) => prop_assert!(is_valid(&given) && is_valid(&written), "{:02x?}", given),
        }
    }
}

/// Functions that a module or component defines, all its parts together.
fn functions(binary: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(binary).map(Result::unwrap);
    payloads.filter(|payload| matches!(payload, Payload::CodeSectionEntry(_))).count()
}

#[test]
fn a_module_without_long_operators_stays_as_it_is() {
    let short = wat::parse_str(
        r#"(module (memory 1) (data $short "no longer than a piece") (func (param i32)
            (memory.copy (i32.const 0) (i32.const 9) (i32.const 524288))
            (memory.init $short (i32.const 0) (i32.const 0) (local.get 0))))"#,
    );
    let short = short.unwrap();

    assert!(matches!(rewrite(&short), Cow::Borrowed(same) if same == short));
}

#[test]
fn a_module_with_a_memory_of_64_bits_stays_as_it_is() {
    let wide = wat::parse_str(
        "(module (memory i64 1) (func (param i64) (memory.fill (i64.const 0) (i32.const 0) (local.get 0))))",
    );
    let wide = wide.unwrap();

    assert!(matches!(rewrite(&wide), Cow::Borrowed(same) if same == wide));
}

#[test]
fn one_function_is_added_for_each_kind_of_operator() {
    let binary = module();

    // Fill, copy, and the one segment that is kept.
    assert_eq!(functions(&rewrite_by(SMALL, &binary)), functions(&binary) + 3);
    // No segment is longer than this.
    assert_eq!(functions(&rewrite(&binary)), functions(&binary) + 2);
}

#[test]
fn modules_within_components_are_rewritten_at_any_depth() {
    let inner = "(core module (memory 1) (func (param i32) (memory.fill (i32.const 0) (i32.const 0) (local.get 0))))";
    let component =
        wat::parse_str(format!(r#"(component (component (component {inner}) {inner}) {inner} (core module))"#));
    let component = component.unwrap();

    let written = rewrite(&component);

    assert_eq!(functions(&written), functions(&component) + 3);
    Validator::new().validate_all(&written).unwrap();
}
