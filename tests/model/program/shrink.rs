//! Makes programs smaller by one step at a time, to find the smallest one that still shows a difference.
//!
//! The program is made smaller, not its bytes: if one byte were removed, all later bytes would have another meaning.

use super::{Body, Drive, Grouping, Leaf, Limit, Part, Program, Statement, Wait};

impl Program {
    /// All programs that are smaller than this one by one step.
    pub fn smaller(&self) -> impl Iterator<Item = Program> {
        let program = self.clone();
        (0..).map_while(move |place| {
            let mut smaller = program.clone();
            let mut edit = Edit { place };
            edit.program(&mut smaller);
            smaller.number();
            (edit.place == DONE).then_some(smaller)
        })
    }
}

/// Walks through a program, and makes one edit: the one at the place with this number, in the order of the walk.
struct Edit {
    /// The number of places that are still to be passed, or `DONE`.
    place: usize,
}

const DONE: usize = usize::MAX;

impl Edit {
    /// Whether this is the place to edit. Counts the place.
    fn is_here(&mut self) -> bool {
        match self.place {
            DONE => false,
            0 => {
                self.place = DONE;
                true
            }
            _ => {
                self.place -= 1;
                false
            }
        }
    }

    fn program(&mut self, program: &mut Program) {
        self.body(&mut program.main);
        for body in &mut program.shared {
            self.body(body);
        }
        if program.grouping != Grouping::Auto && self.is_here() {
            program.grouping = Grouping::Auto;
        }
        if program.drive != Drive::Step && self.is_here() {
            program.drive = Drive::Step;
        }
        if let Drive::StopAt(at) | Drive::DropAt(at) = &mut program.drive
            && *at > 0
            && self.is_here()
        {
            *at -= 1;
        }
    }

    fn body(&mut self, body: &mut Body) {
        if body.statements.len() > 1 && self.is_here() {
            body.statements.clear();
        }
        let mut index = 0;
        while index < body.statements.len() && self.place != DONE {
            if self.is_here() {
                body.statements.remove(index);
                return;
            }
            let statement = &mut body.statements[index];
            // Replaces the statement by the statements of a coroutine that it would start.
            let count = statement.bodies().len();
            for nth in 0..count {
                if self.is_here() {
                    let inner = std::mem::take(statement.bodies()[nth]);
                    body.statements.splice(index..=index, inner.statements);
                    return;
                }
            }
            self.statement(statement);
            index += 1;
        }
    }

    fn statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Wait { wait, catch } => {
                if *catch && self.is_here() {
                    *catch = false;
                }
                match wait {
                    Wait::One(part) => self.part(part),
                    Wait::All(parts) => {
                        for index in 0..parts.len() {
                            if self.is_here() {
                                parts.remove(index);
                                return;
                            }
                        }
                        for (part, catch) in parts.iter_mut() {
                            if *catch && self.is_here() {
                                *catch = false;
                            }
                            self.part(part);
                        }
                        if let [(part, _)] = &parts[..]
                            && self.is_here()
                        {
                            *wait = Wait::One(part.clone());
                        }
                    }
                    Wait::Shield(body) => {
                        if self.is_here() {
                            *wait = Wait::One(Part::Run(std::mem::take(body)));
                            return;
                        }
                        self.body(body);
                    }
                    Wait::ShieldLeaf(leaf) => {
                        if self.is_here() {
                            *wait = Wait::One(Part::Leaf(*leaf));
                            return;
                        }
                        self.leaf(leaf);
                    }
                }
            }
            Statement::Spawn(body) | Statement::Open(body) => self.body(body),
            Statement::RaceNext { limit, .. } => self.limit(limit),
            Statement::Swallow(times) if *times > 2 && self.is_here() => *times = 2,
            _ => {}
        }
    }

    fn part(&mut self, part: &mut Part) {
        if *part != Part::Turn && self.is_here() {
            *part = Part::Turn;
            return;
        }
        match part {
            Part::Run(body) => self.body(body),
            Part::Leaf(leaf) => self.leaf(leaf),
            Part::Timeout(body, _)
            | Part::Isolate(body, _)
            | Part::Contain(body)
            | Part::Abortable(body)
            | Part::Shield(body)
                if self.is_here() =>
            {
                *part = Part::Run(std::mem::take(body));
            }
            Part::Timeout(body, limit) => {
                self.body(body);
                self.limit(limit);
            }
            Part::Isolate(body, grouping) => {
                self.body(body);
                if *grouping != Grouping::Auto && self.is_here() {
                    *grouping = Grouping::Auto;
                }
            }
            Part::Finally(bodies) => {
                if self.is_here() {
                    let [work, _] = std::mem::take(&mut **bodies);
                    *part = Part::Run(work);
                    return;
                }
                bodies.iter_mut().for_each(|body| self.body(body));
            }
            Part::Bracket(bodies) => {
                if self.is_here() {
                    let [_, work, close] = std::mem::take(&mut **bodies);
                    *part = Part::Finally(Box::new([work, close]));
                    return;
                }
                bodies.iter_mut().for_each(|body| self.body(body));
            }
            Part::Contain(body) | Part::Abortable(body) | Part::Shield(body) => self.body(body),
            Part::TimeoutLeaf(leaf, limit) => {
                self.leaf(leaf);
                self.limit(limit);
            }
            Part::Race(bodies) => {
                for index in 0..bodies.len() {
                    if bodies.len() > 1 && self.is_here() {
                        bodies.remove(index);
                        return;
                    }
                }
                for body in bodies {
                    self.body(body);
                }
            }
            _ => {}
        }
    }

    fn leaf(&mut self, leaf: &mut Leaf) {
        match leaf {
            Leaf::EventTimeout(event, _) if self.is_here() => *leaf = Leaf::Event(*event),
            Leaf::EventTimeout(_, limit) | Leaf::Sleep(limit) => self.limit(limit),
            Leaf::Event(_) => {}
        }
    }

    fn limit(&mut self, limit: &mut Limit) {
        if matches!(limit, Limit::Ticks(_)) && self.is_here() {
            *limit = Limit::Zero;
        }
        if let Limit::Ticks(ticks) = limit
            && *ticks > 1
            && self.is_here()
        {
            *ticks -= 1;
        }
    }
}
