//! Workloads, and the contenders that run them.

use serde_json::json;

/// The kind of a contender. Figures are compared with those of the raw contender and of the peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The bare mechanism: the cost of the work without a library.
    Raw,
    /// Another library, used as its users would use it.
    Peer,
    /// Shown for information, but not a peer, because it does less than the workload requires.
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

/// The result of one run of one contender: a figure for each unit of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Vec<f64>,
    /// A remark for the reader, such as "unfair".
    pub note: Option<String>,
}

impl Measured {
    pub fn one(figure: f64) -> Self {
        Self { figures: vec![figure], note: None }
    }

    /// Prints the result as the last line of a child.
    pub fn print(&self) {
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
    /// A variable for the environment of its process, for libraries that are configured there.
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

    /// A bare mechanism with a name of its own.
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

    /// tinyield, used in another way.
    #[cfg(feature = "tinyield")]
    pub fn ours_variant(name: &'static str, run: impl Fn() -> Measured + 'static) -> Self {
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
    /// A description in one line.
    pub what: &'static str,
    /// The unit of each figure of a contender. Lower is better for all of them.
    pub units: &'static [&'static str],
    /// Whether contenders run on one core. Wake-ups across cores take longer than all work of the libraries, and would hide it.
    pub pinned: bool,
    pub contenders: Vec<Contender>,
}

/// Joins lists of contenders.
pub fn all<const N: usize>(lists: [Vec<Contender>; N]) -> Vec<Contender> {
    lists.into_iter().flatten().collect()
}
