//! The one `#[coroutine]` closure that a body becomes.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Block, Type};

use crate::body;
use crate::expansion::resume;
use crate::krate::Crate;
use crate::tokens;

/// Makes a coroutine that runs `captures` and then `block`. The type of `block` is `output`. If `output` is `None`, the type is
/// inferred.
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

    // The tokens of the expansion have the hygiene of the macro, because most lints do not check such tokens. Their place is
    // the user's block, so that errors point there.
    let written = block.brace_token.span.join();
    let at = Span::mixed_site().located_at(written);
    let resume = resume();
    let krate = in_crate.at(at);
    block.brace_token = syn::token::Brace(at);

    // rust-analyzer treats a closure without any `yield` as an ordinary closure, even if it has the attribute `#[coroutine]`.
    // So a body without a `yield` gets one that never runs.
    let never_yields = !tokens::any(block.to_token_stream(), &|token| token.to_string() == "yield");
    let yields = never_yields.then(|| {
        quote_spanned! {at=>
            if false {
                // The old value is dropped before the `yield`, so that the frame has no place for it.
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
            // If the block never ends, rustc would report the code after it as unreachable. An `allow` would not compile in a
            // crate that forbids the lint for unreachable code. So there is an `else`, through which rustc can reach this code.
            let value: #output = if true #block else { #krate::__private::never() };
            #krate::by_hand::Outcome::value(value)
        },
    );
    // Only the first token of the closure and the braces of its body have the hygiene of the user. Without this, rustc would
    // not name the variables in its errors.
    body.set_span(written);
    let begin = quote_spanned!(written=> static);
    let closure = quote_spanned! {at=>
        #[coroutine]
        #begin move |mut #resume: #krate::by_hand::Resume| -> #krate::by_hand::Outcome<#output> #body
    };
    // The function `coro` records the line of its caller. Each token of this call has the place `line`, so `coro` records
    // `line`.
    let krate = in_crate.at(line);
    quote_spanned!(line=> #krate::__private::coro::<#name, _, _>(#closure))
}
