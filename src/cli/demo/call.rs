//! The calls of the demonstration, and how an old program makes them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// One call of the demonstration.
pub(super) struct Call {
    pub(super) family: &'static str,
    pub(super) story: &'static str,
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    /// Content type and body.
    pub(super) body: Option<(&'static str, &'static str)>,
    /// The scope the family's token must have.
    pub(super) scope: &'static str,
    /// What DQE must have received as its query, byte for byte; `{token}` is the
    /// token that came in the header.
    pub(super) query_at_dqe: &'static str,
    /// What a right answer says.
    pub(super) expected: &'static str,
}

pub(super) const CALLS: &[Call] = &[
    Call {
        family: "address",
        story: "complete an address while it is typed",
        method: "GET",
        target: "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA",
        body: None,
        scope: "client_address",
        query_at_dqe: "Adresse=5%20rue%20des%20pyr&Pays=FRA&Licence={token}",
        expected: "RUE DES PYRENEES",
    },
    Call {
        family: "address",
        story: "check a postal address; the token takes the place of an old licence code",
        method: "GET",
        target: "/RNVP/?Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA&Licence=OLD-CODE",
        body: None,
        scope: "client_address",
        query_at_dqe: "Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA&Licence={token}",
        expected: "5 RUE DES PYRENEES",
    },
    Call {
        family: "phone",
        story: "check a phone number",
        method: "GET",
        target: "/TEL/?Tel=0612345678&Pays=FRA&Format=0",
        body: None,
        scope: "client_phone",
        query_at_dqe: "Tel=0612345678&Pays=FRA&Format=0&Licence={token}",
        expected: "MOBILE",
    },
    Call {
        family: "e-mail",
        story: "check an e-mail address; its double encoding survives",
        method: "GET",
        target: "/DQEEMAILLOOKUP/?Email=jean.dupont%2540gmail.com&Licence=",
        body: None,
        scope: "client_email",
        query_at_dqe: "Email=jean.dupont%2540gmail.com&Licence={token}",
        expected: "jean.dupont@gmail.com",
    },
    Call {
        family: "e-mail",
        story: "the same by the RESTful path, as JSON",
        method: "POST",
        target: "/v1/email/lookup",
        body: Some(("application/json", r#"{"email":"jean.dupont@gmail.com"}"#)),
        scope: "client_email",
        query_at_dqe: "",
        expected: "jean.dupont@gmail.com",
    },
    Call {
        family: "name",
        story: "complete a first name",
        method: "GET",
        target: "/FIRSTNAMESUGGEST/?Firstname=ali",
        body: None,
        scope: "client_civility",
        query_at_dqe: "Firstname=ali&Licence={token}",
        expected: "ALI",
    },
    Call {
        family: "B2B",
        story: "find a company",
        method: "GET",
        target: "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
        body: None,
        scope: "client_b2b",
        query_at_dqe: "CompanyName=boulangerie&Country=FRA&Dictionary=Y&Licence={token}",
        expected: "BOULANGERIE",
    },
    Call {
        family: "ID check",
        story: "check that a person lives at an address",
        method: "GET",
        target: "/SEARCH/?LastName=DUPONT&FirstName=JEAN&Address=5%20RUE%20DES%20PYRENEES&PostalCode=75020&City=PARIS&Version=2",
        body: None,
        scope: "client_idcheck",
        query_at_dqe: "LastName=DUPONT&FirstName=JEAN&Address=5%20RUE%20DES%20PYRENEES&PostalCode=75020&City=PARIS&Version=2&Licence={token}",
        expected: "FOUND",
    },
];

pub(super) fn request_bytes(call: &Call, proxy: SocketAddr) -> Vec<u8> {
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: {proxy}\r\nUser-Agent: legacy-app\r\nConnection: close\r\n",
        call.method, call.target
    );
    if let Some((content_type, body)) = call.body {
        request += &format!(
            "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    request += call.body.map_or("", |(_, body)| body);
    request.into_bytes()
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// One call over a connection of its own, as an old program makes it.
pub(super) fn exchange(proxy: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    stream.take(1 << 20).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(invalid)?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}
