//! Keeps the arguments of a user's `macro_rules!` together.
//!
//! An argument such as `$a:expr` is a group without visible delimiters. rustc ignores such a group if it comes out of a procedural
//! macro: with `1 + 2` for `$a`, `$a * 2` would be `1 + 2 * 2`. So this file puts parentheses around each argument that may mean
//! something else without its group. It runs before the tokens are parsed.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::{Expr, Type};

/// Puts parentheses around the groups that need them.
pub fn parenthesize(tokens: TokenStream) -> TokenStream {
    let mut output: Vec<TokenTree> = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(tree) = rest.next() {
        let TokenTree::Group(group) = tree else {
            output.push(tree);
            continue;
        };
        let is_attribute = group.delimiter() == Delimiter::Bracket && ends_with(&output, &['#']);
        let is_inner_attribute = group.delimiter() == Delimiter::Bracket && ends_with(&output, &['#', '!']);
        if is_attribute || is_inner_attribute {
            output.push(group.into());
            continue;
        }
        let content = parenthesize(group.stream());
        let is_alone = group.delimiter() == Delimiter::None && begins_alone(output.last()) && ends_alone(rest.peek());
        let delimiter = match group.delimiter() {
            Delimiter::None if is_lifetime(&content) => {
                output.extend(content);
                continue;
            }
            Delimiter::None if !is_alone && needs_group(&content) => Delimiter::Parenthesis,
            delimiter => delimiter,
        };
        let mut grouped = Group::new(delimiter, content);
        // With this hygiene, rustc does not report the parentheses as unused.
        let is_new = delimiter != group.delimiter();
        grouped.set_span(if is_new { Span::mixed_site().located_at(group.span()) } else { group.span() });
        output.push(grouped.into());
    }
    output.into_iter().collect()
}

/// Whether the tokens mean something else next to other tokens: an expression with an operator, or a type with a `+`. A pattern
/// with an operator parses as an expression, and may have parentheses, too.
fn needs_group(content: &TokenStream) -> bool {
    if let Ok(expr) = syn::parse2::<Expr>(content.clone()) {
        return has_operator(&expr);
    }
    match syn::parse2::<Type>(content.clone()) {
        Ok(Type::TraitObject(object)) => object.bounds.len() > 1,
        Ok(Type::ImplTrait(implements)) => implements.bounds.len() > 1,
        _ => false,
    }
}

fn has_operator(expr: &Expr) -> bool {
    match expr {
        Expr::Assign(_)
        | Expr::Binary(_)
        | Expr::Break(_)
        | Expr::Cast(_)
        | Expr::Closure(_)
        | Expr::Range(_)
        | Expr::RawAddr(_)
        | Expr::Reference(_)
        | Expr::Return(_)
        | Expr::Struct(_)
        | Expr::Unary(_)
        | Expr::Yield(_) => true,
        Expr::Group(group) => has_operator(&group.expr),
        _ => false,
    }
}

/// Whether a group after this token is a whole argument or a whole statement, unless something follows it.
fn begins_alone(before: Option<&TokenTree>) -> bool {
    match before {
        None => true,
        Some(TokenTree::Punct(punct)) => [',', ';'].contains(&punct.as_char()),
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(_) => false,
    }
}

fn ends_alone(after: Option<&TokenTree>) -> bool {
    match after {
        None => true,
        Some(TokenTree::Punct(punct)) => [',', ';'].contains(&punct.as_char()),
        Some(_) => false,
    }
}

fn is_lifetime(content: &TokenStream) -> bool {
    let mut trees = content.clone().into_iter();
    let is_quote = matches!(trees.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '\'');
    is_quote && matches!(trees.next(), Some(TokenTree::Ident(_))) && trees.next().is_none()
}

fn ends_with(trees: &[TokenTree], chars: &[char]) -> bool {
    let mut last = trees.iter().rev();
    chars.iter().rev().all(|char| matches!(last.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == *char))
}
