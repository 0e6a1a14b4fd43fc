//! The macros of `tinyield`: [`macro@coro`] makes a coroutine of a function, [`co!`] of a block.
//!
//! Use them from the crate `tinyield`, which re-exports both.
//!
//! A body goes through these modules:
//!
//! 1. `tokens` turns `.yield`, which `syn` cannot parse, into a field;
//! 2. `function` reads the signature of a function, `arguments` its parameters, and both report common mistakes; `block` reads a
//!    block;
//! 3. `body` finds what belongs to the coroutine itself: `yield`, `.yield`, `.await` and `return`. `expansion` has what these become;
//! 4. `closure` puts the body into the one `#[coroutine]` closure that it becomes;
//! 5. `krate` has the name of the crate in all that.
#![feature(allow_internal_unstable)]
// Without it, the user's crate would need more features than `coroutines` for what the macros expand to.
#![allow(internal_features)]

use proc_macro::TokenStream;

mod arguments;
mod block;
mod body;
mod closure;
mod expansion;
mod function;
mod krate;
mod tokens;

/// Makes a coroutine of a function: calling it gives a `Coro<T>` that has not started.
///
/// ```text
/// #[coro]
/// fn name(arguments) -> Coro<T> { body }
/// ```
///
/// The body is a `try` block of its own: `yield w` (or `w.yield`) waits for `w` and gives its output, `future.await`
/// polls a future in place, `?` raises an error, the tail or `return v` is the value. They work in the arguments of
/// macros that take expressions too (`println!`, `assert_eq!`, `vec!`, ..). Closures, `async` blocks and items in the
/// body are left alone.
///
/// After `match`, `if`, `while` and `for`, write `(yield name)` or `name.yield`: in `match yield name { .. }`, rustc takes
/// `name { .. }` for a struct.
///
/// Attributes, docs, visibility, generics, `where` clauses and patterns in parameters pass through, also on methods of
/// traits. Its arguments live as long as the coroutine, used or not, and are dropped last to first, after the locals of
/// the body.
///
/// The only feature that a crate needs is `#![feature(coroutines)]`.
///
/// # Errors
///
/// Does not compile, and says what to write instead, when
///
/// - the return type is not `Coro<T>`;
/// - a parameter is or holds a reference or a lifetime other than `'static`, as in `&self`: a coroutine outlives the
///   call that makes it;
/// - the function is `async` or `const`, or has no body;
/// - a closure or an `async` block in the body yields;
/// - the attribute has arguments.
#[proc_macro_attribute]
#[allow_internal_unstable(coroutines, stmt_expr_attributes)]
pub fn coro(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&arguments.into(), &item.into()).into()
}

/// Makes a coroutine of a block: a `Coro<T>` that has not started, where `T` is the type of the block.
///
/// ```text
/// co! { body }
/// ```
///
/// The body is that of a function with [`macro@coro`]. It captures what it names by move.
///
/// The only feature that a crate needs is `#![feature(coroutines)]`.
///
/// # Errors
///
/// Does not compile when a closure or an `async` block in the body yields.
#[proc_macro]
#[allow_internal_unstable(coroutines, stmt_expr_attributes)]
pub fn co(body: TokenStream) -> TokenStream {
    block::expand(&body.into()).into()
}
