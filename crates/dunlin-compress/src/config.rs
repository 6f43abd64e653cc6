//! [`Config`]: the settings of a layer.

use dunlin_http::negotiate::Coding;

use crate::{Error, Types};

/// The settings of a [`CompressLayer`](crate::CompressLayer). The default suits most services.
#[derive(Clone, Debug)]
pub struct Config {
    /// The offered codings. Among those to which the client gives the greatest weight, the first is
    /// used. Default: zstd, br, gzip.
    pub prefer: Vec<Coding>,
    /// The levels while a client waits for the response. Default: gzip 6, br 5, zstd 3.
    pub level: Levels,
    /// The levels in the background, for a body that is requested often; see
    /// [`BodyId`](dunlin_http::BodyId). Default: gzip 9, br 10, zstd 15.
    pub kept_level: Levels,
    /// The shortest content that is encoded, in bytes. Content of unknown length is encoded too.
    /// Default: 256.
    pub min_size: u64,
    /// The media types to encode. Default: [`Types::default`].
    pub types: Types,
    /// The limit of the memory for kept encodings, in bytes, including their index and header
    /// lines. Zero keeps none. Default: 64 MiB.
    pub store: u64,
    /// The limit of threads that encode large bodies off the event loop. They start when they are
    /// needed. With zero, the event loop encodes everything, in slices. Default: half of the cores,
    /// at least one and at most four.
    pub threads: usize,
}

/// A level for each coding, in the coding's own scale.
///
/// For gzip, the scale is that of zlib. libdeflate encodes content that is complete in memory, at a
/// level with about the same size. At levels 3 to 6, content of up to 16 KiB that is sent once gets
/// about 5 % larger, in a quarter of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Levels {
    /// 1 to 9.
    pub gzip: u8,
    /// 0 to 11.
    pub br: u8,
    /// 1 to 19. Higher levels need windows that browsers refuse (RFC 9659).
    pub zstd: u8,
}

// === impl Config ===

impl Config {
    pub(crate) fn validate(&self) -> Result<(), Error> {
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

    fn validate(self) -> Result<(), Error> {
        for coding in Coding::ALL {
            let (min, max) = match coding {
                Coding::Zstd => (1, 19),
                Coding::Brotli => (0, 11),
                Coding::Gzip => (1, 9),
            };
            let level = self.of(coding);
            if !(min..=max).contains(&level) {
                return Err(Error::Level { coding, level, min, max });
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
