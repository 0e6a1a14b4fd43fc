//! Repairs code such as `match yield name { .. }`, in which rustc reads `name { .. }` as a struct: puts parentheses around the
//! `yield`.
//!
//! It is called only for tokens that do not parse. In such tokens, the code that it repairs is never valid.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use crate::punctuation::is_punct;

/// Keywords before a block. The braces after such a keyword are a block, and not a struct.
const BEFORE_BLOCKS: [&str; 9] = ["async", "const", "do", "else", "gen", "loop", "move", "try", "unsafe"];

/// The tokens with the missing parentheses, and an error for each place where parentheses were missing.
#[derive(Default)]
pub struct Repaired {
    pub tokens: TokenStream,
    pub errors: TokenStream,
}

/// Puts parentheses around each `yield name` before the block of a `match`, `if`, `while` or `for`. `None` if there is no such
/// `yield`.
pub fn repair(tokens: TokenStream) -> Option<Repaired> {
    let mut repaired = Repaired::default();
    let trees = repair_trees(tokens, &mut repaired.errors);
    repaired.tokens = trees.into_iter().collect();
    (!repaired.errors.is_empty()).then_some(repaired)
}

/// The part of a `match`, `if`, `while` or `for` before its block.
struct Head {
    keyword: String,
    /// The keyword before the operand: `let` in `if let`, `in` in `for`.
    inner: Option<String>,
    /// The index of the last `yield` in this part.
    prefix: Option<usize>,
}

fn repair_trees(tokens: TokenStream, errors: &mut TokenStream) -> Vec<TokenTree> {
    let mut trees: Vec<TokenTree> = Vec::new();
    let mut head: Option<Head> = None;
    let mut rest = tokens.into_iter().peekable();
    while let Some(tree) = rest.next() {
        match &tree {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                match (&*name, &mut head) {
                    (_, _) if is_punct(trees.last(), '.') && !is_range(&trees) => {}
                    ("match" | "if" | "while" | "for", _) => {
                        head = Some(Head { keyword: name, inner: None, prefix: None });
                    }
                    ("let" | "in", Some(head)) => {
                        head.inner = Some(name);
                        head.prefix = None;
                    }
                    ("yield", Some(head)) => head.prefix = Some(trees.len()),
                    _ => {}
                }
                trees.push(tree);
            }
            TokenTree::Punct(punct) => {
                // `=>`, `;` and `,` end an arm, a statement and an argument.
                let is_arrow = punct.as_char() == '>' && is_punct(trees.last(), '=');
                if is_arrow || [';', ','].contains(&punct.as_char()) {
                    head = None;
                }
                trees.push(tree);
            }
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace
                    && let Some(Head { keyword, inner, prefix }) = head.take_if(|_| !is_before_block(trees.last()))
                    && let Some(prefix) = prefix
                    && matches!(trees.last(), Some(TokenTree::Ident(_)))
                    && trees.len() > prefix + 1
                    && (!may_be_fields(group) || ends_statement(rest.peek()))
                {
                    let operand: Vec<TokenTree> = trees.drain(prefix..).collect();
                    let (error, repaired) = parenthesize(&keyword, inner.as_deref(), &operand);
                    errors.extend(error);
                    trees.extend(repaired);
                }
                let content = repair_trees(group.stream(), errors).into_iter().collect();
                let mut repaired = Group::new(group.delimiter(), content);
                repaired.set_span(group.span());
                trees.push(repaired.into());
            }
            TokenTree::Literal(_) => trees.push(tree),
        }
    }
    trees
}

/// The error for `yield wait`, and the tokens with parentheses around `yield wait`. The wait ends at the first operator.
fn parenthesize(keyword: &str, inner: Option<&str>, operand: &[TokenTree]) -> (TokenStream, Vec<TokenTree>) {
    let first = operand[0].span();
    let at = operand.last().and_then(|last| first.join(last.span())).unwrap_or(first);
    let name = text(&operand[1 + last_path(&operand[1..])..]);
    let split = operator(operand);
    let (wait, rest) = operand.split_at(split);
    let before = match inner {
        Some("let") => format!("{keyword} let .. ="),
        Some(inner) => format!("{keyword} .. {inner}"),
        None => keyword.to_owned(),
    };
    let written =
        if wait.iter().all(|tree| !matches!(tree, TokenTree::Group(_))) { text(&wait[1..]) } else { "w".to_owned() };
    let rest_written = if rest.is_empty() { "" } else { " .." };
    let postfix = if last_path(&wait[1..]) == 0 {
        format!(" or `{before} {written}.yield{rest_written} {{`")
    } else {
        String::new()
    };
    let message = format!(
        "rustc reads `{name} {{ .. }}` as a struct: write `{before} (yield {written}){rest_written} {{`{postfix}"
    );
    let mut group = Group::new(Delimiter::Parenthesis, wait.iter().cloned().collect());
    group.set_span(Span::mixed_site().located_at(at));
    let repaired = std::iter::once(group.into()).chain(rest.iter().cloned()).collect();
    (quote_spanned!(at=> ::core::compile_error! { #message }), repaired)
}

/// The index of the first operator after the wait, or the number of tokens if there is no operator.
fn operator(operand: &[TokenTree]) -> usize {
    let is_operator = |index: usize| match &operand[index] {
        TokenTree::Punct(punct) if punct.as_char() == '&' => {
            punct.spacing() == Spacing::Joint && is_punct(operand.get(index + 1), '&')
        }
        // The `<` of `::<` is not an operator.
        TokenTree::Punct(punct) => "<>=!|+-*/%^".contains(punct.as_char()) && !is_punct(operand.get(index - 1), ':'),
        _ => false,
    };
    (2..operand.len()).find(|index| is_operator(*index)).unwrap_or(operand.len())
}

/// The index at which the path at the end of the tokens begins.
fn last_path(tokens: &[TokenTree]) -> usize {
    let is_part = |tree: &TokenTree| match tree {
        TokenTree::Punct(punct) => ['.', ':'].contains(&punct.as_char()),
        TokenTree::Ident(_) | TokenTree::Literal(_) => true,
        TokenTree::Group(_) => false,
    };
    tokens.iter().rposition(|tree| !is_part(tree)).map_or(0, |index| index + 1)
}

/// The tokens without spaces.
fn text(tokens: &[TokenTree]) -> String {
    tokens.iter().map(ToString::to_string).collect()
}

/// Whether the content of the braces may be the fields of a struct: `a: 1`, `a`, `..rest`, or nothing.
fn may_be_fields(group: &Group) -> bool {
    let mut trees = group.stream().into_iter();
    match (trees.next(), trees.next()) {
        (None | Some(TokenTree::Ident(_) | TokenTree::Literal(_)), None) => true,
        (Some(TokenTree::Punct(punct)), _) => ['.', '#'].contains(&punct.as_char()),
        (Some(TokenTree::Ident(_) | TokenTree::Literal(_)), Some(TokenTree::Punct(punct))) => {
            punct.as_char() == ',' || punct.as_char() == ':' && !is_punct(trees.next().as_ref(), ':')
        }
        _ => false,
    }
}

/// Whether the statement ends with the braces. If it does not, the braces may really be a struct: the token after them may
/// continue the expression, or may be the block of the `match`.
fn ends_statement(next: Option<&TokenTree>) -> bool {
    match next {
        None | Some(TokenTree::Literal(_)) => true,
        Some(TokenTree::Ident(name)) => name != "as",
        Some(TokenTree::Punct(punct)) => [';', ',', '#', '\''].contains(&punct.as_char()),
        Some(TokenTree::Group(_)) => false,
    }
}

fn is_before_block(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Ident(name)) if BEFORE_BLOCKS.iter().any(|keyword| name == keyword))
}

/// Whether the tokens end with `..`.
fn is_range(trees: &[TokenTree]) -> bool {
    trees.len() > 1 && is_punct(trees.get(trees.len() - 2), '.')
}
