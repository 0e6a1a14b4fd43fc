//! Gathers: collections and tuples of waits. All parts begin together, and a gather is ready when all its parts are ready.

use super::state::WaitState;
use super::state::private::Sealed;
use super::yieldable::Wait;
use crate::error::{Error, Result};
use crate::scheduler::TaskRef;

/// Calls a macro for each tuple of up to 12 parts, with the arguments and the names of the parts.
macro_rules! for_tuples {
    ($implement:path $(, $argument:tt)*) => {
        $implement!($($argument)* A);
        $implement!($($argument)* A B);
        $implement!($($argument)* A B C);
        $implement!($($argument)* A B C D);
        $implement!($($argument)* A B C D E);
        $implement!($($argument)* A B C D E F);
        $implement!($($argument)* A B C D E F G);
        $implement!($($argument)* A B C D E F G H);
        $implement!($($argument)* A B C D E F G H I);
        $implement!($($argument)* A B C D E F G H I J);
        $implement!($($argument)* A B C D E F G H I J K);
        $implement!($($argument)* A B C D E F G H I J K L);
    };
}

pub(crate) use for_tuples;

/// Implements a trait ([`Wait`] or `Spawnable`) for `()`, and for collections and tuples of types that implement the trait. The
/// `State` of the trait has to be a wait.
macro_rules! for_shapes {
    ($Trait:ident, $Output:ident $(, $Kind:ident)?) => {
        impl $Trait for () {
            type $Output = ();
            type State = ();
            $(type $Kind = $crate::waiting::kind::Work;)?

            #[inline]
            fn into_state(self) {}
        }

        impl<P: $Trait> $Trait for Vec<P> {
            type $Output = Vec<P::$Output>;
            type State = Vec<P::State>;
            $(type $Kind = $crate::waiting::kind::Work;)?

            fn into_state(self) -> Vec<P::State> {
                self.into_iter().map(P::into_state).collect()
            }
        }

        impl<P: $Trait, const N: usize> $Trait for [P; N] {
            type $Output = [P::$Output; N];
            type State = [P::State; N];
            $(type $Kind = $crate::waiting::kind::Work;)?

            fn into_state(self) -> [P::State; N] {
                self.map(P::into_state)
            }
        }

        impl<P: $Trait> $Trait for Option<P> {
            type $Output = Option<P::$Output>;
            type State = Option<P::State>;
            $(type $Kind = $crate::waiting::kind::Work;)?

            fn into_state(self) -> Option<P::State> {
                self.map(P::into_state)
            }
        }

        $crate::waiting::for_tuples!($crate::waiting::for_shapes, tuple, $Trait, $Output, [$($Kind)?]);
    };
    (tuple $Trait:ident $Output:ident [$($Kind:ident)?] $($part:ident)+) => {
        impl<$($part: $Trait),+> $Trait for ($($part,)+) {
            type $Output = ($($part::$Output,)+);
            type State = ($($part::State,)+);
            $(type $Kind = $crate::waiting::kind::Work;)?

            #[allow(non_snake_case)]
            fn into_state(self) -> Self::State {
                let ($($part,)+) = self;
                ($($part.into_state(),)+)
            }
        }
    };
}

pub(crate) use for_shapes;

for_shapes!(Wait, Output, Kind);

/// The methods of [`WaitState`] that are the same for all collections.
macro_rules! methods_of_collections {
    () => {
        const RAISES_LATE: bool = X::RAISES_LATE;
        const SHIELDED: bool = X::SHIELDED;

        fn begin(&mut self, task: &TaskRef) {
            for part in self {
                part.begin(task);
            }
        }

        fn is_ready(&self) -> bool {
            self.iter().all(X::is_ready)
        }

        fn carries_value(&self) -> bool {
            self.iter().any(X::carries_value)
        }

        fn gives_back(&self) -> bool {
            self.iter().all(|part| !part.carries_value() || part.gives_back())
        }

        fn has_value(&self) -> bool {
            self.iter().all(X::has_value)
        }

        fn failure(&self) -> Option<Error> {
            self.iter().find_map(X::failure)
        }

        fn decide_races(&mut self) {
            self.iter_mut().for_each(X::decide_races);
        }
    };
}

/// The error of a part, if the wait [may raise an error late](WaitState::RAISES_LATE). For all other waits, this is `None`.
#[inline(always)]
fn late_failure<X: WaitState>(wait: &X) -> Option<Error> {
    if X::RAISES_LATE { wait.failure() } else { None }
}

impl Sealed for () {}

/// A wait without parts. It lasts until the next round, so each other coroutine that is ready has one turn first.
#[allow(private_interfaces)]
impl WaitState for () {
    type Output = ();

    #[inline]
    fn begin(&mut self, _: &TaskRef) {}

    fn is_ready(&self) -> bool {
        true
    }

    #[inline]
    fn take(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<P> Sealed for Vec<P> {}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Vec<X> {
    type Output = Vec<X::Output>;

    methods_of_collections!();

    fn take(&mut self) -> Result<Vec<X::Output>> {
        if let Some(error) = late_failure(self) {
            return Err(error);
        }
        let mut outputs = Vec::with_capacity(self.len());
        for part in self {
            outputs.push(part.take()?);
        }
        Ok(outputs)
    }
}

impl<P, const N: usize> Sealed for [P; N] {}

#[allow(private_interfaces)]
impl<X: WaitState, const N: usize> WaitState for [X; N] {
    type Output = [X::Output; N];

    methods_of_collections!();

    fn take(&mut self) -> Result<[X::Output; N]> {
        if let Some(error) = late_failure(self) {
            return Err(error);
        }
        let mut error = None;
        let outputs =
            self.each_mut().map(|part| part.take().map_err(|raised| error.get_or_insert(raised).clone()).ok());
        match error {
            None => Ok(outputs.map(|output| output.expect("no part has raised"))),
            Some(error) => Err(error),
        }
    }
}

impl<P> Sealed for Option<P> {}

#[allow(private_interfaces)]
impl<X: WaitState> WaitState for Option<X> {
    type Output = Option<X::Output>;

    methods_of_collections!();

    fn take(&mut self) -> Result<Option<X::Output>> {
        self.as_mut().map(X::take).transpose()
    }
}

macro_rules! tuple {
    ($($part:ident)+) => {
        impl<$($part),+> Sealed for ($($part,)+) {}

        #[allow(private_interfaces, non_snake_case)]
        impl<$($part: WaitState),+> WaitState for ($($part,)+) {
            type Output = ($($part::Output,)+);

            const RAISES_LATE: bool = $($part::RAISES_LATE)||+;
            const SHIELDED: bool = $($part::SHIELDED)&&+;

            fn begin(&mut self, task: &TaskRef) {
                let ($($part,)+) = self;
                $($part.begin(task);)+
            }

            fn is_ready(&self) -> bool {
                let ($($part,)+) = self;
                $($part.is_ready())&&+
            }

            fn carries_value(&self) -> bool {
                let ($($part,)+) = self;
                $($part.carries_value())||+
            }

            fn gives_back(&self) -> bool {
                let ($($part,)+) = self;
                $((!$part.carries_value() || $part.gives_back()))&&+
            }

            fn has_value(&self) -> bool {
                let ($($part,)+) = self;
                $($part.has_value())&&+
            }

            fn failure(&self) -> Option<Error> {
                let ($($part,)+) = self;
                None$(.or_else(|| $part.failure()))+
            }

            fn decide_races(&mut self) {
                let ($($part,)+) = self;
                $($part.decide_races();)+
            }

            fn take(&mut self) -> Result<Self::Output> {
                if let Some(error) = late_failure(self) {
                    return Err(error);
                }
                let ($($part,)+) = self;
                Ok(($($part.take()?,)+))
            }
        }
    };
}

for_tuples!(tuple);
