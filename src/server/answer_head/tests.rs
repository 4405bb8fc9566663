use proptest::prelude::*;

use super::*;

/// What an answer with these fields is to a caller, without its date.
fn written(
    status: u16,
    fields: &[(&str, &str)],
    asked: Asked,
    length: Option<u64>,
) -> (String, Framing) {
    let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
    let fields = fields.iter();
    head.fields = fields
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let mut out = Vec::new();
    let framing = write_answer(&mut out, &head, asked, length, || "now".to_owned());
    let text = String::from_utf8(out).unwrap();
    (text.replace("date: now\r\n", ""), framing)
}

const ASKED: Asked = Asked {
    is_head: false,
    version: Version::HTTP_11,
    is_kept: true,
};

#[test]
fn an_answer_is_framed_by_its_own_words_or_else_by_its_body() {
    use Framing::{Chunked, Close, Length};
    let ended = Asked {
        is_kept: false,
        ..ASKED
    };
    let to_head = Asked {
        is_head: true,
        ..ASKED
    };
    let old = Asked {
        version: Version::HTTP_10,
        is_kept: false,
        ..ASKED
    };
    let old_kept = Asked {
        is_kept: true,
        ..old
    };
    for (status, fields, asked, length, expected, framing) in [
        (
            200,
            &[("content-length", "5")][..],
            ASKED,
            None,
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            Length(5),
        ),
        (
            200,
            &[],
            ASKED,
            Some(5),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            Length(5),
        ),
        (
            200,
            &[],
            ASKED,
            Some(0),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Framing::None,
        ),
        (
            200,
            &[],
            ASKED,
            None,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            Chunked,
        ),
        // What is said of another connection is not said of this one.
        (
            404,
            &[
                ("connection", "close"),
                ("transfer-encoding", "chunked"),
                ("content-length", "7"),
                ("content-length", "7"),
            ],
            ASKED,
            None,
            "HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\n",
            Length(7),
        ),
        (
            299,
            &[("x-a", "1"), ("x-a", "2")],
            ended,
            Some(1),
            "HTTP/1.1 299 <none>\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 1\r\nconnection: close\r\n\r\n",
            Length(1),
        ),
        // RFC 9110 §9.3.2: the fields that a GET would have had, and no body.
        (
            200,
            &[("content-length", "5")],
            to_head,
            Some(0),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            Framing::None,
        ),
        (
            200,
            &[],
            to_head,
            Some(5),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            Framing::None,
        ),
        (
            200,
            &[],
            to_head,
            None,
            "HTTP/1.1 200 OK\r\n\r\n",
            Framing::None,
        ),
        (
            204,
            &[],
            ASKED,
            Some(0),
            "HTTP/1.1 204 No Content\r\n\r\n",
            Framing::None,
        ),
        (
            304,
            &[("content-length", "5")],
            ASKED,
            Some(0),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            Framing::None,
        ),
        // HTTP/1.0 knows no chunks, and ends each connection unless told otherwise.
        (200, &[], old, None, "HTTP/1.0 200 OK\r\n\r\n", Close),
        (200, &[], old_kept, None, "HTTP/1.0 200 OK\r\n\r\n", Close),
        (
            200,
            &[],
            old_kept,
            Some(5),
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
            Length(5),
        ),
    ] {
        assert_eq!(
            written(status, fields, asked, length),
            (expected.to_owned(), framing),
            "{status} {fields:?} {asked:?}"
        );
    }
}

#[test]
fn an_answer_has_one_date_and_its_own_if_it_has_one() {
    for (fields, expected) in [
        (
            &[("date", "then")][..],
            "HTTP/1.1 204 No Content\r\ndate: then\r\n\r\n",
        ),
        (
            &[("etag", "\"1\"")],
            "HTTP/1.1 204 No Content\r\netag: \"1\"\r\ndate: now\r\n\r\n",
        ),
    ] {
        let mut head = ResponseHead::new(StatusCode::NO_CONTENT);
        let fields = fields.iter();
        head.fields = fields
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let mut out = b"before ".to_vec();
        write_answer(&mut out, &head, ASKED, Some(0), || "now".to_owned());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("before {expected}")
        );
    }
}

fn field_of_answer() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        "x-[a-z0-9]{1,5}",
        Just("date".to_owned()),
        Just("connection".to_owned()),
        Just("transfer-encoding".to_owned()),
        Just("content-length".to_owned()),
    ];
    let value = prop_oneof![
        "[!-~]([ -~]{0,20}[!-~])?".prop_map(String::into_bytes),
        "(0|5|77|x|chunked|close)".prop_map(String::into_bytes),
        Just(Vec::new()),
        Just(b"caf\xe9".to_vec()),
    ];
    (name, value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written is what another reader finds, and says one framing: the
    /// one that the body gets.
    #[test]
    fn an_answer_is_read_back_as_it_was_meant(
        status in 200_u16..600,
        fields in proptest::collection::vec(field_of_answer(), 0..6),
        (is_head, is_11, is_kept) in any::<(bool, bool, bool)>(),
        length in proptest::option::of(0_u64..100),
    ) {
        let version = if is_11 { Version::HTTP_11 } else { Version::HTTP_10 };
        let asked = Asked { is_head, version, is_kept };
        let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        head.fields = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let mut out = Vec::new();
        let framing = write_answer(&mut out, &head, asked, length, || "now".to_owned());

        let mut found = [httparse::EMPTY_HEADER; 16];
        let mut answer = httparse::Response::new(&mut found);
        prop_assert_eq!(answer.parse(&out), Ok(httparse::Status::Complete(out.len())));
        prop_assert_eq!(answer.code, Some(status));
        prop_assert_eq!(answer.version, Some(u8::from(is_11)));
        let values = |name: &str| -> Vec<&[u8]> {
            let lines = answer.headers.iter();
            lines.filter(|line| line.name == name).map(|line| line.value).collect()
        };
        let others = |name: &&str| name.starts_with("x-");
        let written = answer.headers.iter().filter(|line| others(&line.name));
        let meant = fields.iter().filter(|(name, _)| others(&&name[..]));
        prop_assert!(
            written.map(|line| (line.name, line.value))
                .eq(meant.map(|(name, value)| (&name[..], &value[..])))
        );
        prop_assert_eq!(values("date").len(), fields.iter().filter(|(name, _)| name == "date").count().max(1));

        let lengths = values("content-length");
        let codings = values("transfer-encoding");
        let has_body = !is_head && status != 204 && status != 304;
        prop_assert!(lengths.len() + codings.len() <= 1, "{:?} {:?}", lengths, codings);
        match framing {
            Framing::Chunked => prop_assert_eq!(&codings, &[b"chunked"]),
            Framing::Length(length) => {
                let length = length.to_string();
                prop_assert_eq!(&lengths, &[length.as_bytes()]);
            }
            Framing::Close => prop_assert!(lengths.is_empty()),
            Framing::None if has_body => prop_assert_eq!(&lengths, &[b"0"]),
            Framing::None => prop_assert!(lengths.iter().all(|text| http1::length(text).is_some())),
        }
        prop_assert_eq!(codings.len(), usize::from(framing == Framing::Chunked));
        prop_assert!(is_11 || framing != Framing::Chunked);
        prop_assert!(has_body || framing == Framing::None);

        // The caller thinks of the connection's end as this side does.
        let connection = values("connection");
        let ends = !is_kept || framing == Framing::Close;
        let reads_end = match &connection[..] {
            [] => !is_11,
            [b"keep-alive"] => false,
            [b"close"] => true,
            _ => panic!("{connection:?}"),
        };
        prop_assert_eq!(reads_end, ends);
    }
}
