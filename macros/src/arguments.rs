//! The parameters of a function, and how its coroutine comes to own the arguments.
//!
//! In an `async fn` each argument is moved into a local of the body, and so has two places in the frame. Here the
//! closure captures it, and that is its only place. What is captured is dropped first to last, and arguments are to be
//! dropped last to first: so they are captured last to first. (Those of an `async fn` that was never polled are dropped
//! first to last: that is not to be had without the second place.)

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, Ident, Lifetime, ParenthesizedGenericArguments, Pat, PatIdent, Receiver, Signature,
    TraitBound, TypeBareFn, TypeReference,
};

/// What is to be written for the arguments of a function.
#[derive(Default)]
pub struct Arguments {
    /// Before the closure.
    pub before: TokenStream,
    /// In the closure, before the body.
    pub inside: TokenStream,
}

/// Gives each argument a name that the closure can capture. `body` is read to find the unused ones.
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

        // Once something has become a local, so must all that is dropped before it.
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
                Pat::Wild(_) => locals.extend(quote_spanned!(at=> #(#attrs)* let #name = #name;)),
                pat => locals.extend(quote_spanned!(at=> #(#attrs)* let #pat = #name;)),
            }
        }
    }
    arguments.inside.extend(captures.into_iter().rev());
    arguments.inside.extend(locals);
    arguments
}

/// Makes the closure capture all of an argument, also if the body uses a part of it or nothing.
fn capture(attrs: &[Attribute], name: &Ident) -> TokenStream {
    let at = Span::mixed_site().located_at(name.span());
    quote_spanned!(at=> #(#attrs)* #[allow(clippy::used_underscore_binding)] let _ = &#name;)
}

/// To capture an argument is to use it: rustc is shown another variable, of the same name and in the same place, to
/// say what it says of an unused one.
fn warn_if_unused(attrs: &[Attribute], name: &Ident, body: &TokenStream, before: &mut TokenStream) {
    let text = name.unraw().to_string();
    if !text.starts_with('_') && !mentions(body, &text) {
        let at = Span::mixed_site().located_at(name.span());
        before.extend(quote_spanned!(at=> { #(#attrs)* let #name = (); }));
    }
}

/// Whether the name is among the tokens; or in a literal, which may be a format string.
fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Ident(ident) => ident.unraw() == name,
        TokenTree::Literal(literal) => literal.to_string().contains(name),
        TokenTree::Punct(_) => false,
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

/// Whether the pattern moves everything into names; then these are captured, and there is no local for each.
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

/// The written answers to parameters that hold references.
pub fn check(signature: &Signature, errors: &mut Vec<Error>) {
    let mut borrowed = Borrowed { errors, bound: Vec::new() };
    // A visitor that may write needs something of its own to write to; there is no other in use.
    for mut input in signature.inputs.clone() {
        borrowed.visit_fn_arg_mut(&mut input);
    }
}

struct Borrowed<'a> {
    errors: &'a mut Vec<Error>,
    /// The lifetimes of the `for<..>`s around.
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
            let message = "a coroutine outlives the call that makes it, so its arguments cannot hold what is borrowed: \
                           take an owned value, or `'static`";
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

    // The references in the type of a function are those of its calls.
    fn visit_type_bare_fn_mut(&mut self, _: &mut TypeBareFn) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}
