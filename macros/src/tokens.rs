//! What is done on tokens, as `syn` cannot: `.yield`, and the arguments of macros.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprField, Member, Token};

/// What `.yield` is called while `syn` looks at it: a field of this name.
const MARKER: &str = "__tinyield_yield";

/// Writes each `.yield` as a field that `syn` can parse.
pub fn mark(tokens: TokenStream) -> TokenStream {
    rename_fields(tokens, "yield", MARKER)
}

/// Writes the fields that are left back as `.yield`: rustc, or another macro, is to see them as they were.
pub fn unmark(tokens: TokenStream) -> TokenStream {
    rename_fields(tokens, MARKER, "yield")
}

/// The tokens as the user wrote them.
pub fn text(tokens: TokenStream) -> String {
    let mut spans = tokens.clone().into_iter().map(|tree| tree.span());
    let first = spans.next();
    let whole = spans.last().map_or(first, |last| first?.join(last));
    whole.and_then(|whole| whole.source_text()).unwrap_or_else(|| unmark(tokens).to_string())
}

/// The token `yield` if the field is a marked one.
pub fn marked(field: &ExprField) -> Option<&Ident> {
    match &field.member {
        Member::Named(name) if name == MARKER => Some(name),
        _ => None,
    }
}

fn rename_fields(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    // How many dots in a row came just before: `a..yield b` is a range.
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

/// Rewrites the arguments of a macro that are expressions, each ended by `,`, `;` or the end of all.
///
/// What is no expression, and what `rewrite` says it did not change, stays token for token what it was.
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
