//! `#[coro]`: the signature of a function, and the answers to what is wrong with it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::VisitMut;
use syn::{
    AttrStyle, Attribute, Block, Error, GenericArgument, PathArguments, ReturnType, Signature, Token, Type,
    TypeImplTrait, Visibility, braced,
};

use crate::{arguments, closure, tokens};

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
    match syn::parse2::<Function>(tokens::mark(function.clone())) {
        Ok(function) => tokens::unmark(expand_function(attribute, function)),
        // The function stays, so that an editor still knows what is in there.
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #function)
        }
    }
}

fn expand_function(attribute: &TokenStream, function: Function) -> TokenStream {
    let Function { attrs, vis, mut sig, block } = function;

    let mut errors = Vec::new();
    if !attribute.is_empty() {
        errors.push(Error::new_spanned(
            attribute,
            "`#[coro]` takes no arguments: give the coroutine another name with `.named(\"..\")` where it is made",
        ));
    }
    check_qualifiers(&sig, &mut errors);
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
            "`#[coro]` needs a body: leave it off here, and put it on the functions that have one",
        ));
    }
    let (Some(mut output), Some(block), []) = (output, block, &*errors) else {
        return answer(errors, &attrs, &vis, &sig);
    };

    let at = Span::mixed_site().located_at(block.brace_token.span.join());
    let name = sig.ident.unraw().to_string();
    let arguments::Arguments { before, inside } = arguments::take(&mut sig, &block);
    // `impl Trait` cannot be written in the body: there it is inferred.
    let output = if HasImpl::find_in(&mut output) { None } else { Some(&output) };
    let coroutine = closure::make(&quote_spanned!(at=> __Function), output, &inside, block);

    quote_spanned! {at=>
        #(#attrs)*
        #vis #sig {
            enum __Function {}
            impl ::tinyield::__private::TaskName for __Function {
                const NAME: &'static ::core::primitive::str = #name;
            }
            #before
            #coroutine
        }
    }
}

/// The errors, and the function without its body: so what calls it has no errors of its own.
fn answer(errors: Vec<Error>, attrs: &[Attribute], vis: &Visibility, sig: &Signature) -> TokenStream {
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
            "a `#[coro]` function is no `async fn`: remove `async`; `.await` works in its body without",
        ));
    }
    if let Some(keyword) = &sig.constness {
        errors.push(Error::new_spanned(keyword, "a coroutine cannot be made in a constant: remove `const`"));
    }
}

/// The `T` of `-> Coro<T>`.
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
            None => "a `Coro` has the type of its value: write `-> Coro<()>` if there is none".to_owned(),
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
                "a `#[coro]` function returns a `Coro`: write `-> Coro<{value}>`; or, if this is another name for one, write what \
                 that stands for"
            )
        }
    };
    Err(Error::new_spanned(output, message))
}

/// The first argument, a type, of at most so many.
fn argument(arguments: &PathArguments, most: usize) -> Option<&Type> {
    match arguments {
        PathArguments::AngleBracketed(arguments) if arguments.args.len() <= most => match arguments.args.first() {
            Some(GenericArgument::Type(argument)) => Some(argument),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for an `impl Trait`.
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
