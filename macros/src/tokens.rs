//! Functions for tokens that `syn` cannot parse, such as `.yield` and the arguments of macros, and for the places of tokens.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprField, Member, Token};

use crate::fragments;

/// The name of the field that stands for `.yield` while `syn` parses the tokens.
const MARKER: &str = "__tinyield_yield";

/// Turns each `.yield` into a field that `syn` can parse.
fn mark(tokens: TokenStream) -> TokenStream {
    rename_fields(tokens, "yield", MARKER)
}

/// Prepares the tokens of a body or a function for `syn`.
pub fn prepare(tokens: TokenStream) -> TokenStream {
    fragments::parenthesize(mark(tokens))
}

/// Turns the remaining marked fields back into `.yield`, for rustc or another macro.
pub fn unmark(tokens: TokenStream) -> TokenStream {
    rename_fields(tokens, MARKER, "yield")
}

/// Whether `is_match` is true for any token, at any depth of groups.
pub fn any(tokens: TokenStream, is_match: &impl Fn(&TokenTree) -> bool) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Group(group) => any(group.stream(), is_match),
        tree => is_match(&tree),
    })
}

/// The place of an expression.
pub fn place(expr: &TokenStream) -> Span {
    let mut spans = expr.clone().into_iter().map(|tree| tree.span());
    let Some(first) = spans.next() else { return Span::mixed_site() };
    spans.last().and_then(|last| first.join(last)).unwrap_or(first)
}

/// The place from the beginning of an expression to `last`, the last token. `None` if `last` is in another line than the
/// beginning.
pub fn place_in_line(expr: &TokenStream, last: Span) -> Option<Span> {
    let first = place(expr);
    if first.unwrap().line() == last.unwrap().line() { first.join(last) } else { None }
}

/// The tokens as the user wrote them.
pub fn text(tokens: TokenStream) -> String {
    let mut spans = tokens.clone().into_iter().map(|tree| tree.span());
    let first = spans.next();
    let whole = spans.last().map_or(first, |last| first?.join(last));
    whole.and_then(|whole| whole.source_text()).unwrap_or_else(|| unmark(tokens).to_string())
}

/// The marked form of `base.yield`. Its `yield` has the place `at`.
pub fn marked_field(base: Expr, at: Span) -> ExprField {
    let member = Member::Named(Ident::new(MARKER, at));
    ExprField { attrs: Vec::new(), base: base.into(), dot_token: Token![.](at), member }
}

/// The token `yield`, if the field is marked.
pub fn marked(field: &ExprField) -> Option<&Ident> {
    match &field.member {
        Member::Named(name) if name == MARKER => Some(name),
        _ => None,
    }
}

fn rename_fields(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    // The number of dots directly before this token. `a..yield b` is a range.
    let mut dots = 0;
    tokens
        .into_iter()
        .map(|tree| {
            let before = std::mem::take(&mut dots);
            match tree {
                TokenTree::Group(group) => {
                    let mut renamed = Group::new(group.delimiter(), rename_fields(group.stream(), from, to));
                    renamed.set_span(group.span());
                    renamed.into()
                }
                TokenTree::Ident(name) if before == 1 && name == from => Ident::new(to, name.span()).into(),
                TokenTree::Punct(punct) if punct.as_char() == '.' => {
                    dots = before + 1;
                    punct.into()
                }
                tree => tree,
            }
        })
        .collect()
}

/// Rewrites the arguments of a macro that are expressions. An argument ends at a `,`, a `;` or the end of the tokens.
///
/// An argument keeps its tokens if it is not an expression, or if `rewrite` returns false, which means that `rewrite` has not
/// changed the argument.
pub fn rewrite_arguments(tokens: TokenStream, mut rewrite: impl FnMut(&mut Expr) -> bool) -> TokenStream {
    let parser = |input: ParseStream| {
        let mut output = TokenStream::new();
        while !input.is_empty() {
            let ahead = input.fork();
            match ahead.parse::<Expr>() {
                Ok(mut argument) if ends_argument(&ahead) => {
                    if rewrite(&mut argument) {
                        argument.to_tokens(&mut output);
                        input.advance_to(&ahead);
                    }
                    while input.cursor() != ahead.cursor() {
                        output.append(input.parse::<TokenTree>()?);
                    }
                }
                _ => {
                    while !ends_argument(input) {
                        output.append(input.parse::<TokenTree>()?);
                    }
                }
            }
            if !input.is_empty() {
                output.append(input.parse::<TokenTree>()?);
            }
        }
        Ok(output)
    };
    parser.parse2(tokens.clone()).unwrap_or(tokens)
}

fn ends_argument(input: ParseStream) -> bool {
    input.is_empty() || input.peek(Token![,]) || input.peek(Token![;])
}
