//! Dropping an error without recursion.
//!
//! An error may refer to an earlier error: it raises the earlier error again, or adds a context to it. The earlier error may
//! refer to another error, and so on. Such a chain has a link for each nested domain and each context.

use std::sync::Arc;

use super::context::WithContext;
use super::{Cancelled, Inner, Origin, Raised, Reason};

impl Inner {
    /// Takes out the errors that this error refers to. Also drops the user's error, because it may refer to the same errors.
    fn take_links(&mut self) -> Vec<Arc<Inner>> {
        let earlier = self.trace.get_mut().and_then(|trace| trace.earlier.take());
        let mut links: Vec<_> = earlier.into_iter().map(|error| error.0).collect();
        let has_links = match &self.origin {
            Origin::RaisedAgain(_) => true,
            Origin::Raised(raised) => raised.contained.is_some() || raised.error.is::<WithContext>(),
            Origin::Cancelled(_) => false,
        };
        if has_links {
            match std::mem::replace(&mut self.origin, Origin::Cancelled(Cancelled::new(Reason::Dropped))) {
                Origin::Raised(Raised { error, contained, deepest, innermost, .. }) => {
                    links.extend(contained.into_iter().chain(deepest).chain(innermost).map(|error| error.0));
                    match error.downcast::<WithContext>() {
                        Ok(context) => links.push(context.into_error().0),
                        Err(error) => drop(error),
                    }
                }
                Origin::RaisedAgain(original) => links.push(original.0),
                Origin::Cancelled(_) => {}
            }
        }
        links
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Most cancellations never get a trace. Such an error refers to no other error.
        if matches!(self.origin, Origin::Cancelled(_)) && self.trace.get().is_none() {
            return;
        }
        let mut links = self.take_links();
        while let Some(link) = links.pop() {
            if let Some(mut inner) = Arc::into_inner(link) {
                links.append(&mut inner.take_links());
            }
        }
    }
}
