//! Languages with a stemmer.

use std::fmt;
use std::str::FromStr;

use hexmem_ports::{Error, Result};
use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};

macro_rules! languages {
    ($($variant:ident $name:literal)*) => {
        /// The language that words are stemmed in (Snowball), or `none`.
        ///
        /// It decides nothing about scripts: CJK text is handled in each of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Language {
            /// No stemming and no stop words: words are compared as they are.
            None,
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Language {
            /// Every language, `none` first.
            pub const ALL: &'static [Self] = &[Self::None, $(Self::$variant,)*];

            /// The name in configuration files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    Self::None => "none",
                    $(Self::$variant => $name,)*
                }
            }

            pub(super) fn stemmer(self) -> Option<Stemmer> {
                match self {
                    Self::None => None,
                    $(Self::$variant => Some(Stemmer::create(Algorithm::$variant)),)*
                }
            }
        }
    };
}

languages! {
    Arabic "arabic" Danish "danish" Dutch "dutch" English "english" Finnish "finnish"
    French "french" German "german" Greek "greek" Hungarian "hungarian" Italian "italian"
    Norwegian "norwegian" Portuguese "portuguese" Romanian "romanian" Russian "russian"
    Spanish "spanish" Swedish "swedish" Tamil "tamil" Turkish "turkish"
}

impl Language {
    /// English writes `don't` as one word and its stemmer takes `'s` away; elsewhere an apostrophe
    /// joins two words (`l'homme`).
    pub(super) fn keeps_apostrophes(self) -> bool {
        self == Self::English
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Language {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|language| language.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|language| language.name()).collect();
            Error::invalid(
                "rag.analyse",
                format!("no language {name:?}; known: {}", known.join(", ")),
            )
        })
    }
}
