//! Keeps the arguments of a user's `macro_rules!` together.
//!
//! An argument such as `$a:expr` is a group without visible delimiters. rustc ignores such a group if it comes out of a procedural
//! macro: with `1 + 2` for `$a`, `$a * 2` would be `1 + 2 * 2`. So this file puts parentheses around each argument that may mean
//! something else without its group. It runs before the tokens are parsed.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use syn::{Expr, Type, UnOp};

use crate::punctuation::is_punct;

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
        let delimiter = match group.delimiter() {
            Delimiter::None if is_lifetime(&content) => {
                output.extend(content);
                continue;
            }
            Delimiter::None if needs_group(&content, output.last(), rest.peek()) => Delimiter::Parenthesis,
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

/// Whether the content of a group means something else without the group, between the tokens `before` and `after`.
///
/// A pattern and the content of an attribute may parse as an expression, too. Most patterns may have parentheses. The exceptions
/// are below.
fn needs_group(content: &TokenStream, before: Option<&TokenTree>, after: Option<&TokenTree>) -> bool {
    let expr = syn::parse2::<Expr>(content.clone());
    if begins_alone(before) && ends_alone(after) {
        return expr.is_ok_and(|expr| ends_early(&expr, false));
    }
    // In `x as $t < y`, the `<` would begin the arguments of the type.
    let is_cast_type = matches!(before, Some(TokenTree::Ident(name)) if name == "as");
    if is_cast_type && is_punct(after, '<') {
        return true;
    }
    match expr {
        Ok(expr) => has_operator(&expr, after) || begins_with_struct(&expr),
        Err(_) => match syn::parse2::<Type>(content.clone()) {
            Ok(Type::TraitObject(object)) => object.bounds.len() > 1,
            Ok(Type::ImplTrait(implements)) => implements.bounds.len() > 1,
            _ => false,
        },
    }
}

fn has_operator(expr: &Expr, after: Option<&TokenTree>) -> bool {
    match expr {
        // These may be the bound of a pattern, a constant argument, a literal for another macro, or the pattern `..`. None of them
        // may have parentheses.
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) && is_literal(&unary.expr) => continues_operand(after),
        Expr::Range(range) if range.start.is_none() && range.end.is_none() => continues_operand(after),
        // This may be the content of an attribute, `key = "value"`.
        Expr::Assign(assign) if matches!(*assign.left, Expr::Path(_)) && is_literal(&assign.right) => false,
        // In `$f(x)`, the field would be a method.
        Expr::Field(_) => is_group(after, Delimiter::Parenthesis),
        Expr::Assign(_)
        | Expr::Binary(_)
        | Expr::Break(_)
        | Expr::Cast(_)
        | Expr::Closure(_)
        | Expr::Range(_)
        | Expr::RawAddr(_)
        | Expr::Reference(_)
        | Expr::Return(_)
        | Expr::Unary(_)
        | Expr::Yield(_) => true,
        Expr::Group(group) => has_operator(&group.expr, after),
        _ => false,
    }
}

/// Whether the expression begins with a struct, as `S { a: 1 }.a` does. After `if` and `match`, the braces would be a block.
fn begins_with_struct(expr: &Expr) -> bool {
    matches!(expr, Expr::Struct(_)) || first_operand(expr).is_some_and(begins_with_struct)
}

/// Whether a statement with this expression would end before the expression does: after a block, as in `{ 1 } + 2`.
fn ends_early(expr: &Expr, is_operand: bool) -> bool {
    match expr {
        Expr::Block(_)
        | Expr::Const(_)
        | Expr::ForLoop(_)
        | Expr::If(_)
        | Expr::Loop(_)
        | Expr::Match(_)
        | Expr::Unsafe(_)
        | Expr::While(_) => is_operand,
        Expr::Group(group) => ends_early(&group.expr, is_operand),
        // `match x { .. }.method()` does not end after the block.
        Expr::Await(_) | Expr::Field(_) | Expr::MethodCall(_) | Expr::Try(_) => {
            first_operand(expr).is_some_and(|first| ends_early(first, false))
        }
        _ => first_operand(expr).is_some_and(|first| ends_early(first, true)),
    }
}

/// The operand with which the expression begins.
fn first_operand(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Assign(assign) => Some(&assign.left),
        Expr::Await(future) => Some(&future.base),
        Expr::Binary(binary) => Some(&binary.left),
        Expr::Call(call) => Some(&call.func),
        Expr::Cast(cast) => Some(&cast.expr),
        Expr::Field(field) => Some(&field.base),
        Expr::Group(group) => Some(&group.expr),
        Expr::Index(index) => Some(&index.expr),
        Expr::MethodCall(call) => Some(&call.receiver),
        Expr::Range(range) => range.start.as_deref(),
        Expr::Try(raise) => Some(&raise.expr),
        _ => None,
    }
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(_) => true,
        Expr::Group(group) => is_literal(&group.expr),
        _ => false,
    }
}

/// Whether this token belongs to the operand before it, as the `.` of a method does.
fn continues_operand(after: Option<&TokenTree>) -> bool {
    match after {
        Some(TokenTree::Punct(punct)) => {
            punct.as_char() == '?' || punct.as_char() == '.' && punct.spacing() == Spacing::Alone
        }
        _ => false,
    }
}

/// Whether a group after this token is a whole argument or a whole statement, unless something follows it.
fn begins_alone(before: Option<&TokenTree>) -> bool {
    match before {
        None => true,
        Some(TokenTree::Punct(punct)) => [',', ';'].contains(&punct.as_char()),
        before => is_group(before, Delimiter::Brace),
    }
}

fn ends_alone(after: Option<&TokenTree>) -> bool {
    match after {
        None => true,
        Some(TokenTree::Punct(punct)) => [',', ';'].contains(&punct.as_char()),
        Some(_) => false,
    }
}

fn is_group(tree: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(tree, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

fn is_lifetime(content: &TokenStream) -> bool {
    let mut trees = content.clone().into_iter();
    let is_quote = matches!(trees.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '\'');
    is_quote && matches!(trees.next(), Some(TokenTree::Ident(_))) && trees.next().is_none()
}

fn ends_with(trees: &[TokenTree], chars: &[char]) -> bool {
    let mut last = trees.iter().rev();
    chars.iter().rev().all(|char| is_punct(last.next(), *char))
}
