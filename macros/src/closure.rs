//! The one `#[coroutine]` closure that a body becomes.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Block, Type};

use crate::body;
use crate::expansion::resume;
use crate::krate::Crate;
use crate::tokens;

/// Makes a coroutine that does `captures` and then `block`, whose type is `output`. If that is `None`, it is inferred.
///
/// `name` is the path of a type that has the name of the coroutine. `line` is the place that traces give it before its first `yield`.
pub fn make(
    in_crate: &Crate,
    name: &TokenStream,
    line: Span,
    output: Option<&Type>,
    captures: &TokenStream,
    mut block: Block,
) -> TokenStream {
    body::rewrite(in_crate, &mut block);

    // Our own tokens have the hygiene of the macro, where most lints are silent, and the place of the user's block, where
    // errors are to point.
    let written = block.brace_token.span.join();
    let at = Span::mixed_site().located_at(written);
    let resume = resume();
    let krate = in_crate.at(at);
    block.brace_token = syn::token::Brace(at);

    // rust-analyzer takes a closure without any `yield` for an ordinary one, whatever its attributes are.
    let never_yields = !tokens::any(block.to_token_stream(), &|token| token.to_string() == "yield");
    let yields = never_yields.then(|| {
        quote_spanned! {at=>
            if false {
                // Dropped first, so that the frame has no place for it.
                ::core::mem::drop(#resume);
                #resume = yield #krate::by_hand::Suspend;
            }
        }
    });

    let output = output.map_or_else(|| quote_spanned!(at=> _), ToTokens::to_token_stream);
    let mut body = Group::new(
        Delimiter::Brace,
        quote_spanned! {at=>
            #yields
            #captures
            // If the block never ends, rustc would report what comes after it as unreachable. An `allow` would not compile in a
            // crate that forbids unreachable code. So as far as rustc knows, there is another way to get a value.
            let value: #output = if true #block else { #krate::__private::never() };
            #krate::by_hand::Outcome::value(value)
        },
    );
    // Only the ends of the closure have the hygiene of the user: otherwise rustc would not name the variables in its errors.
    body.set_span(written);
    let begin = quote_spanned!(written=> static);
    let closure = quote_spanned! {at=>
        #[coroutine]
        #begin move |mut #resume: #krate::by_hand::Resume| -> #krate::by_hand::Outcome<#output> #body
    };
    // The function records the line of its caller. That is `line` if each token of the call is there.
    let krate = in_crate.at(line);
    quote_spanned!(line=> #krate::__private::coro::<#name, _, _>(#closure))
}
