//! What a layer is configured with.

use dunlin_http::negotiate::Coding;

use crate::Types;

/// How a [`CompressLayer`](crate::CompressLayer) works. The default suits most services.
#[derive(Clone, Debug)]
pub struct Config {
    /// The codings on offer. Among those that the client likes best, the first is taken. Default:
    /// zstd, br, gzip.
    pub prefer: Vec<Coding>,
    /// How hard to try when an answer is waited for. Default: gzip 6, br 5, zstd 3.
    pub level: Levels,
    /// How hard to try, in the background, with a body that is asked for again and again; see
    /// [`BodyId`](dunlin_http::BodyId). Default: gzip 9, br 10, zstd 15.
    pub kept_level: Levels,
    /// Content that is known to be shorter than this many bytes is left as it is. Default: 256.
    pub min_size: u64,
    /// The media types worth encoding. Default: [`Types::default`].
    pub types: Types,
    /// How many bytes of encodings to keep, what is kept about them included; 0 keeps none.
    /// Default: 64 MiB.
    pub store: u64,
    /// The most threads that encode large bodies off the event loop. They start when first needed;
    /// 0 does everything on the loop, in slices. Default: half of the cores, at least one and at
    /// most four.
    pub threads: usize,
}

/// A level for each coding, in the coding's own scale.
///
/// For gzip that is zlib's. Content that is complete in memory is encoded by libdeflate, at the
/// level that comes to about the same size; up to 16 KiB that are sent once, at levels from 3 to 6,
/// to one about five hundredths larger, in a quarter of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Levels {
    /// 1 to 9.
    pub gzip: u8,
    /// 0 to 11.
    pub br: u8,
    /// 1 to 19. Higher levels need windows that browsers refuse (RFC 9659).
    pub zstd: u8,
}

/// Why a [`Config`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A level outside its scale.
    #[error("level {level} of {coding}: it goes from {min} to {max}")]
    Level {
        /// The coding.
        coding: Coding,
        /// What was asked for.
        level: u8,
        /// The least there is.
        min: u8,
        /// The most there is.
        max: u8,
    },
}

// === impl Config ===

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.level.validate()?;
        self.kept_level.validate()
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            prefer: Coding::ALL.to_vec(),
            level: Levels::default(),
            kept_level: Levels { gzip: 9, br: 10, zstd: 15 },
            min_size: 256,
            types: Types::default(),
            store: 64 << 20,
            threads: (cores / 2).clamp(1, 4),
        }
    }
}

// === impl Levels ===

impl Levels {
    pub(crate) const fn of(self, coding: Coding) -> u8 {
        match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.br,
            Coding::Gzip => self.gzip,
        }
    }

    fn validate(self) -> Result<(), ConfigError> {
        for coding in Coding::ALL {
            let (min, max) = match coding {
                Coding::Zstd => (1, 19),
                Coding::Brotli => (0, 11),
                Coding::Gzip => (1, 9),
            };
            let level = self.of(coding);
            if !(min..=max).contains(&level) {
                return Err(ConfigError::Level { coding, level, min, max });
            }
        }
        Ok(())
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: 6, br: 5, zstd: 3 }
    }
}
