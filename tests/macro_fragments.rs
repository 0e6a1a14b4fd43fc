//! Coroutines in the expansion of a user's `macro_rules!`: each argument keeps its grouping, as in any other expansion.
#![feature(coroutines)]
#![deny(warnings)]

use tinyield::{Coro, Loop, co, coro};

fn run<T: 'static>(coro: Coro<T>) -> T {
    Loop::new().run(coro).unwrap()
}

macro_rules! double {
    ($a:expr) => {
        co! { yield; $a * 2 }
    };
}

macro_rules! negative {
    ($a:expr) => {
        co! { -$a }
    };
}

macro_rules! opposite {
    ($a:expr) => {
        co! { !$a }
    };
}

macro_rules! text {
    ($a:expr) => {
        co! { format!("{}", $a * 2) }
    };
}

macro_rules! check {
    ($a:expr) => {
        co! { if !$a { Err("the check failed")?; } }
    };
}

macro_rules! call {
    ($f:expr, $x:expr) => {
        co! { yield; $f($x) }
    };
}

macro_rules! times {
    ($name:ident, $a:expr) => {
        #[coro]
        fn $name(x: i32) -> Coro<i32> {
            yield;
            $a * x
        }
    };
}

macro_rules! size_of_value {
    ($name:ident, $t:ty) => {
        #[coro]
        fn $name(value: &'static $t) -> Coro<usize> {
            yield;
            size_of_val(value)
        }
    };
}

macro_rules! labelled {
    ($name:ident, $l:lifetime) => {
        #[coro]
        fn $name() -> Coro<u32> {
            $l: loop {
                yield;
                break $l 3;
            }
        }
    };
}

/// Uses each kind of fragment in a place where extra parentheses would not compile, or would be reported.
macro_rules! every_fragment {
    ($b:block, $s:stmt, $p:pat, $t:ty, $m:meta, $v:vis, $path:path, $l:literal, $i:item, $e:expr) => {
        co! {
            #[$m]
            $v struct Local($t);
            $i
            $s;
            let local = Local($l);
            if let $p = Some(local.0) { yield; }
            let Local(value) = local;
            let sum = loop { break $b };
            let first = $path(value).unwrap_or($l);
            let list = [$e, $e];
            (sum, first, list, added(), $e)
        }
    };
}

macro_rules! is_between {
    ($x:expr, $low:literal, $high:expr) => {
        co! { matches!($x, $low..=$high) && if let $low..=$high = $x { true } else { false } }
    };
}

macro_rules! absolute {
    ($x:expr) => {
        co! { i32::abs($x) + $x.abs() + (5 - $x) }
    };
}

/// Passes its arguments on to another macro.
macro_rules! passes_on {
    (@literal $x:literal) => {
        $x
    };
    (@meta $m:meta) => {
        cfg!($m)
    };
    ($x:literal, $m:meta) => {
        co! { (passes_on!(@literal $x), passes_on!(@meta $m)) }
    };
}

macro_rules! rest {
    ($p:pat) => {
        co! {
            let [_, all @ $p] = [1, 2, 3];
            all.len()
        }
    };
}

macro_rules! in_heads {
    ($e:expr) => {
        co! {
            let mut count = 0;
            if $e { count += 1; }
            while count < 2 && $e { count += 1; }
            match $e { true => count += 1, false => {} }
            count
        }
    };
}

macro_rules! last {
    ($e:expr) => {
        co! { $e }
    };
}

macro_rules! is_less {
    ($x:expr, $t:ty) => {
        co! { $x as $t < 5 }
    };
}

struct Holder {
    is_set: bool,
    double: fn(i32) -> i32,
}

struct Constant<const N: i32>;

impl<const N: i32> Constant<N> {
    const VALUE: i32 = N;
}

macro_rules! constant {
    ($n:literal) => {
        co! { Constant::<$n>::VALUE }
    };
}

times!(three_times, 1 + 2);
size_of_value!(size_of_fn, dyn Fn() + Send);
labelled!(three, 'out);

#[test]
fn expression_with_an_operator_is_one_operand() {
    assert_eq!(run(double!(1 + 2)), 6);
    assert_eq!(run(negative!(1 + 2)), -3);
    assert!(!run(opposite!(1 < 2)));
    assert_eq!(run(three_times(5)), 15);
    assert_eq!(run(call!(|x| x + 1, 3)), 4);
}

#[test]
fn expression_in_the_argument_of_a_macro_is_one_operand() {
    assert_eq!(run(text!(1 + 2)), "6");
}

#[test]
fn condition_is_one_operand() {
    assert!(Loop::new().run(check!(1 == 2)).is_err());
    run(check!(1 == 1));
}

#[test]
fn expression_that_yields_is_one_operand() {
    assert_eq!(run(double!(1 + yield co! { 2 })), 6);
    assert_eq!(run(double!(1 + co! { 2 }.yield)), 6);
    assert_eq!(run(negative!(co! { 2 }.yield)), -2);
}

#[test]
fn type_with_bounds_is_one_operand() {
    assert_eq!(run(size_of_fn(&|| ())), 0);
}

#[test]
fn lifetime_can_be_a_label() {
    assert_eq!(run(three()), 3);
}

#[test]
fn every_kind_of_fragment_compiles_without_warnings() {
    let all = every_fragment!(
        { let one = 1; one + 1 },
        let _unused = 1 + 2,
        Some(1 | 7..=9),
        u8,
        derive(Clone, Copy),
        pub,
        Some,
        7,
        fn added() -> u8 { 4 },
        2 * 3
    );
    assert_eq!(run(all), (2, 7, [6, 6], 4, 6));
}

#[test]
fn negative_literal_is_a_bound_a_constant_and_an_operand() {
    assert!(run(is_between!(0, -1, 5)) && !run(is_between!(-2, -1, 5)));
    assert_eq!(run(constant!(-3)), -3);
    assert_eq!(run(absolute!(-2_i32)), 2 + 2 + 7);
}

#[test]
fn literal_and_attribute_can_be_passed_on_to_another_macro() {
    assert_eq!(run(passes_on!(-1, target_os = "none")), (-1, false));
}

#[test]
fn pattern_for_the_rest_keeps_its_meaning() {
    assert_eq!(run(rest!(..)), 2);
}

#[test]
fn struct_at_the_beginning_of_an_argument_is_no_block() {
    assert_eq!(run(in_heads!(Holder { is_set: true, double: |x| 2 * x }.is_set)), 3);
}

#[test]
fn statement_does_not_end_after_the_first_block_of_an_argument() {
    assert_eq!(run(last!(if true { 1 } else { 2 } + 3)), 4);
    assert!(run(last!(
        match 1 {
            1 => 2,
            _ => 3,
        } == 2
    )));
    assert_eq!(
        run(last!(
            match 1 {
                1 => "one",
                _ => "many",
            }
            .len()
        )),
        3
    );
}

#[test]
fn field_that_holds_a_function_can_be_called() {
    let holder = Holder { is_set: false, double: |x| 2 * x };
    assert_eq!(run(call!(holder.double, 4)), 8);
}

#[test]
fn type_of_a_cast_ends_before_a_comparison() {
    assert!(run(is_less!(4_u8, i32)));
}

macro_rules! in_background {
    ($body:block) => {
        co! { $body }
    };
}

/// rustc must not report the braces of the block as unnecessary.
#[test]
fn block_can_be_the_whole_body() {
    assert_eq!(run(in_background!({ 1 + 2 })), 3);
    assert_eq!(
        run(in_background!({
            yield;
            4
        })),
        4
    );
}

macro_rules! without_the_body {
    ($body:block) => {
        co! { #[cfg(any())] $body }
    };
}

#[test]
fn attribute_of_a_block_is_kept() {
    run(without_the_body!({ panic!("`cfg` removes this") }));
}
