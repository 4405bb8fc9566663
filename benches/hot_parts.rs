//! Times the pure parts of the request path, each after a check that it does
//! what is timed:
//!
//! ```text
//! cargo bench --bench hot_parts                  all of them
//! cargo bench --bench hot_parts -- licence       those with this in their name
//! cargo bench --bench hot_parts -- --save-baseline before
//! cargo bench --bench hot_parts -- --baseline before
//! ```
//!
//! For choosing between two ways to write a part. What a request costs in all
//! is counted by `benches/instructions`.

use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput};
use http::{HeaderValue, StatusCode};

use dqe_proxy::config::{self, Inputs};
use dqe_proxy::dqe::catalogue::LICENCE;
use dqe_proxy::dqe::dead_token::{self, Reading};
use dqe_proxy::dqe::{Scope, licence};
use dqe_proxy::http1::{Fields, Framing, ResponseHead, SpareFields};
use dqe_proxy::proxy::hot_parts::{Scrubber, clean_answer, outgoing};
use dqe_proxy::proxy::route::{NoRoute, RouteTable};
use dqe_proxy::server::hot_parts::{read_request, write_answer};
use dqe_proxy::telemetry::{AccessLog, AccessRecord, Format};
use dqe_proxy::upstream::hot_parts::{read_answer, write_get};

const TOKEN: &[u8] = b"TKqbz0c1d2e3f4g5h6i7j8k9l0m1n2o3p4q5r6s7t8u9v0";
static ID: HeaderValue = HeaderValue::from_static("0b1f8a52-0001");

const REQUEST: &[u8] = b"GET /TEL/?Tel=0612345678&Pays=FRA HTTP/1.1\r\n\
    Host: proxy.example:8080\r\n\
    User-Agent: legacy/1.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip\r\n\
    Connection: keep-alive\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Wed, 25 Nov 2026 15:55:36 GMT\r\n\
    Content-Type: application/json\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Connection: keep-alive\r\n\
    Content-Length: 152\r\n\r\n";

/// An answer of the phone family, and one of 64 KiB.
const BODY: &[u8] = br#"{"1":{"TelOrigine":"0612345678","Tel":"0612345678","Geolocation":"FRANCE","Ported":"","Operator":"SFR","OldOperator":"SFR","IdError":1,"Type":"MOBILE"}}"#;
const LARGE: usize = 64 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    route(&mut criterion);
    carriage(&mut criterion);
    fields(&mut criterion);
    heads(&mut criterion);
    dead_tokens(&mut criterion);
    scrubbing(&mut criterion);
    access_line(&mut criterion);
    criterion.final_summary();
}

fn route(criterion: &mut Criterion) {
    let environment = [
        ("DQE_LICENCE", "SANDBOX"),
        ("DQE_CLIENT_SECRET", "sandbox-secret"),
    ];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let settings = config::load(&Inputs {
        environment: environment.into(),
        ..Inputs::default()
    });
    let settings = settings.expect("nothing else has to be set").proxy;
    let table = RouteTable::new(&settings.routes, settings.token_path, |_| None);
    let scope = |path| table.find(path).map(|index| table.route(index).scope);
    assert_eq!(scope("/TEL/"), Ok(Scope::Phone));
    assert_eq!(scope("/v1/Email/Lookup"), Ok(Scope::Email));
    assert_eq!(scope("/nowhere/"), Err(NoRoute::Unknown));

    let mut group = criterion.benchmark_group("route");
    for (name, path) in [
        ("classic", "/TEL/"),
        ("behind a version", "/v1/email/lookup"),
        ("unknown", "/nowhere/"),
    ] {
        group.bench_function(name, |bench| bench.iter(|| table.find(black_box(path))));
    }
    group.finish();
}

fn carriage(criterion: &mut Criterion) {
    let encoded = licence::Encoded::of(TOKEN);
    let set = |query: &[u8]| {
        let mut out = Vec::with_capacity(query.len() + 96);
        licence::set(query, LICENCE, &encoded, &mut out);
        out
    };
    let token = std::str::from_utf8(TOKEN).expect("it is written in ASCII");
    let own: &[u8] = b"Adresse=18%20rue%20de%20rivoli%20paris&Licence=OURS&Pays=FRA";
    let none: &[u8] = b"Tel=0612345678&Pays=FRA";
    assert_eq!(
        set(own),
        format!("Adresse=18%20rue%20de%20rivoli%20paris&Licence={token}&Pays=FRA").as_bytes()
    );
    assert_eq!(
        set(none),
        format!("Tel=0612345678&Pays=FRA&Licence={token}").as_bytes()
    );
    assert_eq!(
        *licence::without(own, LICENCE),
        *b"Adresse=18%20rue%20de%20rivoli%20paris&Pays=FRA"
    );

    let mut group = criterion.benchmark_group("licence");
    group.bench_function("set where there is none", |bench| {
        bench.iter(|| set(black_box(none)));
    });
    group.bench_function("set in place of the caller's", |bench| {
        bench.iter(|| set(black_box(own)));
    });
    group.bench_function("taken out", |bench| {
        bench.iter(|| licence::without(black_box(own), LICENCE).into_owned());
    });
    group.finish();
}

fn fields(criterion: &mut Criterion) {
    let received = map(&[
        ("host", "proxy.example:8080"),
        ("user-agent", "legacy/1.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer of-the-caller"),
        ("connection", "keep-alive, x-own"),
        ("x-own", "1"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
    ]);
    let bearer = HeaderValue::from_static("Bearer of-ours");
    let sent: Vec<_> = outgoing(&received, &bearer, &ID).collect();
    let names: Vec<_> = sent
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name))
        .collect();
    assert_eq!(
        names,
        [
            "authorization",
            "user-agent",
            "accept",
            "accept-encoding",
            "via",
            "x-request-id"
        ]
    );
    assert_eq!(sent[0], (&b"authorization"[..], bearer.as_bytes()));

    let answered = map(&[
        ("date", "Wed, 25 Nov 2026 15:55:36 GMT"),
        ("content-type", "application/json"),
        ("connection", "keep-alive"),
        ("set-cookie", "a=b"),
        ("content-length", "152"),
    ]);
    let clean = |mut fields: Fields| {
        clean_answer(&mut fields, &ID);
        fields
    };
    let cleaned = clean(answered.clone());
    assert!(cleaned.contains("via") && cleaned.contains("x-request-id"));
    assert!(!cleaned.contains("connection") && !cleaned.contains("set-cookie"));

    let mut group = criterion.benchmark_group("fields");
    group.bench_function("of a request", |bench| {
        bench.iter(|| outgoing(black_box(&received), &bearer, &ID).count());
    });
    group.bench_function("of an answer", |bench| {
        bench.iter_batched(|| answered.clone(), clean, BatchSize::SmallInput);
    });
    group.finish();
}

fn heads(criterion: &mut Criterion) {
    let spare = SpareFields::default();
    let read = |input: &mut BytesMut| read_answer(input, &spare).expect("the head is whole");
    let (status, fields) = read(&mut BytesMut::from(ANSWER));
    assert_eq!((status.as_u16(), fields.len()), (200, 4));
    let fields = map(&[
        ("authorization", "Bearer of-ours"),
        ("user-agent", "legacy/1.0"),
        ("accept", "application/json"),
        ("via", "1.1 dqe-proxy"),
    ]);
    let host = HeaderValue::from_static("prod2.dqe-software.com");
    let target = "/TEL/?Tel=0612345678&Pays=FRA";
    let mut out = BytesMut::with_capacity(1024);
    write_get(&mut out, target, &host, fields.iter());
    assert!(out.starts_with(b"GET /TEL/?Tel=0612345678&Pays=FRA HTTP/1.1\r\nhost: prod2."));
    assert!(out.ends_with(b"\r\n\r\n"));

    let receive = || {
        let read = read_request(REQUEST, &spare).expect("it is a request");
        read.expect("the head is whole")
    };
    let (received, length) = receive();
    assert_eq!(length, REQUEST.len());
    assert_eq!(received.head.uri, "/TEL/?Tel=0612345678&Pays=FRA");
    assert_eq!(received.head.fields.len(), 5);
    assert_eq!((received.framing, received.is_kept), (Framing::None, true));
    let mut answered = ResponseHead::new(StatusCode::OK);
    answered.fields = map(&[
        ("date", "Wed, 25 Nov 2026 15:55:36 GMT"),
        ("content-type", "application/json"),
        ("access-control-allow-origin", "*"),
        ("content-length", "152"),
        ("via", "1.1 dqe-proxy"),
        ("x-request-id", "0b1f8a52-0001"),
    ]);
    let mut answer = Vec::with_capacity(1024);
    let framing = write_answer(&mut answer, &answered, Some(152));
    assert_eq!(framing, Framing::Length(152));
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\ndate: Wed, "));
    assert!(answer.ends_with(b"x-request-id: 0b1f8a52-0001\r\n\r\n"));

    let mut group = criterion.benchmark_group("head");
    group.bench_function("of a request read", |bench| {
        bench.iter(|| {
            let (received, length) = receive();
            spare.put(received.head.fields);
            length
        });
    });
    group.bench_function("of an answer written", |bench| {
        bench.iter(|| {
            answer.clear();
            write_answer(&mut answer, black_box(&answered), Some(152))
        });
    });
    group.bench_function("of an answer read", |bench| {
        let input = || BytesMut::from(ANSWER);
        bench.iter_batched(
            input,
            |mut input| {
                let (status, fields) = read(&mut input);
                spare.put(fields);
                status
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("of a request written", |bench| {
        bench.iter(|| {
            out.clear();
            write_get(&mut out, black_box(target), &host, fields.iter());
        });
    });
    group.finish();
}

fn dead_tokens(criterion: &mut Criterion) {
    let read = |body: &[u8]| dead_token::read(Scope::Phone, body, true);
    let refused = b"\"** LICENCE KO **\"";
    assert_eq!(read(BODY), Reading::Honest);
    assert_eq!(read(refused), Reading::Certain);
    assert_eq!(read(&large()), Reading::Honest);

    let mut group = criterion.benchmark_group("dead token");
    group.bench_function("looked for in an answer", |bench| {
        bench.iter(|| read(black_box(BODY)));
    });
    group.bench_function("looked for in 64 KiB", |bench| {
        let body = large();
        bench.iter(|| read(black_box(&body)));
    });
    group.bench_function("found", |bench| bench.iter(|| read(black_box(refused))));
    group.finish();
}

fn scrubbing(criterion: &mut Criterion) {
    let pass = |body: &Bytes| Scrubber::new(TOKEN).pass(body.clone());
    let honest = Bytes::from(large());
    let mut told = large();
    told[LARGE / 2..LARGE / 2 + TOKEN.len()].copy_from_slice(TOKEN);
    let told = Bytes::from(told);
    assert_eq!(pass(&honest), honest);
    let masked = pass(&told);
    assert_eq!(masked.len(), told.len());
    assert!(!masked.windows(TOKEN.len()).any(|window| window == TOKEN));

    let mut group = criterion.benchmark_group("scrubber");
    let small = Bytes::from_static(BODY);
    group.bench_function("an answer", |bench| bench.iter(|| pass(black_box(&small))));
    group.throughput(Throughput::Bytes(LARGE as u64));
    group.bench_function("64 KiB without the token", |bench| {
        bench.iter(|| pass(black_box(&honest)));
    });
    group.bench_function("64 KiB with the token", |bench| {
        bench.iter(|| pass(black_box(&told)));
    });
    group.finish();
}

fn access_line(criterion: &mut Criterion) {
    let record = AccessRecord {
        time: UNIX_EPOCH + Duration::from_millis(1_795_622_136_250),
        request_id: "265555586f228eed0000000000000001",
        caller: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: "GET",
        route: "/TEL",
        scope: "client_phone",
        status: 200,
        code: "ok",
        request_bytes: 0,
        response_bytes: 152,
        token_wait: Duration::ZERO,
        connect: Duration::ZERO,
        first_byte: Duration::from_micros(412),
        total: Duration::from_micros(431),
        attempts: 1,
        redirects: 0,
        http_version: "HTTP/1.1",
    };
    let (lines, written) = mpsc::channel();
    let log = AccessLog::start(Format::Json, Box::new(Sent(lines))).expect("there is a thread");
    log.for_worker().record(&record);
    assert!(log.finish(Duration::from_secs(5)));
    let line: Vec<u8> = written.try_iter().flatten().collect();
    let line: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
    assert_eq!(line["route"], "/TEL");
    assert_eq!(line["first_byte_ms"], 0.412);

    let mut group = criterion.benchmark_group("access line");
    for (name, format) in [("json", Format::Json), ("text", Format::Text)] {
        let log = AccessLog::start(format, Box::new(io::sink())).expect("there is a thread");
        let mut worker = log.for_worker();
        group.bench_function(name, |bench| {
            bench.iter(|| worker.record(black_box(&record)));
        });
    }
    group.finish();
}

/// A sink that hands on what is written.
struct Sent(mpsc::Sender<Vec<u8>>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The check has its lines by then; whatever comes later is nobody's.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn map(lines: &[(&'static str, &'static str)]) -> Fields {
    let lines = lines.iter();
    lines
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

/// A good answer that goes on for 64 KiB.
fn large() -> Vec<u8> {
    let mut body = BODY[..BODY.len() - 2].to_vec();
    body.extend_from_slice(br#","Note":""#);
    body.resize(LARGE - 3, b'x');
    body.extend_from_slice(br#""}}"#);
    body
}
