//! What the user chose to see.

use crate::present::Kind;
use crate::source::Quality;
use std::collections::BTreeSet;

/// What the user chose.
#[derive(Clone, Debug)]
pub struct Look {
    /// What is shown of the picture.
    pub kind: Kind,
    /// How well it is made.
    pub quality: Quality,
    /// Pixels of the window for one of the picture.
    pub resolution: u32,
    /// Whether the last complete picture stays until a new one is complete.
    pub hold_sharp: bool,
    /// Whether the photograph at which one stands is left out of the sources.
    pub leave_out: bool,
    /// Source views that are switched off.
    pub hidden: BTreeSet<usize>,
    /// Whether the help is open.
    pub help: bool,
}

impl Look {
    /// Whether the last complete picture is to stay. Errors are told at one camera, which another's picture does not have.
    pub fn holds(&self) -> bool {
        self.hold_sharp && self.kind != Kind::Error
    }
}

impl Default for Look {
    fn default() -> Self {
        Self {
            kind: Kind::Colour,
            quality: Quality::default(),
            resolution: 1,
            hold_sharp: false,
            leave_out: false,
            hidden: BTreeSet::new(),
            help: false,
        }
    }
}
