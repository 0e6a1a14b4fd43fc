//! The one `#[coroutine]` closure that a body becomes.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Block, Type};

use crate::body;
use crate::expansion::resume;
use crate::krate::Crate;
use crate::tokens;

/// Makes a coroutine that runs `captures` and then `block`. The type of `block` is `output`, or is inferred if `output` is `None`.
///
/// `name` is the path of a type that has the name of the coroutine. `line` is the place that traces show for the coroutine
/// before its first `yield`.
pub fn make(
    in_crate: &Crate,
    name: &TokenStream,
    line: Span,
    output: Option<&Type>,
    captures: &TokenStream,
    mut block: Block,
) -> TokenStream {
    body::rewrite(in_crate, &mut block);

    // The tokens of the expansion have the hygiene of the macro, for which most lints are silent. Their place is the user's block,
    // so that errors point there.
    let written = block.brace_token.span.join();
    let at = Span::mixed_site().located_at(written);
    let resume = resume();
    let krate = in_crate.at(at);
    block.brace_token = syn::token::Brace(at);

    // rust-analyzer treats a closure without any `yield` as an ordinary one, even if its attribute is `#[coroutine]`.
    let never_yields = !tokens::any(block.to_token_stream(), &|token| token.to_string() == "yield");
    let yields = never_yields.then(|| {
        quote_spanned! {at=>
            if false {
                // This is dropped first, so that the frame has no place for it.
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
            // crate that forbids unreachable code. So the `else` gives rustc another way to the code after the block.
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
    // The function records the line of its caller. Each token of the call has the place `line`, so that the recorded line is
    // `line`.
    let krate = in_crate.at(line);
    quote_spanned!(line=> #krate::__private::coro::<#name, _, _>(#closure))
}
