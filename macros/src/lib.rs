//! The macros of `tinyield`: [`macro@coro`] makes a coroutine from a function, and [`co!`] makes one from a block.
//!
//! Use them from the crate `tinyield`, which re-exports both.
//!
//! These modules work on a body, in this order:
//!
//! 1. `tokens` turns `.yield`, which `syn` cannot parse, into a field. `fragments` keeps the arguments of a user's `macro_rules!`
//!    together.
//! 2. `function` reads the signature of a function, and `arguments` reads its parameters. `block` reads a block. `function`,
//!    `arguments` and `no_result` report common mistakes. (`no_result` reports `Ok(value)` in place of the value, and
//!    `Err(error)` in place of `Err(error)?`.)
//! 3. `body` finds each `yield`, `.yield`, `.await` and `return` that belongs to the coroutine itself. `expansion` expands it,
//!    and `precedence` reports code that does not mean what it seems to mean.
//! 4. `closure` puts the body into one `#[coroutine]` closure.
//! 5. `krate` gives the name of the crate to all of these.
//!
//! If the tokens do not parse, `struct_literal` looks for the usual cause, `match yield name { .. }`.

use proc_macro::TokenStream;

mod arguments;
mod block;
mod body;
mod closure;
mod expansion;
mod fragments;
mod function;
mod krate;
mod no_result;
mod precedence;
mod punctuation;
mod struct_literal;
mod tokens;

/// Makes a coroutine from a function: a call of the function returns a `Coro<T>` that has not started.
///
/// ```text
/// #[coro]
/// fn load(path: PathBuf) -> Coro<usize> {
///     let text = yield run_in_thread(move || std::fs::read_to_string(path)).raise();
///     let limit: usize = std::env::var("LIMIT")?.parse()?;
///     if text.len() > limit {
///         return limit;
///     }
///     text.len()
/// }
/// ```
///
/// - `yield w` waits for `w` and gives its output. `w.yield` means the same. (rust-analyzer reports a syntax error for `.yield`
///   in a `#[coro]` function, and none for it in `co!`.)
/// - `future.await` polls a future in place.
/// - `?` raises an error.
/// - The last expression or `return v` is the value.
///
/// All of these also work in the arguments of macros that take expressions: `println!`, `assert_eq!`, `vec!`. Closures, `async`
/// blocks and items in the body are not part of the coroutine.
///
/// After `match`, `if`, `while` and `for`, write `(yield name)` or `name.yield`: in `match yield name { .. }`, rustc reads
/// `name { .. }` as a struct.
///
/// Attributes, docs, visibility, generics, `where` clauses and patterns in parameters stay as they are. This is also true for
/// methods of traits. Arguments live as long as the coroutine, even if they are unused. They are dropped after the local
/// variables of the body, the last argument first.
///
/// The only feature that a crate needs is `#![feature(coroutines)]`.
///
/// # The name of the crate
///
/// The macros look up the name of the crate `tinyield` in `Cargo.toml`. If another crate re-exports `tinyield`, give the macros
/// its path: `#[coro(crate = other::tinyield)]` and `co! { crate = other::tinyield; body }`.
///
/// # Errors
///
/// In these cases, the code does not compile, and the message says what to write instead:
///
/// - The return type is not `Coro<T>`.
/// - A parameter has a reference or a lifetime other than `'static`, as in `&self`. This is not possible, because a coroutine
///   outlives the call that makes it.
/// - The function is `async` or `const`, or has no body.
/// - A closure or an `async` block in the body yields.
/// - The function has the attribute `#[instrument]` of the crate `tracing`.
/// - The attribute has arguments other than `crate = path`.
#[proc_macro_attribute]
pub fn coro(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&arguments.into(), &item.into()).into()
}

/// Makes a coroutine from a block: a `Coro<T>` that has not started, where `T` is the type of the block.
///
/// ```text
/// let both = co! {
///     let (one, two) = yield (load("one".into()), load("two".into()));
///     one + two
/// };
/// ```
///
/// The body follows the rules of [`macro@coro`]. The variables that it uses are moved into the coroutine.
///
/// If a macro puts one of its arguments into a `co!`, each `yield` in that argument belongs to this `co!`.
///
/// # Errors
///
/// It does not compile if a closure or an `async` block in the body yields.
#[proc_macro]
pub fn co(body: TokenStream) -> TokenStream {
    block::expand(&body.into()).into()
}
