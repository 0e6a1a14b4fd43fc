//! `#[coro]`: reads the signature of a function, and reports errors in it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::VisitMut;
use syn::{
    AttrStyle, Attribute, Block, Error, GenericArgument, PathArguments, ReturnType, Signature, Token, Type,
    TypeImplTrait, Visibility, braced,
};

use crate::krate::Crate;
use crate::struct_literal::Repaired;
use crate::{arguments, closure, no_result, struct_literal, tokens};

/// A function, with or without a body.
struct Function {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    block: Option<Block>,
}

impl Parse for Function {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let starts_function = input.peek(Token![fn])
            || input.peek(Token![const])
            || input.peek(Token![async])
            || input.peek(Token![unsafe])
            || input.peek(Token![extern]);
        if !starts_function {
            return Err(input.error("`#[coro]` goes on a function: `#[coro] fn name(..) -> Coro<T> { .. }`"));
        }
        let sig = input.parse()?;
        if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            return Ok(Self { attrs, vis, sig, block: None });
        }
        let body;
        let brace_token = braced!(body in input);
        for mut attr in body.call(Attribute::parse_inner)? {
            attr.style = AttrStyle::Outer;
            attrs.push(attr);
        }
        let block = Some(Block { brace_token, stmts: body.call(Block::parse_within)? });
        Ok(Self { attrs, vis, sig, block })
    }
}

/// Expands `#[coro(attribute)] function`.
pub fn expand(attribute: &TokenStream, function: &TokenStream) -> TokenStream {
    match syn::parse2::<Function>(tokens::prepare(function.clone())) {
        Ok(function) => tokens::unmark(expand_function(attribute, function)),
        Err(error) => {
            // rustc has already reported the syntax error, but its message does not help.
            if let Some(Repaired { tokens, errors }) = struct_literal::repair(function.clone()) {
                let function = syn::parse2::<Function>(tokens::prepare(tokens));
                let function = function.map(|function| tokens::unmark(expand_function(attribute, function)));
                let function = function.unwrap_or_default();
                return quote!(#errors #function);
            }
            // The function stays in the expansion, so that editors can still resolve its tokens.
            let error = error.into_compile_error();
            quote!(#error #function)
        }
    }
}

fn expand_function(attribute: &TokenStream, function: Function) -> TokenStream {
    let Function { attrs, vis, mut sig, block } = function;

    let mut errors = Vec::new();
    let krate = if attribute.is_empty() {
        Crate::find()
    } else {
        syn::parse2(attribute.clone()).unwrap_or_else(|_| {
            errors.push(Error::new_spanned(
                attribute,
                "`#[coro]` takes no arguments except `crate = path`: \
                 to give the coroutine another name, call `.named(\"..\")` where it is made",
            ));
            Crate::find()
        })
    };
    check_qualifiers(&sig, &mut errors);
    check_instrument(&attrs, &sig, block.as_ref(), &mut errors);
    arguments::check(&sig, &mut errors);
    let output = match output(&sig) {
        Ok(output) => Some(output.clone()),
        Err(error) => {
            errors.push(error);
            None
        }
    };
    if block.is_none() {
        errors.push(Error::new_spanned(
            &sig.ident,
            "`#[coro]` needs a function with a body: remove it here, and put it on the functions that implement this one",
        ));
    }
    let (Some(mut output), Some(mut block), []) = (output, block, &*errors) else {
        return report(errors, &attrs, &vis, &sig);
    };

    let at = Span::mixed_site().located_at(block.brace_token.span.join());
    let name = sig.ident.unraw().to_string();
    let arguments::Arguments { before, inside } = arguments::take(&mut sig, &block);
    if no_result::is_never_result(&output) {
        no_result::report(&mut block);
    }
    // The body cannot name a type with `impl Trait`, so this type is inferred there.
    let output = if HasImpl::find_in(&mut output) { None } else { Some(&output) };
    let coroutine = closure::make(&krate, &quote_spanned!(at=> __Function), sig.ident.span(), output, &inside, block);
    let krate = krate.at(at);

    quote_spanned! {at=>
        #(#attrs)*
        #vis #sig {
            enum __Function {}
            impl #krate::__private::TaskName for __Function {
                const NAME: &'static ::core::primitive::str = #name;
            }
            #before
            #coroutine
        }
    }
}

/// Reports the errors. The function stays, without its body, so that its callers compile.
fn report(errors: Vec<Error>, attrs: &[Attribute], vis: &Visibility, sig: &Signature) -> TokenStream {
    let errors = errors.into_iter().map(Error::into_compile_error);
    quote! {
        #(#errors)*
        #(#attrs)*
        #[allow(warnings)]
        #vis #sig {
            ::core::unimplemented!()
        }
    }
}

fn check_qualifiers(sig: &Signature, errors: &mut Vec<Error>) {
    if let Some(keyword) = &sig.asyncness {
        errors.push(Error::new_spanned(
            keyword,
            "a `#[coro]` function is not an `async fn`: remove `async`; `.await` works in its body without it",
        ));
    }
    if let Some(keyword) = &sig.constness {
        errors.push(Error::new_spanned(keyword, "a `#[coro]` function cannot be a `const fn`: remove `const`"));
    }
}

/// `#[instrument]` of the crate `tracing` enters its span where the function begins and leaves it where the function ends. If
/// the attribute is below `#[coro]`, the span would be open only while the coroutine is made. If it is above `#[coro]`,
/// `#[instrument]` has already put a guard of the span into the body, and the guard would live across the `yield`s.
fn check_instrument(attrs: &[Attribute], sig: &Signature, block: Option<&Block>, errors: &mut Vec<Error>) {
    let message = "`#[instrument]` does not work on a `#[coro]` function, because other coroutines run while this one waits: \
                   use `coro.in_span(span)` of the feature `tracing`, which leaves the span while the coroutine waits";
    let is_instrument = |attr: &&Attribute| attr.path().segments.last().is_some_and(|last| last.ident == "instrument");
    if let Some(attr) = attrs.iter().find(is_instrument) {
        errors.push(Error::new_spanned(attr, message));
    } else if block.is_some_and(|block| tokens::any(block.to_token_stream(), &is_guard)) {
        errors.push(Error::new_spanned(&sig.ident, message));
    }
}

/// Whether the token is a variable that `#[instrument]` adds to a body.
fn is_guard(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(name) if name.to_string().starts_with("__tracing_attr_"))
}

/// Returns the `T` of `-> Coro<T>`, or an error with the right return type.
fn output(sig: &Signature) -> syn::Result<&Type> {
    let ReturnType::Type(_, written) = &sig.output else {
        return Err(Error::new_spanned(&sig.ident, "a `#[coro]` function returns a `Coro`: write `-> Coro<()>`"));
    };
    let mut output = &**written;
    while let Type::Group(syn::TypeGroup { elem, .. }) | Type::Paren(syn::TypeParen { elem, .. }) = output {
        output = elem;
    }
    let last = match output {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    };
    let message = match last {
        Some(last) if last.ident == "Coro" => match argument(&last.arguments, 1) {
            Some(output) => return Ok(output),
            None => "`Coro` needs the type of its value: write `-> Coro<()>` if there is none".to_owned(),
        },
        Some(last)
            if last.ident == "Result"
                && let Some(value) = argument(&last.arguments, 2) =>
        {
            let value = tokens::text(value.to_token_stream());
            format!("a `#[coro]` function returns a `Coro`: write `-> Coro<{value}>`; `?` raises errors of any type")
        }
        _ => {
            let value = tokens::text(output.to_token_stream());
            format!(
                "a `#[coro]` function returns a `Coro`: write `-> Coro<{value}>`; if this type is an alias of a `Coro`, \
                 write the `Coro` instead of the alias"
            )
        }
    };
    Err(Error::new_spanned(output, message))
}

/// The first generic argument, if it is a type and there are at most `max` arguments.
fn argument(arguments: &PathArguments, max: usize) -> Option<&Type> {
    match arguments {
        PathArguments::AngleBracketed(arguments) if arguments.args.len() <= max => match arguments.args.first() {
            Some(GenericArgument::Type(argument)) => Some(argument),
            _ => None,
        },
        _ => None,
    }
}

/// Finds an `impl Trait` in a type.
struct HasImpl(bool);

impl HasImpl {
    fn find_in(ty: &mut Type) -> bool {
        let mut has = Self(false);
        has.visit_type_mut(ty);
        has.0
    }
}

impl VisitMut for HasImpl {
    fn visit_type_impl_trait_mut(&mut self, _: &mut TypeImplTrait) {
        self.0 = true;
    }
}
