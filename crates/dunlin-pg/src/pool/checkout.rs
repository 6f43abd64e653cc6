//! The deadpool pools of dedicated connections.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};

use crate::database::Database;
use crate::open_connections::DedicatedConnector;
use crate::query::Access;

/// Makes a pool that is bounded by the process's budget. An idle connection is checked before it is
/// used again, and closed at the end of its lifetime.
pub(super) fn deadpool(database: &Database, access: Access) -> Pool {
    let config = &database.0.config;
    let connector = database.connector(access).clone();
    let pg = connector.target().pg.clone();
    let connect = DedicatedConnector { connector, open: database.0.open.clone() };
    let manager = Manager::from_connect(pg, connect, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let (lifetime, validate_after, limit) = (config.max_lifetime, config.validate_after, config.connect_timeout);
    let pool = Pool::builder(manager)
        .max_size(config.pool_size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(config.acquire_timeout), create: Some(limit), recycle: Some(limit) })
        .pre_recycle(Hook::async_fn(move |client, metrics| {
            Box::pin(async move {
                let address = Arc::as_ptr(&client.statement_cache).addr();
                if lifetime > Duration::ZERO && metrics.age() > lifetime.mul_f64(0.9 + spread(address) / 5.0) {
                    return Err(HookError::message("the lifetime of the connection is over"));
                }
                if metrics.last_used() < validate_after {
                    return Ok(());
                }
                client.simple_query("").await.map(drop).map_err(HookError::Backend)
            })
        }))
        .build();
    // It fails only if there are timeouts without a runtime.
    let pool = pool.unwrap_or_else(|_| unreachable!("a pool with timeouts has its runtime"));
    let weak = pool.weak();
    let evict = move |close: bool| {
        let pool = weak.upgrade()?;
        let mut left = usize::from(close);
        let removed = pool.retain(|_, _| left.checked_sub(1).map(|less| left = less).is_none());
        Some(!removed.removed.is_empty())
    };
    database.0.open.add(Box::new(evict));
    pool
}

/// A number from 0 to 1 that is always the same for one connection.
fn spread(address: usize) -> f64 {
    (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn lifetimes_spread() {
        let all: Vec<f64> = (0..100).map(|i| super::spread(0x7f00_0000 + i * 64)).collect();
        assert!(all.iter().all(|part| (0.0..=1.0).contains(part)));
        assert!(all.iter().any(|part| *part < 0.2) && all.iter().any(|part| *part > 0.8));
    }
}
