//! The expansions of `yield`, `.await` and `return`, and how to recognize and undo them.
//!
//! Undoing is necessary for macros that put their arguments into a coroutine of their own. An example is
//! `macro_rules! background { ($e:expr) => { spawn(co! { $e }) } }`. The macro of the surrounding coroutine has expanded the
//! arguments already, because it cannot see what `background!` does with them. The inner `co!` undoes that expansion and expands
//! the arguments again, so that each `yield` belongs to the innermost coroutine.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Expr, ExprAwait, ExprCall, ExprReturn, ExprTry, Pat, Stmt, Token};

use crate::krate::Crate;
use crate::tokens;

/// The variable that holds the last `Resume`. Its span is `mixed_site`, so it is never the same as a variable of the user.
pub fn resume() -> syn::Ident {
    syn::Ident::new("resume", Span::mixed_site())
}

/// `yield operand`: begins a wait, and suspends until it is over.
///
/// `at` is the place of the user's `yield`. `begin` and `?` have this place, because both record the line of their caller.
/// `whole` is the place of the whole expression, and begins in the same line.
///
/// The operand is an argument of a function, so its temporaries are dropped before the coroutine suspends. It is evaluated
/// first, because it may contain other waits.
pub fn wait(krate: &Crate, operand: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let resume = resume();
    let ours = Span::mixed_site().located_at(at);
    // This call has the exact place of the operand. So if the operand cannot be yielded, rustc reports one error, and points to the
    // operand.
    let theirs = tokens::place(operand);
    let into_state = krate.at(theirs);
    let state = quote_spanned!(theirs=> #into_state::Wait::into_state(#operand));
    let wait = quote_spanned!(ours=> wait);
    let begin = krate.at(at);
    let begin = quote_spanned!(at=> #begin::__private::begin(&mut #wait, #resume));
    let poll = quote_spanned!(ours=> wait.poll(&given));
    let suspend = suspend_until_ready(krate, &poll, ours);
    let krate = krate.at(ours);
    let result = quote_spanned! {ours=> {
        let mut #wait = #krate::__private::wait(#state);
        #resume = #begin;
        #suspend
    }};
    or_raise(&result, at, whole)
}

/// `operand.await`: polls a future in place until it is ready.
///
/// It is a `match`, like the `.await` of an `async fn`, so the future may borrow from temporaries.
pub fn poll(krate: &Crate, operand: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let ours = Span::mixed_site().located_at(at);
    // Both calls have the exact place of the operand. So if the operand is not a future, rustc reports one error, and points to the
    // operand.
    let theirs = tokens::place(operand);
    let future = quote_spanned!(theirs=> ::core::future::IntoFuture::into_future(#operand));
    let pinned = quote_spanned!(ours=> &mut pinned);
    let pinned = quote_spanned!(theirs=> ::core::pin::Pin::as_mut(#pinned));
    let poll = quote_spanned!(at=> poll_future(#pinned));
    let suspend = suspend_until_ready(krate, &quote_spanned!(ours=> given.#poll), ours);
    or_raise(&quote_spanned!(ours=> match ::core::pin::pin!(#future) { mut pinned => #suspend }), at, whole)
}

/// `return operand`.
pub fn end(krate: &Crate, keyword: Token![return], operand: Option<&Expr>) -> TokenStream {
    let at = Span::mixed_site().located_at(keyword.span);
    let operand = operand.map_or_else(|| quote_spanned!(at=> ()), ToTokens::to_token_stream);
    let krate = krate.at(at);
    quote_spanned!(at=> #keyword #krate::__private::Outcome::value(#operand))
}

/// A loop that polls until there is a result. In the expression `poll`, `given` is the last `Resume`.
///
/// The loop has this form so that the frame of the suspended coroutine holds only the wait:
///
/// - There is no `match` with the `yield` in an arm, because the frame would then hold the matched value.
/// - `resume` is moved and never borrowed, because the frame would hold a borrowed `resume`. Instead, `given` is borrowed.
fn suspend_until_ready(krate: &Crate, poll: &TokenStream, ours: Span) -> TokenStream {
    let resume = resume();
    let krate = krate.at(ours);
    quote_spanned! {ours=>
        loop {
            {
                let given = #resume;
                if let ::core::task::Poll::Ready(result) = #poll {
                    #resume = given;
                    break result;
                }
            }
            #resume = yield #krate::by_hand::Suspend;
        }
    }
}

/// `result?`. rustc uses the line of the operand as the line of a `?`. So the operand is in parentheses that have the place
/// `whole`.
fn or_raise(result: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let operand = quote_spanned!(whole=> (#result));
    quote_spanned!(at=> #operand?)
}

/// If the macro of a surrounding coroutine has expanded this expression: the expression as the user wrote it.
pub fn undo(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Try(ExprTry { attrs, expr: result, question_token }) if let Expr::Paren(result) = &**result => {
            let at = question_token.span;
            match &*result.expr {
                Expr::Block(block)
                    if let Some(Stmt::Local(local)) = block.block.stmts.first()
                        && let Some(init) = &local.init
                        && let Some(state) = argument_of("__private::wait", &init.expr)
                        && let Some(operand) = argument_of("Wait::into_state", state) =>
                {
                    let mut postfix = tokens::marked_field(operand.clone(), at);
                    postfix.attrs.clone_from(attrs);
                    Some(Expr::Field(postfix))
                }
                Expr::Match(poll)
                    if let Expr::Macro(pin) = &*poll.expr
                        && ends_with(&pin.mac.path, "pin::pin")
                        && let Some(arm) = poll.arms.first()
                        && matches!(&arm.pat, Pat::Ident(name) if name.ident == "pinned")
                        && let Ok(future) = pin.mac.parse_body()
                        && let Some(operand) = argument_of("IntoFuture::into_future", &future) =>
                {
                    Some(Expr::Await(ExprAwait {
                        attrs: attrs.clone(),
                        base: operand.clone().into(),
                        dot_token: Token![.](at),
                        await_token: Token![await](at),
                    }))
                }
                _ => None,
            }
        }
        Expr::Return(ExprReturn { attrs, return_token, expr: Some(outcome) })
            if let Some(operand) = argument_of("__private::Outcome::value", outcome) =>
        {
            Some(Expr::Return(ExprReturn {
                attrs: attrs.clone(),
                return_token: *return_token,
                expr: Some(operand.clone().into()),
            }))
        }
        _ => None,
    }
}

/// The argument, if `expr` calls a function whose path ends with `function` and has one argument.
fn argument_of<'a>(function: &str, expr: &'a Expr) -> Option<&'a Expr> {
    match expr {
        Expr::Call(ExprCall { func, args, .. })
            if args.len() == 1
                && let Expr::Path(path) = &**func
                && ends_with(&path.path, function) =>
        {
            args.first()
        }
        _ => None,
    }
}

fn ends_with(path: &syn::Path, end: &str) -> bool {
    let mut segments = path.segments.iter().rev();
    end.rsplit("::").all(|name| segments.next().is_some_and(|segment| segment.ident == name))
}
