//! The path by which an expansion names the crate `tinyield`. The path may differ, because a dependency may be renamed or
//! re-exported.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Path, Token};

/// The path of the crate `tinyield`.
pub enum Crate {
    /// Its name in `Cargo.toml`.
    Named(String),
    /// A path that the user wrote.
    Given(Path),
}

impl Crate {
    /// Finds the name of the crate in the user's `Cargo.toml`.
    pub fn find() -> Self {
        match crate_name("tinyield") {
            Ok(FoundCrate::Name(name)) => Self::Named(name),
            // This happens in the crate's own tests and examples, in a build without Cargo, and if another crate re-exports
            // `tinyield`.
            Ok(FoundCrate::Itself) | Err(_) => Self::Named("tinyield".to_owned()),
        }
    }

    /// The path, with tokens that have the place of `span`.
    pub fn at(&self, span: Span) -> TokenStream {
        match self {
            Self::Named(name) => {
                let name = Ident::new(name, span);
                quote_spanned!(span=> ::#name)
            }
            Self::Given(path) => {
                let mut path = path.clone();
                for segment in &mut path.segments {
                    segment.ident.set_span(span.resolved_at(segment.ident.span()));
                }
                path.to_token_stream()
            }
        }
    }
}

/// Parses `crate = path`.
impl Parse for Crate {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        Ok(Self::Given(input.call(Path::parse_mod_style)?))
    }
}
