//! Stores, opened when first asked for.

use hexmem_ports::Result;

use crate::Settings;

/// The stores of one configuration.
#[derive(Debug)]
pub struct Stores {
    settings: Settings,
}

impl Stores {
    /// Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Graphs.
    pub async fn graph(&self) -> Result<()> {
        Ok(())
    }
}
