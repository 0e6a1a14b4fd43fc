//! Punctuation characters in tokens.

use proc_macro2::TokenTree;

/// Whether the token is this punctuation character.
pub fn is_punct(tree: Option<&TokenTree>, char: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}
