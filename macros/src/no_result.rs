//! Error messages for `Ok(value)` and `return Err(error)` in a coroutine whose value is not a `Result`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprCall, ExprClosure, Item, Macro, Stmt, Type};

/// Names of types of the standard library. No program is expected to give one of these names to an alias of a `Result`.
const KNOWN: [&str; 34] = [
    "Arc",
    "Box",
    "BTreeMap",
    "BTreeSet",
    "Bytes",
    "Duration",
    "HashMap",
    "HashSet",
    "Instant",
    "Option",
    "PathBuf",
    "Rc",
    "RefCell",
    "String",
    "SystemTime",
    "Vec",
    "VecDeque",
    "bool",
    "char",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

/// Whether it is certain that the type is neither a `Result` nor an alias of a `Result`.
pub fn is_never_result(output: &Type) -> bool {
    match output {
        Type::Tuple(_) | Type::Array(_) | Type::Slice(_) | Type::Reference(_) | Type::Ptr(_) | Type::BareFn(_) => true,
        Type::Group(group) => is_never_result(&group.elem),
        Type::Paren(paren) => is_never_result(&paren.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| KNOWN.iter().any(|name| last.ident == name)),
        _ => false,
    }
}

/// Puts an error into each `Ok` and `Err` that is the last expression, or the operand of `return`.
pub fn report(body: &mut Block) {
    Returns.visit_block_mut(body);
    report_in_block(body);
}

fn report_in_block(block: &mut Block) {
    if let Some(Stmt::Expr(last, None)) = block.stmts.last_mut() {
        report_in_value(last);
    }
}

fn report_in_value(value: &mut Expr) {
    match value {
        Expr::Block(block) => report_in_block(&mut block.block),
        Expr::Unsafe(block) => report_in_block(&mut block.block),
        Expr::Paren(paren) => report_in_value(&mut paren.expr),
        Expr::Group(group) => report_in_value(&mut group.expr),
        Expr::If(branches) => {
            report_in_block(&mut branches.then_branch);
            if let Some((_, other)) = &mut branches.else_branch {
                report_in_value(other);
            }
        }
        Expr::Match(choice) => choice.arms.iter_mut().for_each(|arm| report_in_value(&mut arm.body)),
        Expr::Call(call) if let Some(corrected) = correct(call) => *value = Expr::Verbatim(corrected),
        _ => {}
    }
}

/// Code that reports the error. It also has the corrected expression, so that rustc can find other errors in it.
fn correct(call: &ExprCall) -> Option<TokenStream> {
    let Expr::Path(function) = &*call.func else { return None };
    let mut segments = function.path.segments.iter().rev();
    let variant = segments.next()?;
    let is_of_result = segments.next().is_none_or(|before| before.ident == "Result");
    if !is_of_result || call.args.len() != 1 {
        return None;
    }
    let argument = &call.args[0];
    let (message, meant) = if variant.ident == "Ok" {
        (
            "the last expression, or the operand of `return`, is the value itself: write it without `Ok`",
            argument.to_token_stream(),
        )
    } else if variant.ident == "Err" {
        ("an error is raised by `?`: write `Err(error)?`", quote!(#call?))
    } else {
        return None;
    };
    let at = call.span();
    let error = quote_spanned!(at=> ::core::compile_error!(#message););
    Some(quote!({ #error #meant }))
}

/// Visits each `return` that belongs to the coroutine itself, and not to a closure or an item in it.
struct Returns;

impl VisitMut for Returns {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) => return,
            _ => visit_mut::visit_expr_mut(self, expr),
        }
        if let Expr::Return(end) = expr
            && let Some(value) = &mut end.expr
        {
            report_in_value(value);
        }
    }

    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}
    fn visit_item_mut(&mut self, _: &mut Item) {}
    fn visit_macro_mut(&mut self, _: &mut Macro) {}
}
