//! What is compared: a workload, and who contends in it.

use serde_json::json;

/// What a contender is, which says what its figures are compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The bare mechanism: what the work costs without a library around it.
    Raw,
    /// Another library, used the way its users would.
    Peer,
    /// Worth seeing, but no peer: it does less than the workload asks for.
    Aside,
    /// tinyield.
    #[cfg(feature = "tinyield")]
    Ours,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::Peer => "peer",
            Kind::Aside => "aside",
            #[cfg(feature = "tinyield")]
            Kind::Ours => "ours",
        }
    }
}

/// What one run of one contender gave: a figure for each of the workload's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Vec<f64>,
    /// What the reader of the figure has to know, as "starves".
    pub note: Option<String>,
}

impl Measured {
    pub fn one(figure: f64) -> Self {
        Self { figures: vec![figure], note: None }
    }

    /// Prints itself, as the last thing that a child does.
    pub fn tell(&self) {
        println!("{}", json!({ "figures": self.figures, "note": self.note }));
    }

    pub fn noted(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }
}

pub struct Contender {
    pub name: &'static str,
    pub kind: Kind,
    /// What its process finds in the environment, for a library that is set up there.
    pub environment: Option<(&'static str, &'static str)>,
    run: Box<dyn Fn() -> Measured>,
}

impl Contender {
    fn new(name: &'static str, kind: Kind, run: impl Fn() -> Measured + 'static) -> Self {
        Self { name, kind, environment: None, run: Box::new(run) }
    }

    pub fn raw(run: impl Fn() -> Measured + 'static) -> Self {
        Self::new("raw", Kind::Raw, run)
    }

    /// A bare mechanism whose name says more than `raw` would.
    pub fn bare(name: &'static str, run: impl Fn() -> Measured + 'static) -> Self {
        Self::new(name, Kind::Raw, run)
    }

    pub fn peer(name: &'static str, run: impl Fn() -> Measured + 'static) -> Self {
        Self::new(name, Kind::Peer, run)
    }

    pub fn aside(name: &'static str, run: impl Fn() -> Measured + 'static) -> Self {
        Self::new(name, Kind::Aside, run)
    }

    #[cfg(feature = "tinyield")]
    pub fn ours(run: impl Fn() -> Measured + 'static) -> Self {
        Self::new("tinyield", Kind::Ours, run)
    }

    /// tinyield once more, used another way.
    #[cfg(feature = "tinyield")]
    pub fn ours_too(name: &'static str, run: impl Fn() -> Measured + 'static) -> Self {
        Self::new(name, Kind::Ours, run)
    }

    pub fn with_environment(self, key: &'static str, value: &'static str) -> Self {
        Self { environment: Some((key, value)), ..self }
    }

    pub fn run(&self) -> Measured {
        (self.run)()
    }
}

pub struct Workload {
    pub name: &'static str,
    /// What is done, in one line.
    pub what: &'static str,
    /// The unit of each figure that a contender gives; less is better for all of them.
    pub units: &'static [&'static str],
    /// Whether its contenders run on one core: a wake-up across cores drowns all that the libraries do.
    pub pinned: bool,
    pub contenders: Vec<Contender>,
}

/// Lists of contenders, as one.
pub fn all<const N: usize>(lists: [Vec<Contender>; N]) -> Vec<Contender> {
    lists.into_iter().flatten().collect()
}
