//! The hosts of a target, each with a configuration of its own.
//!
//! The client library tries several hosts one after the other. A machine that hangs accepts
//! connections and does not answer, so that it would use up the time of all hosts. Here each host
//! is tried by itself.

use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};

use crate::target::{ServerKind, Target};

/// The session attributes that a host may have, in the order in which all hosts are tried.
pub(crate) const fn accepted(kind: ServerKind) -> &'static [TargetSessionAttrs] {
    match kind {
        ServerKind::Any => &[TargetSessionAttrs::Any],
        ServerKind::ReadWrite | ServerKind::Primary => &[TargetSessionAttrs::ReadWrite],
        ServerKind::ReadOnly | ServerKind::Standby => &[TargetSessionAttrs::ReadOnly],
        ServerKind::PreferStandby => &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any],
    }
}

/// The target's hosts, in its order. `direct` is `true` if there is no pooler.
pub(crate) fn of(target: &Target, direct: bool) -> Vec<tokio_postgres::Config> {
    // A server with read-only transactions counts as a standby, so a primary must not have them as
    // its default. A pooler may refuse options.
    let by_recovery = matches!(target.server, ServerKind::Primary | ServerKind::Standby | ServerKind::PreferStandby);
    let option = (by_recovery && direct).then_some("-c default_transaction_read_only=off");
    (0..target.pg.get_hosts().len()).map(|at| one(&target.pg, at, option)).collect()
}

/// The order in which hosts are tried: their own, unless the URL asks for a random one.
pub(crate) fn order(hosts: &[tokio_postgres::Config]) -> Vec<&tokio_postgres::Config> {
    let mut order: Vec<_> = hosts.iter().collect();
    if order.first().is_some_and(|host| host.get_load_balance_hosts() == LoadBalanceHosts::Random) {
        fastrand::shuffle(&mut order);
    }
    order
}

fn one(all: &tokio_postgres::Config, at: usize, option: Option<&str>) -> tokio_postgres::Config {
    let mut one = tokio_postgres::Config::new();
    match all.get_hosts().get(at) {
        Some(Host::Tcp(name)) => drop(one.host(name.as_str())),
        Some(Host::Unix(folder)) => drop(one.host_path(folder)),
        None => {}
    }
    if let Some(&addr) = all.get_hostaddrs().get(at) {
        one.hostaddr(addr);
    }
    // One port is for all hosts.
    if let Some(&port) = all.get_ports().get(at).or(all.get_ports().first()) {
        one.port(port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    let options: Vec<_> = all.get_options().into_iter().chain(option).collect();
    if !options.is_empty() {
        one.options(options.join(" "));
    }
    if let Some(&timeout) = all.get_connect_timeout() {
        one.connect_timeout(timeout);
    }
    if let Some(&timeout) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(timeout);
    }
    one.keepalives(all.get_keepalives()).keepalives_idle(all.get_keepalives_idle());
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding()).target_session_attrs(all.get_target_session_attrs());
    one.load_balance_hosts(all.get_load_balance_hosts());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_every_option() {
        let url = "postgres://u:p@h:1/d?hostaddr=10.0.0.1&options=-c%20a%3Db&application_name=x&connect_timeout=1&tcp_user_timeout=2\
                   &keepalives=0&keepalives_idle=3&keepalives_interval=4&keepalives_retries=5&channel_binding=require\
                   &load_balance_hosts=random&sslnegotiation=direct";
        let target = Target::parse(url).unwrap();
        assert_eq!(of(&target, true), std::slice::from_ref(&target.pg));
    }

    #[test]
    fn each_host_has_what_is_its_own() {
        let target =
            Target::parse("host=a,/run/x hostaddr=10.0.0.1,10.0.0.2 port=1 target_session_attrs=standby").unwrap();
        let [a, b] = <[_; 2]>::try_from(of(&target, true)).unwrap();
        assert_eq!((a.get_hosts(), a.get_ports()), (&[Host::Tcp("a".into())][..], &[1][..]));
        assert_eq!((b.get_hosts(), b.get_ports()), (&[Host::Unix("/run/x".into())][..], &[1][..]));
        assert_eq!(b.get_hostaddrs(), [std::net::IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(a.get_options(), Some("-c default_transaction_read_only=off"));
        assert_eq!(of(&target, false)[0].get_options(), None);
    }
}
