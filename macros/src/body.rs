//! Expands each `yield`, `.yield`, `.await` and `return` that belongs to the coroutine itself, and not to a closure in it.

use std::mem;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Expr, ExprClosure, Item, Macro, Pat, PathArguments, Token, Type};

use crate::krate::Crate;
use crate::{expansion, precedence, tokens};

/// Macros whose arguments look like expressions of the body, but do not belong to it: these macros make coroutines, streams or
/// futures from their arguments, or do not run their arguments.
const UNEXPANDED_MACROS: [&str; 9] =
    ["co", "join", "quote", "select", "select_biased", "stream", "stringify", "try_join", "try_stream"];

/// Expands a body in which each `.yield` is [marked](tokens::mark).
pub fn rewrite(krate: &Crate, block: &mut Block) {
    Body { krate, rewritten: 0 }.visit_block_mut(block);
}

struct Body<'a> {
    krate: &'a Crate,
    /// How many expressions have been rewritten.
    rewritten: usize,
}

impl Body<'_> {
    fn replace(&mut self, expr: &mut Expr, attrs: &[Attribute], tokens: &TokenStream) {
        *expr = Expr::Verbatim(quote!(#(#attrs)* #tokens));
        self.rewritten += 1;
    }
}

impl VisitMut for Body<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if let Some(written) = expansion::undo(expr) {
            *expr = written;
        }
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
            // The length of the array is a constant, so no `yield` in it belongs to the coroutine.
            Expr::Repeat(repeat) => return self.visit_expr_mut(&mut repeat.expr),
            // rustc would report the parentheses of `match (yield x) {` as unused after the expansion.
            Expr::Paren(paren) if is_wait(&paren.expr) && paren.attrs.is_empty() => {
                *expr = mem::replace(&mut *paren.expr, Expr::PLACEHOLDER);
                return self.visit_expr_mut(expr);
            }
            _ => visit_mut::visit_expr_mut(self, expr),
        }

        match expr {
            Expr::Yield(prefix) => {
                if let Some(error) = prefix.expr.as_deref().and_then(precedence::error_for_operand) {
                    *expr = Expr::Verbatim(error);
                    return;
                }
                if let Some(Expr::Try(raise)) = prefix.expr.as_deref_mut() {
                    precedence::check_question(self.krate, raise);
                }
                let attrs = mem::take(&mut prefix.attrs);
                let at = prefix.yield_token.span;
                let operand = prefix.expr.as_ref().map_or_else(|| quote_spanned!(at=> ()), ToTokens::to_token_stream);
                let whole = at.join(tokens::place(&operand)).unwrap_or(at);
                self.replace(expr, &attrs, &expansion::wait(self.krate, &operand, at, whole));
            }
            Expr::Field(field) if let Some(postfix) = tokens::marked(field) => {
                let at = postfix.span();
                let attrs = mem::take(&mut field.attrs);
                let operand = without_parentheses(&field.base).to_token_stream();
                let whole = tokens::place_in_line(&operand, at).unwrap_or(at);
                self.replace(expr, &attrs, &expansion::wait(self.krate, &operand, at, whole));
            }
            Expr::Await(future) => {
                let attrs = mem::take(&mut future.attrs);
                let at = future.await_token.span;
                let operand = without_parentheses(&future.base).to_token_stream();
                let whole = tokens::place_in_line(&operand, at).unwrap_or(at);
                self.replace(expr, &attrs, &expansion::poll(self.krate, &operand, at, whole));
            }
            // The line of an error has to be the line of its `?`, but rustc uses the line in which the operand begins. So the
            // operand gets parentheses that have the place of the `?`.
            Expr::Try(raise) => {
                let at = raise.question_token.span;
                if tokens::place_in_line(&raise.expr.to_token_stream(), at).is_none() {
                    let operand = mem::replace(&mut *raise.expr, Expr::PLACEHOLDER);
                    let paren_token = syn::token::Paren(at);
                    *raise.expr = Expr::Paren(syn::ExprParen { attrs: Vec::new(), paren_token, expr: operand.into() });
                    self.rewritten += 1;
                }
            }
            Expr::Return(end) => {
                let attrs = mem::take(&mut end.attrs);
                let tokens = expansion::end(self.krate, end.return_token, end.expr.as_deref());
                self.replace(expr, &attrs, &tokens);
            }
            _ => {}
        }
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let Some(name) = mac.path.segments.last().map(|last| last.ident.to_string()) else { return };
        if UNEXPANDED_MACROS.contains(&&*name) {
            if let Some(error) = precedence::error_for_macro(mac, &name) {
                *mac = error;
            }
            return;
        }
        let before = self.rewritten;
        let written = mem::take(&mut mac.tokens);
        mac.tokens = tokens::rewrite_arguments(written.clone(), |argument| {
            let before = self.rewritten;
            self.visit_expr_mut(argument);
            self.rewritten > before
        });
        // When these macros fail, they print their argument. This has to be the text that the user wrote, and not its
        // expansion.
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

    // Items are not part of the coroutine.
    fn visit_item_mut(&mut self, _: &mut Item) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_path_arguments_mut(&mut self, _: &mut PathArguments) {}
}

/// Removes parentheses around `expr`. In `(&shared).yield`, the operand becomes an argument of a function, and rustc would report
/// the parentheses as unused.
fn without_parentheses(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) if paren.attrs.is_empty() => &paren.expr,
        _ => expr,
    }
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

/// Replaces each `yield` inside of a closure or an `async` block by an error. The field is the text for the message: "a
/// closure" or "an `async` block".
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
