//! Error messages for code that does not mean what it seems to mean: `yield a + b`, `yield a?`, `futures::join!`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprTry, Macro, Type};

use crate::krate::Crate;

/// Crates whose macros contain an `.await`. So these macros work only in an `async` block.
const ASYNC_CRATES: [&str; 7] =
    ["async_std", "futures", "futures_lite", "futures_micro", "futures_util", "smol", "tokio"];

/// The error for a `yield operand` whose operand is a binary operation or a cast to a number. Most probably, the user wanted to
/// yield only the left side.
pub fn error_for_operand(operand: &Expr) -> Option<TokenStream> {
    let (at, operator, example) = match operand {
        Expr::Binary(binary) => {
            let operator = binary.op.to_token_stream().to_string();
            (binary.op.span(), operator.clone(), format!("(yield a) {operator} b"))
        }
        Expr::Cast(cast) if is_number(&cast.ty) => (cast.as_token.span, "as".to_string(), "(yield a) as T".to_string()),
        _ => return None,
    };
    let message = format!(
        "`yield` applies to the whole expression after it, so this yields the result of `{operator}`: write `{example}` to use the \
         output of the wait; to yield that result, put the whole expression in parentheses"
    );
    Some(quote_spanned!(at=> ::core::compile_error!(#message)))
}

fn is_number(ty: &Type) -> bool {
    const NUMBERS: [&str; 14] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"];
    matches!(ty, Type::Path(path) if path.path.get_ident().is_some_and(|name| NUMBERS.iter().any(|number| name == number)))
}

/// `yield a?` means `yield (a?)`. This puts `a` into a call of a function. If `a` is a wait, rustc reports that `a` does not
/// implement a trait of `tinyield`, with the message of that trait.
pub fn check_question(krate: &Crate, raise: &mut ExprTry) {
    let operand = &raise.expr;
    let at = operand.span();
    let krate = krate.at(at);
    *raise.expr = Expr::Verbatim(quote_spanned!(at=> #krate::__private::question(#operand)));
}

/// The error for a macro that awaits in place.
pub fn error_for_macro(mac: &Macro, name: &str) -> Option<Macro> {
    let first = mac.path.segments.first()?.ident.to_string();
    if mac.path.segments.len() < 2 || !ASYNC_CRATES.contains(&&*first) {
        return None;
    }
    let advice = match name {
        "join" | "try_join" => "`yield (a, b)` waits for several at once",
        "select" | "select_biased" => "`yield race((a, b))` waits for the first",
        _ => return None,
    };
    let message = format!(
        "`{first}::{name}!` awaits the futures itself, which works only in an `async` block: {advice}; to use the macro, write \
         `async {{ {first}::{name}!(..) }}.await`"
    );
    let at = mac.path.span();
    syn::parse2(quote_spanned!(at=> ::core::compile_error!(#message))).ok()
}
