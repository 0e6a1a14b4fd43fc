//! `co!`: makes a coroutine from a block.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::{Block, Expr, Stmt, Token};

use crate::krate::Crate;
use crate::struct_literal::Repaired;
use crate::{closure, struct_literal, tokens};

/// Expands `co! { body }`, and `co! { crate = path; body }`.
pub fn expand(input: &TokenStream) -> TokenStream {
    // The braces have the place of the whole call, and the hygiene of the user's tokens.
    let hygiene = input.clone().into_iter().next().map_or_else(Span::call_site, |first| first.span());
    let brace_token = syn::token::Brace(hygiene.located_at(Span::call_site()));
    let parser = |input: ParseStream| {
        let mut krate = None;
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            krate = Some(input.parse()?);
            input.parse::<Token![;]>()?;
        }
        Ok((krate, Block { brace_token, stmts: without_braces(Block::parse_within(input)?) }))
    };
    match parser.parse2(tokens::prepare(input.clone())) {
        Ok((krate, block)) => expand_block(krate, block),
        Err(error) => {
            // With the added parentheses, the body means what the user intended. So rustc can report the other errors in the
            // body.
            if let Some(Repaired { tokens, errors }) = struct_literal::repair(input.clone()) {
                let block = parser.parse2(tokens::prepare(tokens)).map(|(krate, block)| expand_block(krate, block));
                let block = block.unwrap_or_else(|_| quote!(::core::unimplemented!()));
                return quote!({ #errors #block });
            }
            // The tokens stay in the expansion, so that editors can still resolve them.
            let error = error.into_compile_error();
            quote!({ #error #input })
        }
    }
}

fn expand_block(krate: Option<Crate>, block: Block) -> TokenStream {
    let krate = krate.unwrap_or_else(Crate::find);
    let path = krate.at(Span::mixed_site());
    let name = quote_spanned!(Span::mixed_site()=> #path::__private::Block);
    tokens::unmark(closure::make(&krate, &name, Span::mixed_site(), None, &TokenStream::new(), block))
}

/// If the body is only a block, `{ statements }`, this returns the statements in the block. Users write such a block because
/// rustfmt formats `co!({ body })`. rustc would report its braces as unnecessary.
fn without_braces(stmts: Vec<Stmt>) -> Vec<Stmt> {
    match <[Stmt; 1]>::try_from(stmts).map(|[stmt]| [ungrouped(stmt)]) {
        Ok([Stmt::Expr(Expr::Block(inner), None)]) if inner.label.is_none() && inner.attrs.is_empty() => {
            inner.block.stmts
        }
        Ok(one) => one.into(),
        Err(stmts) => stmts,
    }
}

/// A block that came from a fragment of `macro_rules!` is in a group without delimiters. This takes it out of the group.
fn ungrouped(stmt: Stmt) -> Stmt {
    match stmt {
        Stmt::Expr(Expr::Group(group), None) if group.attrs.is_empty() && matches!(*group.expr, Expr::Block(_)) => {
            Stmt::Expr(*group.expr, None)
        }
        other => other,
    }
}
