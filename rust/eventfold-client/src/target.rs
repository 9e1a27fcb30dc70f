//! Where a server is, in the forms that gRPC's own targets have.

use std::path::PathBuf;

/// The port of a target that names none.
const PORT: u16 = 443;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Host names and addresses with ports, tried in order.
    Hosts(Vec<(String, u16)>),
    /// A socket of Unix.
    Path(PathBuf),
    /// A socket of Linux without a file.
    Abstract(String),
}

/// A server's place, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// What calls name as their host.
    pub(crate) authority: String,
    /// What the server's certificate has to be for.
    pub(crate) server_name: String,
}

impl Target {
    /// Reads `host:port`, `dns:host:port`, `dns://server/host:port`, `ipv4:address:port,..`,
    /// `ipv6:[address]:port,..`, `unix:path`, `unix:///path`, `unix-abstract:name`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let local = |place| {
            let name = "localhost".to_owned();
            Self { place, authority: name.clone(), server_name: name }
        };
        if let Some(name) = text.strip_prefix("unix-abstract:") {
            return Ok(local(Place::Abstract(name.to_owned())));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(local(Place::Path(path.strip_prefix("//").unwrap_or(path).into())));
        }
        let rest = match text.strip_prefix("dns:") {
            // A server of names may be named, and is not asked.
            Some(rest) => rest
                .strip_prefix("//")
                .map_or(rest, |rest| rest.split_once('/').map_or(rest, |(_, host)| host)),
            None => text.strip_prefix("ipv4:").or(text.strip_prefix("ipv6:")).unwrap_or(text),
        };
        let hosts = rest.split(',').map(host).collect::<Option<Vec<_>>>();
        let hosts = hosts.ok_or_else(|| format!("`{text}` is no address of a server"))?;
        let server_name = hosts[0].0.clone();
        let authority = rest.split(',').next().unwrap_or(rest).to_owned();
        Ok(Self { place: Place::Hosts(hosts), authority, server_name })
    }
}

/// Host and port; brackets fall away.
fn host(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        // Two colons without brackets: an address alone.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(PORT), str::parse).ok()?;
    let is_host = !host.is_empty() && !host.contains(|c: char| c == '/' || c.is_whitespace());
    is_host.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<(String, u16)> {
        match Target::parse(text).unwrap().place {
            Place::Hosts(hosts) => hosts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_a_target() {
        let one = |host: &str, port| vec![(host.to_owned(), port)];
        assert_eq!(hosts("a.example:4141"), one("a.example", 4141));
        assert_eq!(hosts("a.example"), one("a.example", 443));
        assert_eq!(hosts("[::1]:4141"), one("::1", 4141));
        assert_eq!(hosts("::1"), one("::1", 443));
        assert_eq!(hosts("dns:a:1"), one("a", 1));
        assert_eq!(hosts("dns:///a:1"), one("a", 1));
        assert_eq!(hosts("dns://8.8.8.8/a:1"), one("a", 1));
        assert_eq!(
            hosts("ipv4:1.2.3.4:5,6.7.8.9:10"),
            [("1.2.3.4".to_owned(), 5), ("6.7.8.9".to_owned(), 10)]
        );
        assert_eq!(hosts("ipv6:[::1]:5"), one("::1", 5));
        let path = |text: &str| Target::parse(text).unwrap().place;
        assert_eq!(path("unix:a/b"), Place::Path("a/b".into()));
        assert_eq!(path("unix:///a/b"), Place::Path("/a/b".into()));
        assert_eq!(path("unix:/a/b"), Place::Path("/a/b".into()));
        assert_eq!(path("unix-abstract:x"), Place::Abstract("x".to_owned()));
    }

    #[test]
    fn what_is_no_target() {
        for text in ["", ":1", "a:b", "a:70000", "[::1", "[::1]x", "http://a:1", "a b:1", "a:1,"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
