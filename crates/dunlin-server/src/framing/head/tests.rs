use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 400, fields: 6, target: 60 };

/// The first line, the fields, and the length.
type Read = (Line, Vec<(String, Vec<u8>)>, usize);

/// The parts of a complete head by httparse, in the form of [`plain::read`]. Returns `None` if that
/// must not accept it either.
fn oracle(bytes: &[u8]) -> Option<Read> {
    let mut room: FieldRoom<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let httparse::Status::Complete(len) = parsed.parse_with_uninit_headers(bytes, &mut room).ok()? else { return None };
    let target = parsed.path?;
    let from = target.as_ptr() as usize - bytes.as_ptr() as usize;
    let line = Line {
        method: parsed.method?.parse().ok()?,
        target: from..from + target.len(),
        version: if parsed.version? == 1 { Version::HTTP_11 } else { Version::HTTP_10 },
    };
    check_target(parsed.method?, target.as_bytes(), &LIMITS).ok()?;
    let within = len <= LIMITS.bytes && parsed.headers.len() <= LIMITS.fields;
    let only_crlf = only_crlf(&bytes[..len]);
    let fields = parsed.headers.iter().map(|field| (field.name.to_string(), field.value.to_vec())).collect();
    (within && only_crlf).then_some((line, fields, len))
}

/// The parts of a plain head in the same form.
fn plain(bytes: &[u8]) -> Option<Read> {
    let mut fields = plain::Fields::new();
    let (line, len) = plain::read(bytes, &LIMITS, &mut fields)?;
    let fields = fields.into_iter().map(|Field { known, name, value }| {
        let name = String::from_utf8(bytes[name].to_vec()).unwrap();
        assert!(known.is_none_or(|known| known.name == *name.to_lowercase()), "{name}");
        (name, bytes[value].to_vec())
    });
    Some((line, fields.collect(), len))
}

/// The meaning of the head `bytes`, and its request. The plain way is tried first if `plain`.
fn judge(bytes: &[u8], plain: bool) -> Result<(Head, Request<()>), Reject> {
    let mut request = Request::new(());
    if plain && let Some(head) = take_plain(&mut bytes.into(), &LIMITS, &mut request) {
        return Ok((head?, request));
    }
    let len = end(bytes, 0, &LIMITS)?.ok_or(BAD_LINE)?;
    let head = read(&Bytes::copy_from_slice(&bytes[..len]), &LIMITS, &mut request)?;
    Ok((head, request))
}

/// A head of pieces that are mostly valid.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        5 => prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        1 => prop::sample::select(vec!["CONNECT", "BREW", "get", "", "GET "]),
    ];
    let target = prop_oneof![
        5 => "/[!-~]{0,20}",
        1 => "[ -~]{0,70}",
        1 => prop::sample::select(vec!["/", "*", "http://a/b", "//a", "/\u{e4}"]).prop_map(String::from),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => prop::sample::select(vec!["\n", "\r", "\r\r\n", ""])];
    let version =
        prop_oneof![6 => Just("HTTP/1.1"), 1 => prop::sample::select(vec!["HTTP/1.0", "HTTP/1.2", "HTTP/2.0"])];
    let name = prop_oneof![
        3 => Just(String::from("Host")),
        6 => prop::sample::select(names::ALL.to_vec()).prop_map(|(_, text, _)| text.to_string()),
        2 => "[A-Za-z-]{1,12}",
        1 => "[ -~]{0,9}",
    ];
    let name = (name, any::<bool>()).prop_map(|(name, upper)| if upper { name.to_uppercase() } else { name });
    let value = prop_oneof![
        3 => Just(String::from("a")),
        1 => prop::sample::select(vec!["close", "upgrade", "0", "3", "chunked", "100-continue", "trailers", ""])
            .prop_map(String::from),
        3 => "[ -~]{0,40}",
        1 => "[\\t -~\u{80}-\u{200}]{0,12}",
        1 => "[\\x00-\\x7f]{0,6}",
    ];
    let separator = prop_oneof![6 => Just(": "), 1 => prop::sample::select(vec![":", ":\t ", " :", ""])];
    let blank = prop_oneof![6 => Just(""), 1 => prop::sample::select(vec![" ", "\t", " \t "])];
    let field = (name, separator, value, blank, end.clone())
        .prop_map(|(name, separator, value, blank, end)| format!("{name}{separator}{value}{blank}{end}"));
    (method, target, version, end.clone(), prop::collection::vec(field, 0..8), end).prop_map(
        |(method, target, version, end, fields, last)| {
            format!("{method} {target} {version}{end}{}{last}", fields.concat()).into_bytes()
        },
    )
}

/// Heads with some bytes replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(b"\0\t\n\r #:?HT/\x7f\x80\xff".to_vec());
    let byte = prop_oneof![odd, any::<u8>()];
    (heads(), prop::collection::vec((any::<prop::sample::Index>(), byte), 0..3)).prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn httparse_reads_the_same_from_a_plain_head(bytes in mutated()) {
        if let Some(plain) = plain(&bytes) {
            prop_assert_eq!(Some(plain), oracle(&bytes));
        }
    }

    #[test]
    fn a_plain_head_means_the_same_either_way(bytes in mutated()) {
        let (plain, other) = (judge(&bytes, true), judge(&bytes, false));
        prop_assert_eq!(format!("{plain:?}"), format!("{other:?}"));
    }

    #[test]
    fn usual_heads_are_plain(target in "/[!$-~]{0,20}", names in prop::collection::vec("[A-Za-z-]{1,12}", 0..6), value in "[!-~]*") {
        let fields: String = names.iter().map(|name| format!("{name}: {value}\r\n")).collect();
        let bytes = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
        prop_assume!(bytes.len() <= LIMITS.bytes && value.len() < 40);
        prop_assert!(plain(bytes.as_bytes()).is_some());
        prop_assert!(plain(&bytes.as_bytes()[..bytes.len() - 1]).is_none());
    }
}
