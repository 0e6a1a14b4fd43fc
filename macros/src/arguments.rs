//! The parameters of a function, and how its coroutine takes the arguments.
//!
//! An `async fn` moves each argument into a local variable of the body, so the argument has two places in the frame. Here the
//! closure captures the argument, and the argument has no other place. Captures are dropped first to last, but arguments have
//! to be dropped last to first. So the arguments are captured last to first. (An `async fn` that was never polled drops its
//! arguments first to last. To do the same, this coroutine would need a second place for each argument.)

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, Ident, Lifetime, ParenthesizedGenericArguments, Pat, PatIdent, Receiver, Signature,
    TraitBound, TypeBareFn, TypeReference,
};

use crate::tokens;

/// The code for the arguments of a function.
#[derive(Default)]
pub struct Arguments {
    /// The code before the closure.
    pub before: TokenStream,
    /// The code in the closure, before the body.
    pub inside: TokenStream,
}

/// Gives each argument a name that the closure can capture. Reads `body` to find unused arguments.
pub fn take(signature: &mut Signature, body: &impl ToTokens) -> Arguments {
    let body = body.to_token_stream();
    let mut arguments = Arguments::default();
    let mut captures = Vec::new();
    let mut locals = TokenStream::new();

    for (index, input) in signature.inputs.iter_mut().enumerate() {
        let typed = match input {
            FnArg::Receiver(receiver) => {
                let name = Ident::from(receiver.self_token);
                captures.push(capture(&receiver.attrs, &name));
                continue;
            }
            FnArg::Typed(typed) => typed,
        };
        let attrs = &typed.attrs;
        let at = Span::mixed_site().located_at(typed.colon_token.span);

        // If an argument becomes a local variable, all arguments after it become local variables, too, because they have to be
        // dropped before it.
        if locals.is_empty()
            && let Some(name) = plain(&typed.pat)
        {
            captures.push(capture(attrs, name));
            warn_if_unused(attrs, name, &body, &mut arguments.before);
            continue;
        }
        let name = format_ident!("argument{index}", span = at);
        let pat = std::mem::replace(&mut *typed.pat, plain_pat(name.clone()));
        let mut leaves = Vec::new();
        if locals.is_empty() && all_plain(&pat, &mut leaves) {
            arguments.before.extend(quote_spanned!(at=> #(#attrs)* let #pat = #name;));
            for leaf in leaves {
                captures.push(capture(attrs, leaf));
                warn_if_unused(attrs, leaf, &body, &mut arguments.before);
            }
        } else {
            captures.push(capture(attrs, &name));
            match pat {
                Pat::Wild(_) if locals.is_empty() => {}
                Pat::Wild(_) => locals.extend(local(attrs, &plain_pat(name.clone()), &name, at)),
                pat => locals.extend(local(attrs, &pat, &name, at)),
            }
        }
    }
    arguments.inside.extend(captures.into_iter().rev());
    arguments.inside.extend(locals);
    arguments
}

/// Makes the closure capture the whole argument, even if the body uses only a part of it, or nothing.
fn capture(attrs: &[Attribute], name: &Ident) -> TokenStream {
    let at = Span::mixed_site().located_at(name.span());
    let allow = is_underscored(name).then(|| quote_spanned!(at=> #[allow(clippy::used_underscore_binding)]));
    quote_spanned!(at=> #(#attrs)* #allow let _ = &#name;)
}

/// Moves an argument into a local variable of the body.
fn local(attrs: &[Attribute], pat: &Pat, name: &Ident, at: Span) -> TokenStream {
    let is_silent = plain(pat).is_some_and(is_underscored);
    let allow = is_silent.then(|| quote_spanned!(at=> #[allow(clippy::no_effect_underscore_binding)]));
    quote_spanned!(at=> #(#attrs)* #allow let #pat = #name;)
}

fn is_underscored(name: &Ident) -> bool {
    name.unraw().to_string().starts_with('_')
}

/// To rustc, capturing an argument is a use of it, so rustc would not report an unused argument. This function adds a second
/// variable with the same name and place, which is really unused.
fn warn_if_unused(attrs: &[Attribute], name: &Ident, body: &TokenStream, before: &mut TokenStream) {
    if !is_underscored(name) && !mentions(body, &name.unraw().to_string()) {
        let at = Span::mixed_site().located_at(name.span());
        before.extend(quote_spanned!(at=> { #(#attrs)* let #name = (); }));
    }
}

/// Whether the name is one of the tokens, or is in a literal. The literal may be a format string.
fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens::any(tokens.clone(), &|tree| match tree {
        TokenTree::Ident(ident) => ident.unraw() == name,
        TokenTree::Literal(literal) => literal.to_string().contains(name),
        _ => false,
    })
}

/// The name in the patterns `x` and `mut x`.
fn plain(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(PatIdent { attrs, by_ref: None, subpat: None, ident, .. }) if attrs.is_empty() => Some(ident),
        _ => None,
    }
}

fn plain_pat(ident: Ident) -> Pat {
    Pat::Ident(PatIdent { attrs: Vec::new(), by_ref: None, mutability: None, ident, subpat: None })
}

/// Whether the pattern moves everything into names. If it does, the closure captures these names, and no local variables are
/// needed.
fn all_plain<'a>(pat: &'a Pat, names: &mut Vec<&'a Ident>) -> bool {
    match pat {
        Pat::Ident(_) => plain(pat).map(|name| names.push(name)).is_some(),
        Pat::Paren(paren) => all_plain(&paren.pat, names),
        Pat::Tuple(tuple) => tuple.elems.iter().all(|pat| all_plain(pat, names)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().all(|pat| all_plain(pat, names)),
        Pat::Struct(fields) => {
            fields.rest.is_none()
                && fields.fields.iter().all(|field| field.attrs.is_empty() && all_plain(&field.pat, names))
        }
        _ => false,
    }
}

/// Reports parameters that hold references.
pub fn check(signature: &Signature, errors: &mut Vec<Error>) {
    let mut borrowed = Borrowed { errors, bound: Vec::new() };
    // The visitor takes its input by `&mut`, so it gets a copy.
    for mut input in signature.inputs.clone() {
        borrowed.visit_fn_arg_mut(&mut input);
    }
}

struct Borrowed<'a> {
    errors: &'a mut Vec<Error>,
    /// The lifetimes of the surrounding `for<..>`s.
    bound: Vec<Lifetime>,
}

impl Borrowed<'_> {
    fn is_borrowed(&self, lifetime: Option<&Lifetime>) -> bool {
        lifetime.is_none_or(|lifetime| lifetime.ident != "static" && !self.bound.contains(lifetime))
    }
}

impl VisitMut for Borrowed<'_> {
    fn visit_receiver_mut(&mut self, receiver: &mut Receiver) {
        if receiver.reference.is_some() {
            let message = "a coroutine outlives the call that makes it, so it cannot borrow `self`: \
                           take `self: Rc<Self>`, or `self`";
            self.errors.push(Error::new_spanned(receiver, message));
        } else {
            visit_mut::visit_receiver_mut(self, receiver);
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if self.is_borrowed(reference.lifetime.as_ref()) {
            let message = "a coroutine outlives the call that makes it, so it cannot borrow its arguments: \
                           take an owned value, an `Rc<..>`, or a `&'static` reference";
            self.errors.push(Error::new_spanned(reference, message));
        } else {
            self.visit_type_mut(&mut reference.elem);
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if self.is_borrowed(Some(lifetime)) {
            let message = "a coroutine outlives the call that makes it, so its arguments cannot hold borrowed values: \
                           take an owned value, or use `'static`";
            self.errors.push(Error::new_spanned(lifetime, message));
        }
    }

    fn visit_trait_bound_mut(&mut self, bound: &mut TraitBound) {
        let outer = self.bound.len();
        self.bound.extend(bound.lifetimes.iter().flat_map(|lifetimes| &lifetimes.lifetimes).filter_map(|param| {
            match param {
                syn::GenericParam::Lifetime(param) => Some(param.lifetime.clone()),
                _ => None,
            }
        }));
        self.visit_path_mut(&mut bound.path);
        self.bound.truncate(outer);
    }

    // References in a function type last only for a call of that function, so they are allowed.
    fn visit_type_bare_fn_mut(&mut self, _: &mut TypeBareFn) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}
