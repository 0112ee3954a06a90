//! The settings of the SQLite file, and the handle that they describe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the SQLite file is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteSettings {
    /// The file; by default `hexmem.db` in the data folder.
    pub path: Option<PathBuf>,
    /// How long a write waits for another process, in milliseconds.
    pub busy_timeout_ms: u32,
    /// `full`: an acknowledged write survives a power cut. `normal`: it survives a crash of the program.
    pub synchronous: Synchronous,
    /// How dense vectors are looked for. What is not given has the adapter's default.
    pub dense_index: DenseIndexSettings,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            path: None,
            busy_timeout_ms: 5_000,
            synchronous: Synchronous::Full,
            dense_index: DenseIndexSettings::default(),
        }
    }
}

/// When SQLite waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// At each commit.
    Full,
    /// At checkpoints.
    Normal,
}

/// The index of dense vectors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseIndexSettings {
    /// A collection of more points has an index; up to so many each vector is compared.
    pub from: Option<u32>,
    /// `i8`, `f16` or `f32`: how exactly an index that is made from now on keeps directions. Scores do not depend on it.
    pub precision: Option<DensePrecision>,
    /// How much memory the indexes may take in this process, in MiB.
    pub cache_mib: Option<u32>,
}

/// The numbers of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DensePrecision {
    /// A byte a number.
    I8,
    /// Half precision.
    F16,
    /// Single precision.
    F32,
}

#[cfg(feature = "sqlite")]
mod open {
    use hexmem_adapter_sqlite::{Database, DenseIndex, Precision, SqliteConfig};
    use hexmem_ports::Result;

    use super::{DenseIndexSettings, DensePrecision, SqliteSettings, Synchronous};
    use crate::Stores;

    impl Stores {
        /// The SQLite file.
        pub async fn database(&self) -> Result<&Database> {
            let open = async || {
                self.make_data_folder()?;
                let path = self.settings().sqlite_path();
                let config = self.settings().sqlite.config(path);
                Database::open(config, self.clock()).await
            };
            self.sqlite_cell().get_or_try_init(open).await
        }
    }

    impl SqliteSettings {
        /// As the adapter takes it.
        fn config(&self, path: std::path::PathBuf) -> SqliteConfig {
            SqliteConfig {
                busy_timeout_ms: self.busy_timeout_ms,
                synchronous: match self.synchronous {
                    Synchronous::Full => hexmem_adapter_sqlite::Synchronous::Full,
                    Synchronous::Normal => hexmem_adapter_sqlite::Synchronous::Normal,
                },
                dense_index: self.dense_index.config(),
                ..SqliteConfig::new(path)
            }
        }
    }

    impl DenseIndexSettings {
        fn config(&self) -> DenseIndex {
            let default = DenseIndex::default();
            DenseIndex {
                from: self.from.unwrap_or(default.from),
                precision: match self.precision {
                    Some(DensePrecision::I8) => Precision::I8,
                    Some(DensePrecision::F16) => Precision::F16,
                    Some(DensePrecision::F32) => Precision::F32,
                    None => default.precision,
                },
                cache_mib: self.cache_mib.unwrap_or(default.cache_mib),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use hexmem_ports::ErrorKind;

        use super::*;
        use crate::{Settings, Sources};

        fn stores(folder: &std::path::Path, toml: &str) -> Result<Stores> {
            let toml = Some(("hexmem.toml".into(), toml.into()));
            let data = Some(folder.to_owned());
            Ok(Stores::new(Settings::load(&Sources { toml, data, ..Sources::default() })?))
        }

        #[tokio::test]
        async fn the_index_is_as_the_file_says() {
            let folder = tempfile::tempdir().unwrap();
            let toml = "[sqlite.dense_index]\nfrom = 64\nprecision = 'f16'\n[sqlite]\nsynchronous = 'normal'";
            let given = stores(folder.path(), toml).unwrap();
            let index = given.settings().sqlite.dense_index.config();
            let default = DenseIndex::default();
            assert_eq!(index, DenseIndex { from: 64, precision: Precision::F16, ..default });
            given.database().await.unwrap();
            let error =
                stores(folder.path(), "[sqlite.dense_index]\nprecision = 'i4'").unwrap_err();
            assert!(error.to_string().contains("sqlite.dense_index.precision"), "{error}");
            let few = stores(folder.path(), "[sqlite.dense_index]\nfrom = 3").unwrap();
            let error = few.database().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("dense_index.from is at least 64"), "{error}");
        }
    }
}
