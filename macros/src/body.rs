//! What belongs to the coroutine itself in its body: `yield`, `.yield`, `.await` and `return`.

use std::mem;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Expr, ExprClosure, Item, Macro, Pat, PathArguments, Token, Type};

use crate::closure::resume;
use crate::tokens;

/// Macros whose arguments look like expressions of the body, and are not: they make coroutines, streams or futures of
/// them, or do not run them at all.
const LEFT_ALONE: [&str; 9] =
    ["co", "join", "quote", "select", "select_biased", "stream", "stringify", "try_join", "try_stream"];

/// Rewrites a body, whose `.yield`s are marked.
pub fn rewrite(block: &mut Block) {
    Body { rewritten: 0 }.visit_block_mut(block);
}

struct Body {
    /// How many expressions were rewritten so far.
    rewritten: usize,
}

impl Body {
    fn replace(&mut self, expr: &mut Expr, attrs: &[Attribute], tokens: &TokenStream) {
        *expr = Expr::Verbatim(quote!(#(#attrs)* #tokens));
        self.rewritten += 1;
    }
}

impl VisitMut for Body {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Closure(closure) if !is_coroutine(closure) => {
                Misplaced("a closure").visit_expr_mut(&mut closure.body);
                return;
            }
            Expr::Async(block) => {
                Misplaced("an `async` block").visit_block_mut(&mut block.block);
                return;
            }
            Expr::Closure(_) | Expr::Const(_) => return,
            // The length is a constant.
            Expr::Repeat(repeat) => return self.visit_expr_mut(&mut repeat.expr),
            // The parentheses of `match (yield x) {` have done their work, and would be called unused.
            Expr::Paren(paren) if is_wait(&paren.expr) && paren.attrs.is_empty() => {
                *expr = mem::replace(&mut *paren.expr, Expr::PLACEHOLDER);
                return self.visit_expr_mut(expr);
            }
            _ => visit_mut::visit_expr_mut(self, expr),
        }

        match expr {
            Expr::Yield(prefix) => {
                let attrs = mem::take(&mut prefix.attrs);
                let at = prefix.yield_token.span;
                let what = prefix.expr.as_ref().map_or_else(|| quote_spanned!(at=> ()), ToTokens::to_token_stream);
                let whole = at.join(place(&what)).unwrap_or(at);
                self.replace(expr, &attrs, &wait(&what, at, whole));
            }
            Expr::Field(field) if let Some(postfix) = tokens::marked(field) => {
                let at = postfix.span();
                let attrs = mem::take(&mut field.attrs);
                let what = field.base.to_token_stream();
                let whole = in_line(&what, at).unwrap_or(at);
                self.replace(expr, &attrs, &wait(&what, at, whole));
            }
            Expr::Await(future) => {
                let attrs = mem::take(&mut future.attrs);
                let at = future.await_token.span;
                let what = future.base.to_token_stream();
                let whole = in_line(&what, at).unwrap_or(at);
                self.replace(expr, &attrs, &poll(&what, at, whole));
            }
            // An error is to come from the line of its `?`, and rustc takes that in which the operand begins.
            Expr::Try(raise) => {
                let at = raise.question_token.span;
                if in_line(&raise.expr.to_token_stream(), at).is_none() {
                    let operand = mem::replace(&mut *raise.expr, Expr::PLACEHOLDER);
                    let paren_token = syn::token::Paren(at);
                    *raise.expr = Expr::Paren(syn::ExprParen { attrs: Vec::new(), paren_token, expr: operand.into() });
                    self.rewritten += 1;
                }
            }
            Expr::Return(value) => {
                let attrs = mem::take(&mut value.attrs);
                let keyword = value.return_token;
                let at = Span::mixed_site().located_at(keyword.span);
                let value = value.expr.as_ref().map_or_else(|| quote_spanned!(at=> ()), ToTokens::to_token_stream);
                let value = quote_spanned!(at=> #keyword ::tinyield::by_hand::Outcome::value(#value));
                self.replace(expr, &attrs, &value);
            }
            _ => {}
        }
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let Some(name) = mac.path.segments.last().map(|last| last.ident.to_string()) else { return };
        if LEFT_ALONE.contains(&&*name) {
            return;
        }
        let before = self.rewritten;
        let written = mem::take(&mut mac.tokens);
        mac.tokens = tokens::rewrite_arguments(written.clone(), |argument| {
            let before = self.rewritten;
            self.visit_expr_mut(argument);
            self.rewritten > before
        });
        // It shows what is written in it when it fails: that is to be the user's own text.
        if ["assert", "debug_assert"].contains(&&*name)
            && self.rewritten > before
            && let Ok(arguments) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(written)
            && arguments.len() == 1
        {
            let comma = (!arguments.trailing_punct()).then(<Token![,]>::default);
            let condition = tokens::text(arguments[0].to_token_stream());
            mac.tokens.extend(quote!(#comma "assertion failed: {}", #condition));
        }
    }

    // What is not run by this coroutine.
    fn visit_item_mut(&mut self, _: &mut Item) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_path_arguments_mut(&mut self, _: &mut PathArguments) {}
}

/// Begins a wait for `what`, then suspends until it is over.
///
/// `begin` and `?` take the place of the user's `yield`, as they look where they are called from. `whole` is the place
/// of the expression, and begins in the same line.
///
/// What is yielded is an argument of a function: so its temporaries are dropped before the coroutine suspends. It comes
/// first: there may be other waits in it.
fn wait(what: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let resume = resume();
    let ours = Span::mixed_site().located_at(at);
    // Has the very place of what is yielded, so that rustc says once, and there, that it is nothing to wait for.
    let state = quote_spanned!(place(what)=> ::tinyield::Wait::into_state(#what));
    let wait = quote_spanned!(ours=> wait);
    let begin = quote_spanned!(at=> ::tinyield::__private::begin(&mut #wait, #resume));
    let poll = quote_spanned!(ours=> wait.poll(&given));
    let suspend = suspend_until_ready(&poll, ours);
    let result = quote_spanned! {ours=> {
        let mut #wait = ::tinyield::__private::wait(#state);
        #resume = #begin;
        #suspend
    }};
    or_raise(&result, at, whole)
}

/// Polls a future in place until it is ready.
///
/// A `match`, as `.await` itself becomes in an `async fn`: so the future may borrow from temporaries.
fn poll(future: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let ours = Span::mixed_site().located_at(at);
    // Both have the very place of the future, so that rustc says once, and there, that it is none.
    let theirs = place(future);
    let future = quote_spanned!(theirs=> ::core::future::IntoFuture::into_future(#future));
    let pinned = quote_spanned!(ours=> &mut pinned);
    let pinned = quote_spanned!(theirs=> ::core::pin::Pin::as_mut(#pinned));
    let poll = quote_spanned!(at=> poll_future(#pinned));
    let suspend = suspend_until_ready(&quote_spanned!(ours=> given.#poll), ours);
    or_raise(&quote_spanned!(ours=> match ::core::pin::pin!(#future) { mut pinned => #suspend }), at, whole)
}

/// A loop that is ready with the result of `poll`, in which `given` is what the coroutine was resumed with.
///
/// It is written so that the frame of the suspended coroutine holds the wait and nothing else:
///
/// - there is no `match` with the `yield` in one of its arms, as that would keep what was matched;
/// - `resume` has been moved, and was never borrowed, as that would keep its place: it is `given` that is borrowed.
fn suspend_until_ready(poll: &TokenStream, ours: Span) -> TokenStream {
    let resume = resume();
    quote_spanned! {ours=>
        loop {
            {
                let given = #resume;
                if let ::core::task::Poll::Ready(result) = #poll {
                    #resume = given;
                    break result;
                }
            }
            #resume = yield ::tinyield::by_hand::Suspend;
        }
    }
}

/// `?` takes its line from its operand, so that needs parentheses in a place of the user's.
fn or_raise(result: &TokenStream, at: Span, whole: Span) -> TokenStream {
    let operand = quote_spanned!(whole=> (#result));
    quote_spanned!(at=> #operand?)
}

/// The place of an expression.
fn place(expr: &TokenStream) -> Span {
    let mut spans = expr.clone().into_iter().map(|tree| tree.span());
    let Some(first) = spans.next() else { return Span::mixed_site() };
    spans.last().and_then(|last| first.join(last)).unwrap_or(first)
}

/// The place of an expression together with its last token, if that is in the line in which it begins.
fn in_line(expr: &TokenStream, last: Span) -> Option<Span> {
    let first = place(expr);
    if first.unwrap().line() == last.unwrap().line() { first.join(last) } else { None }
}

fn is_wait(expr: &Expr) -> bool {
    match expr {
        Expr::Yield(_) | Expr::Await(_) => true,
        Expr::Field(field) => tokens::marked(field).is_some(),
        Expr::Paren(paren) => paren.attrs.is_empty() && is_wait(&paren.expr),
        _ => false,
    }
}

fn is_coroutine(closure: &ExprClosure) -> bool {
    closure.attrs.iter().any(|attr| attr.path().is_ident("coroutine"))
}

/// Gives a written answer to each `yield` in something that is not the coroutine; it holds the name of that.
struct Misplaced(&'static str);

impl VisitMut for Misplaced {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let at = match expr {
            Expr::Yield(prefix) => prefix.yield_token.span,
            Expr::Field(field) if let Some(postfix) = tokens::marked(field) => postfix.span(),
            Expr::Closure(closure) if is_coroutine(closure) => return,
            _ => return visit_mut::visit_expr_mut(self, expr),
        };
        let message = format!(
            "`yield` belongs to the coroutine itself, and cannot be in {} inside it: \
             use a loop, or make a coroutine of its own with `co! {{ .. }}`",
            self.0
        );
        *expr = Expr::Verbatim(quote_spanned!(at=> ::core::compile_error!(#message)));
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}
