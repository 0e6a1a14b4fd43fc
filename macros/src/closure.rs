//! The one closure that a body becomes.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::{Block, Type};

use crate::{body, tokens};

/// The name of what the closure is resumed with. `mixed_site`, so that no name of the user's can be the same.
pub fn resume() -> syn::Ident {
    syn::Ident::new("resume", Span::mixed_site())
}

/// Expands `co! { body }`.
pub fn block(input: &TokenStream) -> TokenStream {
    let name = quote!(::tinyield::__private::Block);
    match Block::parse_within.parse2(tokens::mark(input.clone())) {
        Ok(stmts) => {
            // The whole call, in the hygiene of what the user wrote.
            let place = input.clone().into_iter().next().map_or_else(Span::call_site, |first| first.span());
            let brace_token = syn::token::Brace(place.located_at(Span::call_site()));
            let block = Block { brace_token, stmts };
            tokens::unmark(make(&name, None, &TokenStream::new(), block))
        }
        // The tokens stay, so that an editor still knows what is in there.
        Err(error) => {
            let error = error.into_compile_error();
            quote!({ #error #input })
        }
    }
}

/// A coroutine that does `captures` and then `block`, whose type is `output` (`None`: to be inferred).
pub fn make(name: &TokenStream, output: Option<&Type>, captures: &TokenStream, mut block: Block) -> TokenStream {
    body::rewrite(&mut block);

    // Every token of our own is in the hygiene of the macro, where lints are silent, but has the place of the user's
    // block, where errors are to point.
    let written = block.brace_token.span.join();
    let at = Span::mixed_site().located_at(written);
    let resume = resume();
    block.brace_token = syn::token::Brace(at);

    let output = output.map_or_else(|| quote_spanned!(at=> _), ToTokens::to_token_stream);
    let mut body = Group::new(
        Delimiter::Brace,
        quote_spanned! {at=>
            #captures
            // The block may never end.
            #[allow(clippy::diverging_sub_expression)]
            let value: #output = #block;
            #[allow(unreachable_code)]
            ::tinyield::by_hand::Outcome::value(value)
        },
    );
    // But for where the closure begins and ends: of one that is a macro's, rustc does not name the variables.
    body.set_span(written);
    let begin = quote_spanned!(written=> static);
    quote_spanned! {at=>
        ::tinyield::__private::coro::<#name, _, _>(
            #[coroutine]
            #begin move |mut #resume: ::tinyield::by_hand::Resume| -> ::tinyield::by_hand::Outcome<#output> #body
        )
    }
}
